"""What a run changed in the objects that were sent to it, and putting that into the originals."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gridnb.cells.dask import is_collection, token
from gridnb.cells.nodes import CONTAINERS, children, kind_of, same, slot_names, state_of
from gridnb.cells.pickles import CellPickler
from gridnb.cells.widgetstate import traits, update_widget

__all__ = ["Changes", "Tracker", "update"]


@dataclass
class Changes:
    """Contents by node number; `replaced` are the nodes that only a new object can follow."""

    contents: list[tuple[int, str, Any]] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    unlooked: list[int] = field(default_factory=list)


class _Hash:
    """A file that only keeps a digest and a length."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=20)
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def buffer(self, buffer: Any) -> bool:
        self.write(buffer.raw())
        return False

    def digest(self) -> bytes:
        return self._hash.digest()


class Tracker:
    """Remembers numbered objects as they were loaded, and tells later what became of them."""

    def __init__(
        self, nodes: Sequence[Any], owns: Callable[[dict[str, Any]], bool], limit: int
    ) -> None:
        self.nodes = nodes
        self._owns = owns
        self._left = limit
        self._kinds = [kind_of(node, owns) for node in nodes]
        self._before = [
            self._look(node, kind) for node, kind in zip(nodes, self._kinds, strict=True)
        ]

    def _look(self, node: Any, kind: str) -> Any:
        if kind in CONTAINERS:
            return state_of(node, kind)
        if kind in ("fixed", "atom"):
            return b""
        size = _size(node, kind)
        if size > self._left:
            return None
        shape = (node.shape, node.dtype) if kind == "array" else None
        digest, length = self._digest(node)
        self._left -= length
        return digest, shape

    def _digest(self, node: Any) -> tuple[bytes | None, int]:
        into = _Hash()
        try:
            if is_collection(node):
                return token(node), 0
            CellPickler(into, owns=self._owns, keep=into.buffer).dump(node)
        except Exception:  # noqa: BLE001 - user classes raise what they like
            # It was loaded but cannot be pickled again: taken as changed, it stays here.
            return None, into.size
        return into.digest(), into.size

    def changes(self) -> Changes:
        """Compare with what was remembered."""
        found = Changes()
        for index, (node, kind) in enumerate(zip(self.nodes, self._kinds, strict=True)):
            before = self._before[index]
            if before is None:
                found.unlooked.append(index)
            elif kind in CONTAINERS:
                if not same(before, state_of(node, kind)):
                    found.contents.append((index, kind, _content(node, kind, before)))
            elif before:
                self._leaf(index, node, kind, before, found)
        if found.replaced:
            self._spread(found)
        return found

    def _leaf(self, index: int, node: Any, kind: str, before: Any, found: Changes) -> None:
        digest, shape = before
        if kind == "array" and shape != (node.shape, node.dtype):
            found.replaced.append(index)
        elif digest is None or self._digest(node)[0] != digest:
            if kind == "opaque":
                found.replaced.append(index)
            else:
                found.contents.append((index, kind, _content(node, kind, None)))

    def _spread(self, found: Changes) -> None:
        """Containers that hold a replaced object have to hold the new one."""
        ids = {id(self.nodes[index]) for index in found.replaced}
        have = {index for index, _, _ in found.contents}
        for index, (node, kind) in enumerate(zip(self.nodes, self._kinds, strict=True)):
            if kind in CONTAINERS and index not in have and holds(node, kind, ids, self._owns):
                content = _content(node, kind, self._before[index], whole=True)
                found.contents.append((index, kind, content))


def holds(
    value: Any, kind: str, ids: Iterable[int], owns: Callable[[dict[str, Any]], bool]
) -> bool:
    """Whether a value holds one of the objects itself, or in a tuple that it holds."""
    for member in children(value, kind):
        if id(member) in ids:
            return True
        if kind_of(member, owns) == "through" and holds(member, "through", ids, owns):
            return True
    return False


def _size(node: Any, kind: str) -> int:
    if kind == "array":
        return int(node.nbytes)
    if kind == "frame":
        usage = node.memory_usage()
        return int(usage if isinstance(usage, int) else usage.sum())
    return len(node) if kind == "bytearray" else 0


def _content(node: Any, kind: str, before: Any, *, whole: bool = False) -> Any:
    match kind:
        case "list":
            return list(node), _own(node)
        case "dict":
            return dict(node), _own(node)
        case "set":
            return set(node), _own(node)
        case "instance":
            return _own(node)
        case "function":
            return _function(node)
        case "class":
            return _class(node, before, whole=whole)
        case "widget":
            old = dict(zip(*before, strict=True))
            return {k: v for k, v in traits(node).items() if whole or old.get(k) is not v}
        case "bytearray":
            return bytes(node)
        case "frame":
            return node.copy(deep=False)
    return node.copy()


def _own(node: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    names = slot_names(type(node))
    own = getattr(node, "__dict__", None)
    if not names and own is None:
        return None
    slots = {name: getattr(node, name) for name in names if hasattr(node, name)}
    return dict(own or {}), slots


def _function(node: types.FunctionType) -> Any:
    cells: list[tuple[Any, ...]] = []
    for cell in node.__closure__ or ():
        try:
            cells.append((cell.cell_contents,))
        except ValueError:
            cells.append(())
    return node.__defaults__, node.__kwdefaults__, dict(node.__dict__), cells


def _class(node: type, before: Any, *, whole: bool) -> Any:
    old = dict(zip(*before, strict=True))
    names, values = state_of(node, "class")
    new = dict(zip(names, values, strict=True))
    set_now = {k: v for k, v in new.items() if whole or k not in old or old[k] is not v}
    return set_now, [name for name in old if name not in new]


def update(local: Any, kind: str, content: Any) -> None:
    """Give a local object the content that its counterpart at the site has now."""
    match kind:
        case "list":
            _refill(local, content, lambda new: (local.clear(), local.extend(new)))
        case "dict" | "set":
            _refill(local, content, lambda new: (local.clear(), local.update(new)))
        case "instance":
            _attributes(local, content)
        case "function":
            _update_function(local, content)
        case "class":
            for name, value in content[0].items():
                setattr(local, name, value)
            for name in content[1]:
                delattr(local, name)
        case "widget":
            update_widget(local, content)
        case "bytearray":
            local[:] = content
        case "frame":
            local._update_inplace(content)
            local.attrs = content.attrs
        case "array" | "objects":
            import numpy

            numpy.copyto(local, content)


def _refill(local: Any, content: Any, fill: Callable[[Any], object]) -> None:
    fill(content[0])
    if content[1] is not None:
        _attributes(local, content[1])


def _attributes(local: Any, content: tuple[dict[str, Any], dict[str, Any]]) -> None:
    own, slots = content
    if hasattr(local, "__dict__"):
        local.__dict__.clear()
        local.__dict__.update(own)
    for name in slot_names(type(local)):
        if name in slots:
            object.__setattr__(local, name, slots[name])
        elif hasattr(local, name):
            object.__delattr__(local, name)


def _update_function(local: types.FunctionType, content: Any) -> None:
    local.__defaults__, local.__kwdefaults__ = content[0], content[1]
    local.__dict__.clear()
    local.__dict__.update(content[2])
    for cell, value in zip(local.__closure__ or (), content[3], strict=True):
        if value:
            cell.cell_contents = value[0]
        elif _filled(cell):
            del cell.cell_contents


def _filled(cell: types.CellType) -> bool:
    try:
        return bool((cell.cell_contents,))
    except ValueError:
        return False
