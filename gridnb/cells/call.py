"""The kernel's end: sends a run to a cell process and hears it to its end."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridnb.cells.line import Line, Stuck
from gridnb.cells.loader import Loader
from gridnb.cells.outcome import Outcome
from gridnb.cells.outcome import apply as apply
from gridnb.cells.pack import pack
from gridnb.cells.run import LIMIT, Run, Sink
from gridnb.cells.talk import Talk, in_words
from gridnb.errors import CellLost, ReturnError

__all__ = ["LIMIT", "CellConnection", "Run", "Sink", "apply"]


class CellConnection(Line):
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
        super().__init__(address, (tls_ca, tls_cert, tls_key))
        self.site = site
        self._lock = threading.Lock()
        self.loader = Loader(site, self.fetch)

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
            self.loader.space = run.namespace
            self.pressed()  # what was meant for a run that has ended must not hit this one
            with self._interrupts():
                return self._converse(Talk(self, run, packed, sink))

    def _converse(self, talk: Talk) -> Outcome:
        try:
            talk.begin()
            while True:
                header, parts = self.channel.receive(talk.stop.tick, self.wake)
                if talk.take(header, parts):
                    return talk.outcome
        except Stuck:
            raise KeyboardInterrupt(
                f"the cell did not stop and was ended; {talk.unreturned()}"
            ) from None
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

    def fetch(self, key: str) -> Any:
        """Bring a value here that stayed there; see :meth:`gridnb.cells.remote.Remote.fetch`."""
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
            return self.loader.load(parts, header["readonly"], None, {})
        except Exception as error:
            raise ReturnError(f"the value cannot be loaded here: {in_words(error)}") from error
