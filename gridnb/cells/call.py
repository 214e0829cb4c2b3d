"""The kernel's end: sends a run to a cell process and hears it to its end."""

from __future__ import annotations

import linecache
import os
import signal
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridnb.cells.frames import Buffer, connect
from gridnb.cells.outcome import Outcome
from gridnb.cells.outcome import apply as apply
from gridnb.cells.pack import pack
from gridnb.cells.pickles import load, loading
from gridnb.cells.remote import Remote
from gridnb.cells.run import LIMIT, Run, Sink
from gridnb.cells.talk import Talk, in_words
from gridnb.errors import CellLost, ReturnError

__all__ = ["LIMIT", "CellConnection", "Run", "Sink", "apply"]


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
        self.channel = connect(address, (tls_ca, tls_cert, tls_key))
        self._lock = threading.Lock()
        self._remotes: weakref.WeakValueDictionary[str, Remote] = weakref.WeakValueDictionary()
        self._drops: list[str] = []
        self.wake, self._wake_write = os.pipe()
        for descriptor in (self.wake, self._wake_write):
            os.set_blocking(descriptor, False)
        self._space: dict[str, Any] = {}

    def fileno(self) -> int:
        """Descriptor of the connection, -1 when it is closed."""
        return self.channel.fileno()

    def close(self) -> None:
        """Close it; a run that is under way is interrupted."""
        self.channel.close()
        if self.wake < 0:
            return
        for descriptor in (self.wake, self._wake_write):
            os.close(descriptor)
        self.wake = self._wake_write = -1

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
            self._forget_interrupts()
            with self._interrupts():
                return self._converse(Talk(self, run, packed, sink))

    def _forget_interrupts(self) -> None:
        """What was meant for a run that has ended must not hit this one."""
        with suppress(BlockingIOError):
            while os.read(self.wake, 64):
                continue

    def _converse(self, talk: Talk) -> Outcome:
        try:
            talk.begin()
            while True:
                header, parts = self.channel.receive(talk.tick, self.wake)
                if talk.take(header, parts):
                    return talk.outcome
        except (EOFError, OSError) as error:
            self.channel.close()
            raise CellLost(
                f"run {talk.run.id}: the cell process at {self.site or self.address} ended before "
                f"the cell did; {talk.unreturned()}"
            ) from error

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Note interrupts instead of raising them in the middle of a message."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(_signal: int, _frame: types.FrameType | None) -> None:
            self.interrupt()

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _fetch(self, key: str) -> Any:
        with self._lock:
            try:
                self.channel.send({"op": "fetch", "key": key})
                header, parts = self.channel.receive()
            except (EOFError, OSError) as error:
                raise CellLost(
                    f"the cell process that held this value ({self.site or self.address}) has ended"
                ) from error
        if header["op"] == "refused":
            raise ReturnError(header["text"])
        try:
            return self.loads(parts, header["readonly"], None, {})
        except Exception as error:
            raise ReturnError(f"the value cannot be loaded here: {in_words(error)}") from error

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
