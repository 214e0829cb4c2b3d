"""The warm part of a cell process: takes a run message apart, runs it, makes the outcome."""

from __future__ import annotations

import importlib
import os
import sys
import types
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from gridnb.cells.changes import Tracker
from gridnb.cells.dask import CellDask
from gridnb.cells.execute import Body, Executed, Executor
from gridnb.cells.frames import Buffer, Channel
from gridnb.cells.giveback import Giveback
from gridnb.cells.modules import Finder, Source
from gridnb.cells.pickles import dump, load, loading
from gridnb.cells.shell import CellShell
from gridnb.cells.spec import CellSpec
from gridnb.cells.store import Store
from gridnb.cells.streams import Descriptors, Outbox, Stream
from gridnb.cells.surroundings import Surroundings
from gridnb.errors import CellError
from gridnb.staged import release

__all__ = ["Runner"]

Answer = tuple[dict[str, Any], list[Buffer]]


class Interrupts(Protocol):
    """Whoever hears interrupts."""

    def may_interrupt(self) -> AbstractContextManager[None]:
        """The stretch in which an interrupt becomes a KeyboardInterrupt."""

    def stopped(self) -> bool:
        """Whether the run under way was interrupted."""


class Runner:
    """Everything that is warm."""

    def __init__(
        self,
        spec: CellSpec,
        interrupts: Interrupts,
        log: Callable[[str], None],
    ) -> None:
        self._spec, self._interrupts = spec, interrupts
        self._outbox = Outbox()
        self._outbox.owners.follow()
        self._descriptors = Descriptors(self._outbox)
        self._store = Store(f"{spec.worker}-{uuid.uuid4().hex[:8]}")
        self._finder = Finder()
        sys.meta_path.insert(0, self._finder)
        self._shell = CellShell.start(self._outbox)
        self._executor = Executor(
            self._shell,
            self._outbox,
            speed=spec.speed,
            may_interrupt=interrupts.may_interrupt,
            interrupted=lambda: self._dask.cancel(),
        )
        self._streams: dict[str, Stream] = {}
        self._dask = CellDask(spec, log)
        self._dask.start()
        self._keep: list[Any] = []
        self._back: Giveback | None = None
        self._told: list[str] = []

    def run(self, header: dict[str, Any], parts: list[Buffer], channel: Channel) -> Answer:
        """Run what a kernel sent, and make the outcome message."""
        run = header["run"]
        module = types.ModuleType("__main__")
        space = module.__dict__
        sys.modules["__main__"] = module
        self._prepare(header)

        def owns(other: dict[str, Any]) -> bool:
            return other is space or other.get("__name__") == "__main__"

        try:
            self._dask.begin(run, [header["body"].encode(), *_mentions(header), *parts])
            with loading(space, self._store.get):
                before, nodes = self._load(header, parts)
        except Exception as error:  # noqa: BLE001 - the kernel hears it
            return self._refusal(error, run), []
        exits = {"exit": self._shell.exiter, "quit": self._shell.exiter, "_dh": []}
        space.update(exits)
        space.update(dict.fromkeys(header["deletes"]))
        space.update(before)
        names = header["returns"] == "names"
        tracker = Tracker(nodes if names else [], owns, header["compare_limit"])
        self._outbox.open(run, channel, channel.send)
        around = Surroundings(header, self._finder)
        self._store.watch(header["watch"])
        done = self._execute(header, module)
        release(None)  # staged files that it has opened may be evicted
        if isinstance(done.error, KeyboardInterrupt) or self._interrupts.stopped():
            self._dask.cancel()
            self._told += self._dask.cancelled()
        else:
            self._dask.settle()
        self._back = back = Giveback(
            space,
            before,
            exits,
            header["deletes"],
            tracker,
            self._store,
            owns,
            header["fetch_limit"],
            header["keep"],
        )
        said = {**around.left(space, self._told), "altered": self._store.altered(header["watch"])}
        answer, out = back.build(done, names=names, said=said)
        # Futures among the values live on until the kernel's own client has them.
        self._keep = [space, done]
        return {**answer, "run": run}, out

    def _prepare(self, header: dict[str, Any]) -> None:
        self._store.drop(header.get("drops", ()))
        self._finder.take({name: Source(**item) for name, item in header["sources"].items()})
        for name, lines in header["lines"].items():
            self._shell.label(name, lines, header["labels"].get(name, 0))
        self._descriptors.restore()
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            stream = self._streams.get(name)
            if stream is None or stream.closed:
                stream = self._streams[name] = Stream(
                    name, self._outbox, descriptor, self._descriptors.pull
                )
            setattr(sys, name, stream)

    def _load(
        self, header: dict[str, Any], parts: list[Buffer]
    ) -> tuple[dict[str, Any], list[Any]]:
        for name in header["imports"]:
            importlib.import_module(name)
        streams = [parts.pop(0) for _ in range(header["inline"])]
        if header["stream_apart"]:
            streams.insert(0, parts.pop())
        values = load(streams[0], _copies(parts, header["readonly"]), header["count"])
        nodes = values.pop()
        before: dict[str, Any] = {}
        for part in values:
            before |= part
        if len(streams) > 1:
            before |= load(streams[1], (), 1)[0]
        return before, nodes

    def _refusal(self, error: Exception, run: str) -> dict[str, Any]:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ModuleNotFoundError):
            text = (
                f"module {error.name!r} is not installed at site {self._spec.site}; "
                "install it there, or leave it out of the cell"
            )
        elif not isinstance(error, LookupError | CellError):
            text = f"the captured values could not be loaded at site {self._spec.site}: {text}"
        return {"op": "refused", "run": run, "text": text}

    def _execute(self, header: dict[str, Any], module: types.ModuleType) -> Executed:
        body = Body(
            header["body"],
            header["name"],
            header["labels_count"],
            header["first"],
            header["flags"],
            alone=header["returns"] != "names",
        )
        pid = os.getpid()
        done = self._executor.run(body, module)
        if os.getpid() == pid:
            self._told = self._shell.finish() + _waiting(self._executor.waiting())
            self._descriptors.drain()
            self._outbox.close()
        return done

    def answer(self, header: dict[str, Any], parts: list[Buffer]) -> Answer:
        """Answer what is not a run."""
        if header["op"] == "fetch":
            return self._fetch(header["key"])
        if header["op"] == "late":
            return {"op": "late", "messages": self._outbox.late(), "going": self._going()}, []
        if header["op"] == "export":
            return self._export(header["keys"])
        if header["op"] == "import":
            return self._import(header, parts)
        if header["op"] in ("apart", "again") and self._back is not None:
            back = self._back
            answer, out = back.apart() if header["op"] == "apart" else back.again(header["stay"])
            return {**answer, "run": header["run"]}, out
        return {"op": "refused", "text": f"unknown message {header['op']!r}"}, []

    def _going(self) -> list[str]:
        self._descriptors.pull()
        return sorted(self._outbox.owners.going())

    def _fetch(self, key: str) -> Answer:
        try:
            value = self._store.get(key)
            stream, buffers, _ = dump([value], owns=lambda s: s.get("__name__") == "__main__")
        except Exception as error:  # noqa: BLE001 - the kernel hears it
            return {"op": "refused", "text": f"the value cannot be brought here: {error}"}, []
        readonly = [view.readonly for view in buffers]
        return {"op": "fetched", "readonly": readonly}, [stream, *buffers]

    def _export(self, keys: list[str]) -> Answer:
        try:
            header, out = self._store.pack(keys)
        except Exception as error:  # noqa: BLE001 - the kernel hears it
            text = f"it cannot be copied to another process: {error}"
            return {"op": "refused", "text": " ".join(text.split())}, []
        return {**header, "op": "exported"}, out

    def _import(self, header: dict[str, Any], parts: list[Buffer]) -> Answer:
        try:
            self._store.unpack(header, parts)
        except Exception as error:  # noqa: BLE001 - the kernel hears it
            text = f"it cannot be loaded at site {self._spec.site}: {error}"
            return {"op": "refused", "text": " ".join(text.split())}, []
        return {"op": "imported"}, []


def _waiting(tasks: list[str]) -> list[str]:
    if not tasks:
        return []
    return [f"goes on only while a later cell there awaits something: {', '.join(tasks)}"]


def _mentions(header: dict[str, Any]) -> list[bytes]:
    """Texts other than the body's in which Dask may be named."""
    return [source["text"].encode() for source in header["sources"].values()]


def _copies(parts: list[Buffer], readonly: list[bool]) -> list[Buffer]:
    """What was kept must not change, and what was writable must be so."""
    return [
        bytes(part) if fixed else bytearray(part)
        for part, fixed in zip(parts, readonly, strict=True)
    ]
