"""A connection to a cell process, on which the run that is under way can be interrupted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from gridnb.cells.frames import TlsFiles, connect

__all__ = ["Line", "Stop", "Stuck"]


class Stuck(Exception):
    """An interrupt had no effect; the cell process was given up."""


class Line:
    """One open connection.

    Raises
    ------
    CellError
        If nobody listens at `address`, or it is not a process of this grid.
    """

    def __init__(self, address: str, tls: TlsFiles) -> None:
        self.address, self._tls = address, tls
        self.channel = connect(address, tls)
        self.wake, self._wake_write = os.pipe()
        for descriptor in (self.wake, self._wake_write):
            os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """Descriptor of the connection, -1 when it is closed."""
        return self.channel.fileno()

    def reconnect(self) -> None:
        """Begin anew with the same process, which drops what it was about to say."""
        self.channel.close()
        self.channel = connect(self.address, self._tls)

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

    def pressed(self) -> bool:
        """Whether somebody has interrupted since this was asked last."""
        found = False
        with suppress(BlockingIOError):
            while os.read(self.wake, 64):
                found = True
        return found


class Stop:
    """The interrupt of one run: sent once, and after `patience` seconds the process is given up."""

    def __init__(
        self, line: Line, run: str, patience: float, on_stuck: Callable[[], object]
    ) -> None:
        self._line, self._run = line, run
        self._patience, self._on_stuck = patience, on_stuck
        self._end: float | None = None
        #: Whether it was sent.
        self.sent = False

    def tick(self) -> float | None:
        """Return how long to wait for the next message, None for any time.

        Raises
        ------
        Stuck
            If the interrupt had no effect.
        """
        now = time.monotonic()
        if self._line.pressed() and not self.sent:
            self.sent = True
            self._end = now + self._patience
            self._line.channel.send({"op": "interrupt", "run": self._run})
        if self._end is None:
            return None
        if now < self._end:
            return self._end - now
        self._on_stuck()
        self._line.channel.close()
        raise Stuck

    def obeyed(self) -> None:
        """The body has stopped; what comes back may take its time."""
        self._end = None
