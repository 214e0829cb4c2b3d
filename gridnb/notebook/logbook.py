"""What a longer cell puts out is written down, too: a browser or kernel may be gone at its end."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.hub.runs import Log, RunRecord

__all__ = ["Logbook"]

AFTER = 2.0  # seconds: what is over sooner has been seen


class Logbook:
    """The output of one run of this kernel; `%grid attach` shows it again."""

    def __init__(self, grid: Grid, run: str, label: str, body: str) -> None:
        self._grid, self._run, self._label, self._body = grid, run, label, body
        self._began, self._wall = time.monotonic(), time.time()
        self._early: list[dict[str, Any]] = []
        self._log: Log | None = None
        self._record: RunRecord | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def put(self, message: dict[str, Any]) -> None:
        """Keep a message of output."""
        with self._lock:
            if self._log is not None:
                self._log.put(message)
                return
            self._early.append(message)
            if self._timer is None:  # it may say nothing more for an hour
                self._timer = threading.Timer(AFTER, self._write)
                self._timer.daemon = True
                self._timer.start()

    def _write(self) -> None:
        from gridnb.errors import HubError
        from gridnb.hub.runs import Log, RunRecord

        with self._lock:
            try:
                self._record = RunRecord.new(self._run)
                self._log = Log(self._record.log)
                self._describe("running", [], "0")
            except (OSError, HubError):
                return  # the cell is worth more than what is kept of it
            for message in self._early:
                self._log.put(message)
            self._early.clear()

    def end(self, state: str, sites: list[str], cost: str) -> None:
        """Write down how it ended, if it is kept at all."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._log is None:
                return
            self._log.close()
            with contextlib.suppress(OSError):
                self._describe(state, sites, cost)

    def _describe(self, state: str, sites: list[str], cost: str) -> None:
        assert self._record is not None
        assert self._log is not None
        self._record.describe(
            {
                "grid": self._grid.id,
                "account": self._grid.account,
                "currency": self._grid.currency,
                "catalog": self._grid.catalog.name,
                "time_scale": str(self._grid.catalog.time_scale),
                "free": all(site.free for site in self._grid.catalog.sites),
                "id": self._run,
                "label": self._label,
                "kind": "here",
                "kernel": os.getpid(),
                "cell": self._body,
                "state": state,
                "reason": "" if state in ("running", "done") else "see its output",
                "began": self._wall,
                "seconds": time.monotonic() - self._began,
                "sites": sites,
                "cost": cost,
                "finished": int(state == "done"),
                "total": 1,
                "pieces": False,
                "sweep": False,
                "log": self._log.size,
            }
        )
