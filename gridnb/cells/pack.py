"""The kernel's side of sending: one pickle of everything that a body needs."""

from __future__ import annotations

import dis
import hashlib
import io
import linecache
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gridnb.cells import ambient
from gridnb.cells.arrays import Memory
from gridnb.cells.capture import Capture, capture, global_names, hidden, submodules
from gridnb.cells.frames import Buffer
from gridnb.cells.marks import Marks, marks
from gridnb.cells.modules import Source, local_sources
from gridnb.cells.nodes import Node, walk
from gridnb.cells.pickles import BLOB, Buffers, CellPickler, dump
from gridnb.cells.remote import Remote
from gridnb.errors import CaptureError

__all__ = ["Packed", "digest", "pack"]


@dataclass(frozen=True)
class Packed:
    """Everything that travels with a body; can be sent many times, from any thread.

    Attributes
    ----------
    names
        Names that were captured.
    marks
        What the local modules among them are like here.
    nodes
        The numbered local objects, into which changes come back.
    remotes
        Values among them that stayed at a site: the body has to run where they are.
    ambient
        What the body finds around it beside its names.
    codes
        Compiled pieces of the body, and of the functions that travel.
    """

    stream: bytes
    count: int
    buffers: list[memoryview]
    readonly: list[bool]
    names: list[str]
    deletes: list[str]
    nodes: list[Node]
    imports: list[str]
    lines: dict[str, list[str]]
    sources: dict[str, Source] = field(default_factory=dict)
    marks: dict[str, Marks] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    remotes: list[Remote] = field(default_factory=list)
    ambient: dict[str, str] = field(default_factory=dict)
    codes: list[types.CodeType] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes of the pickle and its buffers."""
        return len(self.stream) + sum(view.nbytes for view in self.buffers)


def digest(data: Buffer) -> str:
    """Name of a blob: what it holds."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def pack(
    body: str,
    namespace: dict[str, Any],
    *,
    shell: Any = None,
    without: Iterable[str] = (),
) -> Packed:
    """Capture what ``body`` needs from ``namespace`` and pickle it.

    Raises
    ------
    CaptureError
        If a value cannot be pickled; names the variable.
    """
    found = capture(body, namespace, shell=shell, without=without)
    return _Packing(namespace, shell, set(without)).pack(found)


class _Packing:
    def __init__(self, namespace: dict[str, Any], shell: Any, without: set[str]) -> None:
        self.namespace, self.shell, self.without = namespace, shell, without
        self.values: dict[str, Any] = {}

    def owns(self, space: dict[str, Any]) -> bool:
        return space is self.namespace

    def pack(self, found: Capture) -> Packed:
        self.values = {name: self.namespace[name] for name in found.reads}
        nodes = walk(self._closed(), self.owns)
        file, kept = io.BytesIO(), Buffers()
        memory = Memory(node.value for node in nodes.values() if node.kind == "array")
        pickler = CellPickler(file, owns=self.owns, keep=kept, memory=memory)
        dumps = 2
        try:
            pickler.dump(self.values)
            # Functions inside of objects that are not followed read names too.
            while late := self._late(pickler) - self.values.keys():
                fresh = {name: self.namespace[name] for name in sorted(late)}
                self.values |= fresh
                pickler.dump(fresh)
                dumps += 1
                nodes = walk(self.values, self.owns)
            pickler.dump([node.value for node in nodes.values()])
        except Exception as error:
            raise self._blame(error) from error
        stream = file.getvalue()
        large: list[Buffer] = [*kept.views, *_large(stream)]
        codes = [*found.codes, *pickler.codes]
        modules = [v for v in self.values.values() if isinstance(v, types.ModuleType)]
        sources = local_sources({*pickler.modules, *found.imports, *_imported(codes)})
        return Packed(
            stream=stream,
            count=dumps,
            buffers=kept.views,
            readonly=[view.readonly for view in kept.views],
            names=list(self.values),
            deletes=[name for name in found.deletes if name not in self.values],
            nodes=list(nodes.values()),
            imports=sorted(submodules(codes, modules)) if modules else [],
            lines=_lines(pickler.codes),
            sources=sources,
            marks={n: marks(sys.modules[n]) for n in sources if n in sys.modules},
            digests=[digest(part) for part in large],
            remotes=pickler.remotes,
            # Here, since some of it belongs to the thread that asks.
            ambient=ambient.here(),
            codes=codes,
        )

    def _closed(self) -> dict[str, Any]:
        """The captured values, and those that the functions among them read, and so on."""
        seen: set[int] = set()
        while True:
            reached = walk(self.values, self.owns)
            functions = [n for n in reached.values() if n.kind == "function"]
            fresh = [node for node in functions if id(node.value) not in seen]
            names = self._wanted(n for node in fresh for n in global_names(node.value.__code__))
            seen |= {id(node.value) for node in fresh}
            new = sorted(names - self.values.keys())
            if not new:
                return self.values
            self.values |= {name: self.namespace[name] for name in new}

    def _wanted(self, names: Iterable[str]) -> set[str]:
        return {
            name
            for name in names
            if name in self.namespace
            and name not in self.without
            and not hidden(name, self.namespace, self.shell)
        }

    def _late(self, pickler: CellPickler) -> set[str]:
        """Names that functions read, and those under which others look for travelling classes."""
        space = self.namespace
        named = {each.__name__ for each in pickler.classes if space.get(each.__name__) is each}
        return self._wanted(pickler.names | named)

    def _blame(self, error: Exception) -> CaptureError:
        for name, value in self.values.items():
            try:
                dump([value], owns=self.owns)
            except Exception as own:  # noqa: BLE001 - user classes raise what they like
                reason = " ".join(str(own).split()) or type(own).__name__
                return CaptureError(
                    f"variable {name!r} ({type(value).__name__}) cannot be sent to a site: "
                    f"{reason}; make it inside the cell, or leave it out"
                )
        return CaptureError(f"the cell's variables cannot be sent together: {error}")


def _large(stream: bytes) -> list[bytes]:
    return [stream] if len(stream) >= BLOB else []


def _imported(codes: Iterable[types.CodeType]) -> set[str]:
    """Modules that functions import when they are called."""
    found: set[str] = set()
    for code in codes:
        found |= (
            {name for name in code.co_names if name.isidentifier()} if _imports(code) else set()
        )
        found |= _imported(c for c in code.co_consts if isinstance(c, types.CodeType))
    return found


def _imports(code: types.CodeType) -> bool:
    return any(i.opname == "IMPORT_NAME" for i in dis.get_instructions(code))


def _lines(codes: Iterable[types.CodeType]) -> dict[str, list[str]]:
    """Source of the notebook's cells that the functions come from, for tracebacks."""
    found: dict[str, list[str]] = {}
    for name in {code.co_filename for code in codes}:
        entry: Any = linecache.cache.get(name)
        if entry is not None and len(entry) > 2 and entry[1] is None:
            found[name] = list(entry[2])
    return found
