"""Whether a module is the same in two processes: what can be told of its state at little cost.

Local modules travel as files. What was changed in them since they were imported does not, so
both sides note what they see, and a difference is told.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["Marks", "differences", "marks"]

#: A short text for each name of a module.
Marks = dict[str, str]

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_LONGEST = 100_000  # characters of a text that are looked at
_MOST = 10_000  # members of containers that are looked at, for one name


def marks(module: types.ModuleType) -> Marks:
    """Mark what a module has: plain data by value, code by its bytes, the rest by its type."""
    own = {n: v for n, v in list(vars(module).items()) if not n.startswith("__")}
    return {n: _mark(v) for n, v in own.items() if not issubclass(type(v), types.ModuleType)}


def differences(one: Mapping[str, Marks], other: Mapping[str, Marks]) -> list[str]:
    """Name what differs (``helpers.LIMIT``) in the modules that both have."""
    found = []
    for module in sorted(one.keys() & other.keys()):
        here, there = one[module], other[module]
        names = sorted(here.keys() | there.keys())
        found += [f"{module}.{name}" for name in names if here.get(name) != there.get(name)]
    return found


def _mark(value: Any) -> str:
    text = "".join(_text(value, [_MOST]))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _text(value: Any, left: list[int]) -> list[str]:
    kind = type(value)
    left[0] -= 1
    if kind in (str, bytes):
        return [repr(value[:_LONGEST]), str(len(value))]
    if kind in _PLAIN:
        return [repr(value)]
    if isinstance(value, type | types.FunctionType):
        code = getattr(value, "__code__", None)
        body = "" if code is None else hashlib.blake2b(code.co_code, digest_size=8).hexdigest()
        where = getattr(value, "__module__", "")
        return [f"{where}.{value.__qualname__} {body}"]
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind not in (list, tuple, dict, set, frozenset) or left[0] <= 0:
        return [name]
    return [name, str(len(value)), *_members(value, left)]


def _members(value: Any, left: list[int]) -> list[str]:
    if isinstance(value, dict):
        pairs = [part for pair in list(value.items()) for part in pair]
        return [part for member in pairs for part in (*_text(member, left), ",")]
    parts = ["".join(_text(member, left)) + "," for member in list(value)]
    return sorted(parts) if isinstance(value, set | frozenset) else parts
