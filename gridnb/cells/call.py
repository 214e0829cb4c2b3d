"""The kernel's end: sends a run to a cell process and hears it to its end."""

from __future__ import annotations

import linecache
import os
import signal
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from gridnb.cells.capture import hidden
from gridnb.cells.frames import Buffer, Channel, connect
from gridnb.cells.outcome import Outcome, add_note, make_error
from gridnb.cells.outcome import apply as apply
from gridnb.cells.pack import Packed, pack
from gridnb.cells.pickles import BLOB, dump, load, loading
from gridnb.cells.remote import Remote
from gridnb.errors import CaptureError, CellLost, ReturnError

__all__ = ["LIMIT", "CellConnection", "Run", "Sink", "apply"]

#: Default size (bytes) up to which values come back, and are compared.
LIMIT = 256 * 2**20


class Sink(Protocol):
    """Takes a run's output, in order, in the calling thread."""

    def stream(self, name: str, text: str) -> None:
        """Text of ``stdout`` or ``stderr``."""

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """A mime bundle; ``update`` replaces the one with the same display id."""

    def clear(self, wait: bool) -> None:
        """Clear the output."""


@dataclass
class Run:
    """One body to run.

    Attributes
    ----------
    id
        Names the run in the meter.
    body, namespace
        The cell's text, and the notebook's namespace, which is only read.
    count
        The notebook's execution count.
    shell
        The notebook's IPython shell, or None.
    packed
        What :func:`~gridnb.cells.pack.pack` made, to send it several times.
    bindings
        Names bound at the site beside the captured ones (``--map``).
    returns
        ``names``: everything that the cell assigns and changes; ``result``: its value only.
    fetch_limit, compare_limit
        In bytes.
    first
        The cell's first line.
    patience
        Seconds between an interrupt and `on_stuck`.
    on_stuck
        Called when an interrupt has no effect; has to end the cell process.
    """

    id: str
    body: str
    namespace: dict[str, Any]
    count: int = 0
    shell: Any = None
    packed: Packed | None = None
    bindings: dict[str, Any] = field(default_factory=dict)
    returns: str = "names"
    fetch_limit: int = LIMIT
    compare_limit: int = LIMIT
    first: str = "%%grid"
    patience: float = 1.0
    on_stuck: Callable[[], object] = lambda: None


class CellConnection:
    """One open connection to a cell process; runs one body at a time.

    Raises
    ------
    CellError
        If nobody listens at ``address``, or it is not a process of this grid.
    """

    def __init__(
        self,
        address: str,
        *,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        site: str = "",
    ) -> None:
        self.address, self.site = address, site
        self._channel = connect(address, (tls_ca, tls_cert, tls_key))
        self._lock = threading.Lock()
        self._remotes: weakref.WeakValueDictionary[str, Remote] = weakref.WeakValueDictionary()
        self._drops: list[str] = []
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        self._labelled: set[str] = set()
        self._space: dict[str, Any] = {}

    def fileno(self) -> int:
        """Descriptor of the connection, -1 when it is closed."""
        return self._channel.fileno()

    def close(self) -> None:
        """Close it; a run that is under way is interrupted."""
        self._channel.close()
        if self._wake_read < 0:
            return
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
        self._wake_read = self._wake_write = -1

    def interrupt(self) -> None:
        """Interrupt the run that is under way, from any thread."""
        if self._wake_write >= 0:
            os.write(self._wake_write, b"i")

    def run(self, run: Run, *, sink: Sink) -> Outcome:
        """Run a body at the site; what it changed is applied by :func:`apply`.

        Raises
        ------
        CaptureError
            If something that the body reads cannot be sent.
        CellLost
            If the process ended before the body did.
        KeyboardInterrupt
            If an interrupt had no effect and the process was given up.
        """
        with self._lock:
            packed = run.packed or pack(
                run.body, run.namespace, shell=run.shell, without=run.bindings
            )
            self._space = run.namespace
            outcome = Outcome()
            self._forget_interrupts()
            with self._interrupts() as pressed:
                return self._converse(_Talk(self, run, packed, sink, outcome, pressed))

    def _forget_interrupts(self) -> None:
        """What was meant for a run that has ended must not hit this one."""
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 64):
                continue

    def _converse(self, talk: _Talk) -> Outcome:
        try:
            talk.begin(self._channel)
            while True:
                header, parts = self._channel.receive(talk.tick, self._wake_read)
                if talk.take(header, parts, self._channel):
                    return talk.outcome
        except (EOFError, OSError) as error:
            self._channel.close()
            raise CellLost(
                f"run {talk.run.id}: the cell process at {self.site or self.address} ended before "
                f"the cell did; {talk.unreturned()}"
            ) from error

    @contextmanager
    def _interrupts(self) -> Iterator[list[float]]:
        """Note interrupts instead of raising them in the middle of a message."""
        pressed: list[float] = []
        if threading.current_thread() is not threading.main_thread():
            yield pressed
            return

        def note(_signal: int, _frame: types.FrameType | None) -> None:
            self.interrupt()

        before = signal.signal(signal.SIGINT, note)
        try:
            yield pressed
        finally:
            signal.signal(signal.SIGINT, before)

    def _fetch(self, key: str) -> Any:
        with self._lock:
            try:
                self._channel.send({"op": "fetch", "key": key})
                header, parts = self._channel.receive()
            except (EOFError, OSError) as error:
                raise CellLost(
                    f"the cell process that held this value ({self.site or self.address}) has ended"
                ) from error
        if header["op"] == "refused":
            raise ReturnError(header["text"])
        return self.loads(parts, header["readonly"], None, {})

    def loads(
        self,
        parts: list[bytearray],
        readonly: list[bool],
        nodes: Callable[[int], Any] | None,
        remotes: dict[str, dict[str, Any]],
    ) -> Any:
        """Load what came back, into the user's namespace and objects."""

        def remote(key: str) -> Remote:
            found = self._remotes.get(key)
            if found is None:
                found = Remote(key, self.site, fetch=self._fetch, **remotes[key])
                self._remotes[key] = found
                weakref.finalize(found, self._drops.append, key)
            return found

        def known(pid: Any) -> Any:
            return remote(pid) if isinstance(pid, str) else nodes and nodes(pid)

        buffers: list[Buffer] = [
            bytes(part) if fixed else part for part, fixed in zip(parts[1:], readonly, strict=True)
        ]
        with loading(self._space, remote):
            return load(parts[0], buffers, 1, known=known)[0]

    def labels(self, run: Run) -> str:
        """A file name for the body's code, known here too, for later tracebacks."""
        lines = [run.first, *run.body.splitlines()]
        text = "\n".join(lines) + "\n"
        compiler = getattr(run.shell, "compile", None)
        if compiler is not None:
            return str(compiler.cache(text, run.count, raw_code=text))
        name = f"<cell {run.count} of run {run.id}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        return name

    def take_drops(self) -> list[str]:
        """Keys of remotes that nobody here holds any more."""
        drops, self._drops[:] = self._drops[:], []
        return drops


class _Talk:
    """The messages of one run."""

    def __init__(
        self,
        connection: CellConnection,
        run: Run,
        packed: Packed,
        sink: Sink,
        outcome: Outcome,
        pressed: list[float],
    ) -> None:
        self.connection, self.run, self.packed = connection, run, packed
        self.sink, self.outcome = sink, outcome
        self._end: float | None = None

    def begin(self, channel: Channel) -> None:
        """Send the run."""
        run, packed = self.run, self.packed
        apart = len(packed.stream) >= BLOB
        inline: list[Buffer] = [] if apart else [packed.stream]
        if run.bindings:
            inline.append(dump([run.bindings], owns=lambda s: s is run.namespace, large=False)[0])
        header = {
            "op": "run",
            "run": run.id,
            "body": run.body,
            "name": self.connection.labels(run),
            "labels_count": run.count,
            "first": run.first,
            "flags": _future_flags(run.shell),
            "returns": run.returns,
            "fetch_limit": run.fetch_limit,
            "compare_limit": run.compare_limit,
            "deletes": packed.deletes,
            "imports": packed.imports,
            "sources": {name: source.to_json() for name, source in packed.sources.items()},
            "lines": packed.lines,
            "labels": _labels(run.shell, packed.lines),
            "drops": self.connection.take_drops(),
            "digests": packed.digests,
            "readonly": packed.readonly,
            "count": packed.count,
            "inline": len(inline),
            "stream_apart": apart,
        }
        channel.send(header, inline)
        self.outcome.sent_bytes += sum(len(part) for part in inline)

    def tick(self) -> float | None:
        """How long to wait; sends the interrupt, and gives up when it has no effect."""
        now = time.monotonic()
        try:
            pressed = bool(os.read(self.connection._wake_read, 64))
        except BlockingIOError:
            pressed = False
        if pressed and self._end is None:
            self._end = now + self.run.patience
            self.connection._channel.send({"op": "interrupt", "run": self.run.id})
        if self._end is None:
            return None
        if now < self._end:
            return self._end - now
        self.run.on_stuck()
        self.connection._channel.close()
        raise KeyboardInterrupt(f"the cell did not stop and was ended; {self.unreturned()}")

    def unreturned(self) -> str:
        """What can be said of names that could not come back."""
        names = ", ".join(self.packed.names)
        if not names:
            return "what it assigned is lost"
        return f"what it assigned is lost, and what it changed in {names}"

    def take(self, header: dict[str, Any], parts: list[bytearray], channel: Channel) -> bool:
        """Take one message; True when it was the last."""
        self.outcome.received_bytes += sum(len(part) for part in parts)
        if header.get("run", self.run.id) != self.run.id:
            return False
        match header["op"]:
            case "stream":
                self.sink.stream(header["name"], header["text"])
            case "display":
                self.sink.display(
                    header["data"], header["metadata"], header["transient"], header["update"]
                )
            case "clear":
                self.sink.clear(header["wait"])
            case "result":
                show = getattr(self.sink, "result", None)
                if show is not None:
                    show(header["data"], header["metadata"])
            case "need":
                self._send_blobs(header["digests"], channel)
            case "stopped":
                # It has obeyed; what comes back may take its time.
                self._end = None
            case "refused":
                raise CaptureError(header["text"])
            case "outcome":
                self._finish(header, parts)
                return True
        return False

    def _send_blobs(self, digests: list[str], channel: Channel) -> None:
        if not digests:
            return
        parts: list[Buffer] = [*self.packed.buffers, self.packed.stream]
        by_digest = dict(zip(self.packed.digests, parts, strict=False))
        blobs = [by_digest[key] for key in digests]
        channel.send({"op": "blobs"}, blobs)
        self.outcome.sent_bytes += sum(len(part) for part in blobs)

    def _finish(self, header: dict[str, Any], parts: list[bytearray]) -> None:
        outcome, nodes = self.outcome, self.packed.nodes
        outcome.has, outcome.data, outcome.metadata = (
            header["has"],
            header["data"],
            header["metadata"],
        )
        outcome.deleted, outcome.rebound = header["deleted"], header["rebound"]
        outcome.threads = header["threads"]
        outcome.unlooked = list(dict.fromkeys(nodes[i].name for i in header["unlooked"]))
        outcome.seconds, outcome.cpu_seconds = header["seconds"], header["cpu_seconds"]
        payload = self.connection.loads(
            parts, header["readonly"], lambda i: nodes[i].value, header["remotes"]
        )
        outcome.take(payload, nodes)
        described = header["error"]
        if described is not None:
            outcome.ok = False
            outcome.rendered = header["rendered"]
            outcome.error_name, outcome.error_text = described["name"], described["text"]
            outcome.error = make_error(payload["error"], described, outcome.rendered)
            self._hint(outcome.error)

    def _hint(self, error: BaseException) -> None:
        """Say so if a name that the cell missed is known here: it did not travel."""
        name = getattr(error, "name", None)
        if not isinstance(error, NameError) or name not in self.run.namespace:
            return
        if hidden(name, self.run.namespace, self.run.shell):
            why = "it is IPython's own; bind its value to a name of yours first"
        elif name not in self.packed.names:
            why = (
                "a cell takes along the names that it reads, but not those in strings, eval() or "
                f"globals(); put a line that is only `{name};` into the cell"
            )
        else:
            return
        add_note(error, f"{name!r} is in the notebook and did not travel: {why}")


def _future_flags(shell: Any) -> int:
    import __future__

    flags = int(getattr(getattr(shell, "compile", None), "flags", 0))
    known = (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
    return flags & int(sum({flag for flag in known if flag > 0xFFFF}))


def _labels(shell: Any, lines: dict[str, list[str]]) -> dict[str, int]:
    known = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return {name: known[name] for name in lines if name in known}
