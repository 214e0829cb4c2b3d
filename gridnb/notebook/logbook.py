"""What a longer cell puts out is written down, too: a browser or kernel may be gone at its end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.hub.runs import Log, RunRecord

__all__ = ["Logbook"]

AFTER = 2.0  # seconds: what is over sooner has been seen
MOST = 200  # messages that are kept in memory until then


class Logbook:
    """The output of one run of this kernel; `%grid attach` shows it again."""

    def __init__(self, grid: Grid, run: str, label: str, body: str) -> None:
        self._grid, self._run, self._label, self._body = grid, run, label, body
        self._began, self._wall = time.monotonic(), time.time()
        self._early: list[dict[str, Any]] = []
        self._log: Log | None = None
        self._record: RunRecord | None = None

    def put(self, message: dict[str, Any]) -> None:
        """Keep a message of output."""
        if self._log is None:
            self._early.append(message)
            if time.monotonic() - self._began < AFTER and len(self._early) < MOST:
                return
            self._open()
        else:
            self._log.put(message)

    def _open(self) -> None:
        from gridnb.hub.runs import Log, RunRecord

        self._record = RunRecord.new(self._run)
        self._log = Log(self._record.log)
        for message in self._early:
            self._log.put(message)
        self._early.clear()
        self._describe("running", [], "0")

    def end(self, state: str, sites: list[str], cost: str) -> None:
        """Write down how it ended, if it is kept at all."""
        if self._log is not None:
            self._log.close()
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
