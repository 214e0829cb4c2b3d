"""The mutable objects of a capture, numbered, so that a change in one can come back into it.

The kernel numbers them and sends the list along in the same pickle, so that both
sides mean the same objects. At the site each is remembered as it was after
loading: containers by the identity of their members, leaves (arrays, frames,
anything unknown) by a digest of their pickle.
"""

from __future__ import annotations

import abc
import collections
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any

from gridnb.cells.arrays import is_array
from gridnb.cells.remote import Remote
from gridnb.cells.widgetstate import is_widget, traits

__all__ = ["CONTAINERS", "Node", "children", "kind_of", "same", "slot_names", "state_of", "walk"]

_ATOMS = frozenset(
    {
        int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented),
        range, slice, types.ModuleType, types.BuiltinFunctionType, types.CodeType,
        decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern, Remote,
        types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
        types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MappingProxyType,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
        pathlib.Path, pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath,
    }
)  # fmt: skip
_EXACT: dict[type, str] = {
    list: "list",
    dict: "dict",
    set: "set",
    tuple: "through",
    frozenset: "through",
    bytearray: "bytearray",
    collections.OrderedDict: "dict",
    collections.defaultdict: "dict",
    collections.Counter: "dict",
    collections.deque: "list",
    types.MethodType: "through",
    property: "through",
    staticmethod: "through",
    classmethod: "through",
    functools.cached_property: "through",
}
#: Kinds whose members are compared one by one; the others are leaves.
CONTAINERS = frozenset(
    {"list", "dict", "set", "instance", "function", "class", "objects", "widget"}
)
_FIXED = frozenset(
    {
        "__dict__", "__weakref__", "__doc__", "_abc_impl", "__annotations__", "__firstlineno__",
        "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__slots__",
        "__static_attributes__", "__abstractmethods__",
    }
)  # fmt: skip
_SCALARS = (enum.Enum, datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo)
_MISSING = object()
_REDUCES = ("__reduce_ex__", "__reduce__", "__getstate__")


def kind_of(value: Any, owns: Callable[[dict[str, Any]], bool]) -> str:
    """How a value is numbered: a container, a leaf, ``through`` (members only) or ``atom``."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, _SCALARS) or _numpy_scalar(value):
        return "atom"
    if kind in _EXACT:
        return _EXACT[kind]
    if isinstance(value, type):
        if value.__module__ != "__main__":
            return "atom"
        return "class" if type(value) in (type, abc.ABCMeta) else "fixed"
    if isinstance(value, types.FunctionType):
        return "function" if owns(value.__globals__) else "atom"
    if is_array(value):
        return "objects" if value.dtype.hasobject else "array"
    if is_widget(value):
        return "widget"
    return _frame_kind(value) or _plain_kind(kind)


def _numpy_scalar(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic | numpy.dtype)


def _frame_kind(value: Any) -> str | None:
    pandas = sys.modules.get("pandas")
    if pandas is not None and type(value) in (pandas.DataFrame, pandas.Series):
        return "frame"
    return None


def _plain_kind(kind: type) -> str:
    """Classes that pickle by their ``__dict__`` can be followed; others are opaque."""
    plain = (
        all(getattr(kind, n, None) is getattr(object, n, None) for n in _REDUCES)
        and not hasattr(kind, "__setstate__")
        and not hasattr(kind, "__getnewargs_ex__")
        and kind.__flags__ & (1 << 9)
    )
    if not plain:
        return "opaque"
    for base, name in ((list, "list"), (dict, "dict"), (set, "set")):
        if issubclass(kind, base):
            return name
    builtin = (tuple, frozenset, str, bytes, bytearray, int, float, complex)
    if issubclass(kind, builtin) or hasattr(kind, "__getnewargs__"):
        return "opaque"
    return "instance"


def walk(roots: Mapping[str, Any], owns: Callable[[dict[str, Any]], bool]) -> dict[int, Node]:
    """Number every mutable object that the named values reach, keyed by ``id``."""
    found: dict[int, Node] = {}
    seen: set[int] = set()
    stack = [(value, name) for name, value in reversed(list(roots.items()))]
    while stack:
        value, name = stack.pop()
        kind = kind_of(value, owns)
        if kind == "atom" or id(value) in seen:
            continue
        seen.add(id(value))
        if kind != "through":
            found[id(value)] = Node(value, kind, name)
        stack += [(v, name) for v in reversed(children(value, kind)) if type(v) not in _ATOMS]
    return found


class Node:
    """A numbered object: itself, its kind, and the name through which it was found."""

    __slots__ = ("kind", "name", "value")

    def __init__(self, value: Any, kind: str, name: str) -> None:
        self.value, self.kind, self.name = value, kind, name


def children(value: Any, kind: str) -> list[Any]:
    """The objects that a value holds, as far as they are followed."""
    if kind == "through":
        return _inside(value)
    if kind not in CONTAINERS:
        return []
    extra = [type(value)] if type(value).__module__ == "__main__" else []
    return [*_flat(state_of(value, kind)), *extra]


def _inside(value: Any) -> list[Any]:
    match value:
        case types.MethodType():
            return [value.__self__, value.__func__]
        case property():
            return [value.fget, value.fset, value.fdel]
        case staticmethod() | classmethod():
            return [value.__func__]
        case functools.cached_property():
            return [value.func]
    return list(value)


def _flat(state: tuple[Any, ...]) -> list[Any]:
    return [member for part in state for member in part]


def state_of(value: Any, kind: str) -> tuple[list[Any], ...]:
    """The members of a container, in lists that stay as they are when it changes."""
    if kind == "list":
        return list(value), *_attributes(value)
    if kind == "dict":
        return list(value.keys()), list(value.values()), *_attributes(value)
    if kind == "objects":
        return (list(value.flat),)
    if kind == "widget":
        return _pairs(traits(value))
    if kind == "set":
        return list(value), *_attributes(value)
    if kind == "function":
        return (
            list(value.__defaults__ or ()),
            *_pairs(value.__kwdefaults__ or {}),
            *_pairs(value.__dict__),
            [_contents(cell) for cell in value.__closure__ or ()],
        )
    if kind == "class":
        return _pairs({k: v for k, v in vars(value).items() if k not in _FIXED})
    return _attributes(value)


def _pairs(table: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    return list(table.keys()), list(table.values())


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _attributes(value: Any) -> tuple[list[Any], ...]:
    kind = type(value)
    if kind in _EXACT:
        return ()
    own = getattr(value, "__dict__", {})
    slots = {name: getattr(value, name) for name in slot_names(kind) if hasattr(value, name)}
    return (*_pairs(own), *_pairs(slots))


def slot_names(kind: type) -> list[str]:
    """Names of the slots of a class, as pickle sees them."""
    import copyreg

    return copyreg._slotnames(kind)  # type: ignore[attr-defined,no-any-return]


def same(before: tuple[list[Any], ...], after: tuple[list[Any], ...]) -> bool:
    """Whether two states hold the very same members."""
    return len(before) == len(after) and all(map(_alike, before, after))


def _alike(one: Iterable[Any], other: Iterable[Any]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))  # type: ignore[arg-type]
