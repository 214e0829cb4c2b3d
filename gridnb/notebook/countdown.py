"""The thread that keeps the lines under cells up to date.

There is one for a kernel. Costs are asked for when the hub has heard the end
of a run; the newest line alone counts down until its lease is released.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from gridnb.errors import GridError
from gridnb.notebook.footer import Footer

__all__ = ["Countdown"]

FIRST = 0.3  # seconds after a cell, and after the newest: a burst of cells is left alone
SETTLED = 1.6  # seconds until workers have reported the last of a run
EVERY = 4.0  # seconds between two looks at the countdown


class Countdown:
    """Follows the lines of one grid; :meth:`stop` before it is closed."""

    def __init__(self, grid: Any, session: Any) -> None:
        self._grid, self._session = grid, session
        self._wake = threading.Condition()
        self._older: list[Footer] = []
        self._newest: Footer | None = None
        self._due = 0.0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def follow(self, footer: Footer) -> None:
        """Keep a line up to date; the one before it gets its cost and then rests."""
        with self._wake:
            if self._newest is not None:
                self._older.append(self._newest)
            self._newest = footer
            self._due = footer.ended + FIRST
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(
                    target=self._run, name="gridnb-countdown", daemon=True
                )
                self._thread.start()
            elif len(self._older) < 2:
                # In a burst the thread is awake soon enough by itself.
                self._wake.notify()

    def stop(self) -> None:
        """End the thread; the lines stay as they are."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def look(self) -> None:
        """Look at the newest line's lease now, since something was released."""
        with self._wake:
            self._due = 0.0
            self._wake.notify()

    def _run(self) -> None:
        while (footer := self._next()) is not None:
            asked = time.monotonic()
            try:
                info = self._grid.cluster.call("run_info", run=footer.run)
            except (GridError, OSError, RuntimeError):
                # The hub has gone: the lines stay as they were.
                with self._wake:
                    self._older.clear()
                    self._newest = None
                continue
            self._show(footer, info, asked)

    def _next(self) -> Footer | None:
        """Wait for a line that is due; None when it is time to stop."""
        with self._wake:
            while not self._stopped:
                now = time.monotonic()
                newest = self._newest
                quiet = newest is None or now >= newest.ended + FIRST
                if quiet and newest is not None and now >= self._due:
                    return newest
                if quiet and self._older and now >= self._older[0].ended + SETTLED:
                    return self._older.pop(0)
                self._wake.wait(self._patience(now))
            return None

    def _patience(self, now: float) -> float | None:
        times = []
        if self._newest is not None:
            times.append(max(self._due, self._newest.ended + FIRST))
        if self._older:
            quiet = 0.0 if self._newest is None else self._newest.ended + FIRST
            times.append(max(self._older[0].ended + SETTLED, quiet))
        if not times or min(times) == float("inf"):
            return None
        return max(min(times) - now, 0.01)

    def _show(self, footer: Footer, info: dict[str, Any], asked: float) -> None:
        before = footer.parts()
        footer.take(info, exact=asked >= footer.ended + SETTLED)
        self._session.left = footer.left
        with self._wake:
            newest = footer is self._newest
            if newest:
                self._schedule(footer)
        if not newest:
            footer.released_in, footer.released = None, False
        if footer.parts() != before:
            footer.update()

    def _schedule(self, footer: Footer) -> None:
        """Say when to look at the newest line again: never once its lease is released."""
        now = time.monotonic()
        if now < footer.ended + SETTLED:
            self._due = footer.ended + SETTLED
        elif footer.released or footer.released_in is None:
            self._due = float("inf")
        else:
            self._due = now + min(EVERY, max(footer.released_in, 0.5))
