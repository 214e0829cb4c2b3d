"""The site's side of the return: one pickle of everything that a run made or changed."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gridnb.cells.arrays import Memory
from gridnb.cells.changes import Changes, Tracker, holds
from gridnb.cells.execute import Executed
from gridnb.cells.frames import Buffer
from gridnb.cells.nodes import kind_of, walk
from gridnb.cells.pickles import BLOB, dump
from gridnb.cells.store import Store

__all__ = ["Giveback"]

_OWN = frozenset(
    {
        "__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__",
        "__warningregistry__", "__annotations__", "__file__",
    }
)  # fmt: skip


#: What comes back also when the rest is kept.
_CODE = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)


class _Stand:
    """Stands in the pickle for a value that is kept: one itself may be as common as 1."""

    def __init__(self, key: str) -> None:
        self.key = key


@dataclass
class Giveback:
    """Collects what goes back, and finds out what of it has to stay."""

    space: dict[str, Any]
    before: dict[str, Any]
    ambient: dict[str, Any]
    deletes: Sequence[str]
    tracker: Tracker
    store: Store
    owns: Callable[[dict[str, Any]], bool]
    limit: int
    keep: bool = False
    remotes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _payload: dict[str, Any] = field(default_factory=dict, init=False)
    _header: dict[str, Any] = field(default_factory=dict, init=False)
    _nodes: dict[int, int] = field(default_factory=dict, init=False)
    _memory: Memory | None = field(default=None, init=False)
    _stands: dict[int, _Stand] = field(default_factory=dict, init=False)

    def build(
        self, done: Executed, *, names: bool, said: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Buffer]]:
        """Make the header and parts of the outcome message; `said` is part of the header."""
        changes = self.tracker.changes() if names else Changes()
        replaced = {id(self.tracker.nodes[i]) for i in changes.replaced}
        assigned = self._assigned(replaced) if names else {}
        deleted = [n for n in (*self.before, *self.deletes) if n not in self.space] if names else []
        self._payload = {
            "assigned": assigned,
            "contents": changes.contents,
            "replaced": [(i, self.tracker.nodes[i]) for i in changes.replaced],
            "result": (done.value,) if done.has else (),
            "error": done.error,
        }
        known = {id(node): i for i, node in enumerate(self.tracker.nodes)}
        self._nodes = {key: i for key, i in known.items() if key not in replaced}
        if self.keep:
            self._keep_all()
        self._header = {
            "op": "outcome",
            "again": False,
            "names": [n for n, v in assigned.items() if not isinstance(v, _CODE)],
            "deleted": deleted,
            "rebound": sorted({n for n in assigned if n in self.before and self._is(n)}),
            "unlooked": changes.unlooked,
            "remotes": self.remotes,
            **_description(done),
            **said,
        }
        return self._message()

    def _keep_all(self) -> None:
        """Let the result and what was assigned stay here, whatever their size.

        Code comes back as always, and so does what the notebook has already.
        """
        assigned = self._payload["assigned"]
        self._payload["assigned"] = {n: self._stand(value) for n, value in assigned.items()}
        self._payload["result"] = tuple(self._stand(v) for v in self._payload["result"])

    def _stand(self, value: Any) -> Any:
        if value is None or isinstance(value, _CODE) or id(value) in self._nodes:
            return value
        nbytes = self._size(value)
        key = self.store.put(value, nbytes, shared=nbytes is None or nbytes >= BLOB)
        self.remotes[key] = self.store.info(key)
        stand = _Stand(key)
        self._stands[id(stand)] = stand
        return stand

    def _size(self, value: Any) -> int | None:
        try:
            stream, buffers, _ = dump([value], owns=self.owns)
        except Exception:  # noqa: BLE001 - user classes raise what they like
            return None
        return _total(stream, buffers)

    def _message(self) -> tuple[dict[str, Any], list[Buffer]]:
        stream, buffers = self._dump()
        header = {**self._header, "readonly": [view.readonly for view in buffers]}
        return header, [stream, *buffers]

    def apart(self) -> tuple[dict[str, Any], list[Buffer]]:
        """Each value in a pickle of its own: the kernel finds out which it cannot load."""
        parts: list[Buffer] = []
        readonly = []
        for value in self._values():
            stream, buffers = self._attempt(value)
            parts += [stream, *buffers]
            readonly.append([view.readonly for view in buffers])
        return {"op": "apart", "readonly": readonly, "remotes": self.remotes}, parts

    def again(self, stay: Sequence[int]) -> tuple[dict[str, Any], list[Buffer]]:
        """The outcome once more; these values, by their place in :meth:`apart`, stay here."""
        values = self._values()
        for index in stay:
            if values[index] is self._payload["error"]:
                self._payload["error"] = None
            else:
                stream, buffers = self._attempt(values[index])
                self._stay(values[index], _total(stream, buffers))
        self._header["again"] = True
        return self._message()

    def _is(self, name: str) -> bool:
        return self.space.get(name) is self.before[name]

    def _assigned(self, replaced: set[int]) -> dict[str, Any]:
        found = {}
        for name, value in self.space.items():
            if name in _OWN or (name in self.deletes and value is None):
                continue
            if name in self.ambient and self.ambient[name] is value:
                continue
            fresh = name not in self.before or self.before[name] is not value
            if fresh or (replaced and self._reaches(value, replaced)):
                found[name] = value
        return found

    def _reaches(self, value: Any, replaced: set[int]) -> bool:
        if id(value) in replaced:
            return True
        kind = kind_of(value, self.owns)
        return kind == "through" and holds(value, "through", replaced, self.owns)

    # -- pickling --------------------------------------------------------------------------

    def _dump(self) -> tuple[bytes, list[memoryview]]:
        payload = self._payload
        self._memory = self._find_memory()
        try:
            stream, buffers = self._attempt(payload)
        except Exception:  # noqa: BLE001 - user classes raise what they like
            self._mend()
            stream, buffers = self._attempt(payload)
        if _total(stream, buffers) > self.limit:
            self._shrink()
            stream, buffers = self._attempt(payload)
        return stream, buffers

    def _attempt(self, value: Any) -> tuple[bytes, list[memoryview]]:
        stands = {number: stand.key for number, stand in self._stands.items()}
        known = {**self._nodes, **self.store.known(), **stands}
        stream, buffers, _ = dump([value], owns=self.owns, known=known, memory=self._memory)
        return stream, buffers

    def _works(self, value: Any) -> bool:
        try:
            self._attempt(value)
        except Exception:  # noqa: BLE001 - as above
            # Whatever it is that a __reduce__ raises: the value stays.
            return False
        return True

    def _find_memory(self) -> Memory | None:
        payload = self._payload
        fresh = walk({**payload["assigned"], "": payload["result"]}, self.owns)
        # Those that the kernel has come first, so that views of them stay views.
        arrays = [n for n in self.tracker.nodes if kind_of(n, self.owns) == "array"]
        arrays += [n.value for n in fresh.values() if n.kind == "array"]
        return Memory(arrays) if arrays else None

    def _values(self) -> list[Any]:
        """Everything that goes back, as far as it can stay here by itself."""
        payload = self._payload
        values = [*payload["assigned"].values(), *payload["result"]]
        values += [value for _, value in payload["replaced"]]
        for _, kind, content in payload["contents"]:
            values += _members(kind, content)
        return [*values, payload["error"]]

    def _mend(self) -> None:
        """Let stay here what cannot be pickled, and nothing else."""
        *values, error = self._values()
        for value in values:
            if not self._works(value):
                self._stay(value, None)
        if not self._works(error):
            self._payload["error"] = None

    def _shrink(self) -> None:
        """Let the largest values stay here until the rest is small enough."""
        payload, sizes = self._payload, []
        for value in (*payload["assigned"].values(), *payload["result"]):
            stream, buffers = self._attempt(value)
            sizes.append((_total(stream, buffers), value))
        sizes.sort(key=lambda pair: -pair[0])
        for size, value in sizes:
            stream, buffers = self._attempt(payload)
            if _total(stream, buffers) <= self.limit:
                return
            self._stay(value, size)

    def _stay(self, value: Any, size: int | None) -> None:
        key = self.store.put(value, size)
        self.remotes[key] = self.store.info(key)


def _total(stream: bytes, buffers: Sequence[memoryview]) -> int:
    return len(stream) + sum(view.nbytes for view in buffers)


def _members(kind: str, content: Any) -> list[Any]:
    """The objects in a content, each of which may be what cannot be pickled."""
    if kind in ("list", "set"):
        return [*content[0], *_own(content[1])]
    if kind == "dict":
        return [*content[0].keys(), *content[0].values(), *_own(content[1])]
    if kind == "instance":
        return _own(content)
    if kind == "widget":
        return list(content.values())
    if kind == "objects":
        return list(content.flat)
    if kind == "class":
        return list(content[0].values())
    if kind == "function":
        return [*content[2].values(), *(cell[0] for cell in content[3] if cell)]
    return []


def _own(content: Any) -> list[Any]:
    return [] if content is None else [*content[0].values(), *content[1].values()]


def _description(done: Executed) -> dict[str, Any]:
    described: dict[str, Any] = {
        "has": done.has,
        "data": done.data,
        "metadata": done.metadata,
        "rendered": done.rendered,
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "error": None,
    }
    if done.error is not None:
        kind = type(done.error)
        try:
            text = str(done.error)
        except Exception as error:  # noqa: BLE001 - as above
            text = f"(its text failed: {error})"
        described["error"] = {"name": kind.__name__, "bases": _bases(kind), "text": text}
    return described


def _bases(kind: type) -> list[str]:
    import builtins

    return [b.__name__ for b in kind.__mro__ if getattr(builtins, b.__name__, None) is b]
