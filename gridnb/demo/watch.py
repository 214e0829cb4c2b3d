"""Watching the demo's grid from another process than its notebook's, as `gridnb status` does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError
from gridnb.hub import find
from gridnb.strays import of_grid

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.grid import Grid

__all__ = ["Watch"]

#: Seconds that a grid's processes may take to end.
PATIENCE = 20.0


class Watch:
    """The one grid of an account, from when it can be found until it is left."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._grid: Grid | None = None
        self._left = False
        #: Id of the grid, once it was seen.
        self.id: str | None = None
        self.quoted: Quote | None = None

    def status(self) -> dict[str, Any] | None:
        """Return its status, or None while there is none."""
        with self._lock:
            grid = self._found()
            return None if grid is None else grid.status()

    def ask(self, **request: Any) -> None:
        """Ask the grid for a quote, and keep it in :attr:`quoted`."""
        with self._lock:
            grid = self._found()
            self.quoted = None if grid is None else grid.quote(**request)

    def leave(self) -> None:
        """Look at it no more; it goes on."""
        with self._lock:
            self._left = True
            if self._grid is not None:
                self._grid.disconnect()
                self._grid = None

    def end(self) -> None:
        """End the grid, whatever it does, also one that is only starting."""
        self.leave()
        until = time.monotonic() + PATIENCE
        while (hubs := self.running()) and time.monotonic() < until:
            for hub in hubs:
                self.id = hub.id
                if hub.address is not None and (grid := _attach(hub)) is not None:
                    grid.close()
            time.sleep(0.1)

    def running(self) -> list[find.HubInfo]:
        """Return the grids of the account that run."""
        return [hub for hub in find.hubs() if hub.account == self._account]

    def processes(self) -> int:
        """Return how many processes of the grid are left, after the time that they need to end."""
        until = time.monotonic() + PATIENCE
        while self.id is not None and of_grid(self.id) and time.monotonic() < until:
            time.sleep(0.05)
        return 0 if self.id is None else len(of_grid(self.id))

    def _found(self) -> Grid | None:
        if self._grid is None and not self._left:
            for hub in (each for each in self.running() if each.address is not None):
                self._grid, self.id = _attach(hub), hub.id
        return self._grid


def _attach(hub: find.HubInfo) -> Grid | None:
    import logging

    from gridnb.grid import Grid

    # That a connection has closed is no news: the notebook ends its grid.
    logging.getLogger("distributed.batched").setLevel(logging.WARNING)
    try:
        return Grid.attach(hub)
    except (GridError, OSError):
        return None  # it has just ended
