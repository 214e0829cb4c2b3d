"""The loss of a whole site, made on purpose: every process of its workers is killed."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from gridnb.errors import GridError, RequestError

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["kill_site", "kill_soon"]


def kill_site(grid: Grid, site: str) -> dict[str, float]:
    """Kill all that runs at a site, guards first, without a word to anybody.

    The site must be on this machine (simulated, or ``here``). Returns, for each worker that was up,
    the real seconds from its guard's start, as the operating system tells it, to its end.

    Raises
    ------
    RequestError
        If no worker is up there.
    """
    import psutil

    workers = [w for w in grid.status()["workers"] if w["site"] == site and w["pid"]]
    if not workers:
        raise RequestError(f"no worker is up at {site}; lease one first")
    up = {}
    for worker in workers:
        guard = psutil.Process(worker["pid"]).parent()
        if guard is None:
            continue
        below = guard.children(recursive=True)
        for process in (guard, *below):
            process.kill()
        psutil.wait_procs([guard, *below], timeout=5)
        up[worker["name"]] = time.time() - guard.create_time()
    return up


def kill_soon(grid: Grid, site: str, after: float = 2.0) -> None:
    """Kill a site in the background, `after` seconds after a run has begun to use it."""
    threading.Thread(target=_strike, args=(grid, site, after), daemon=True).start()


def _strike(grid: Grid, site: str, after: float) -> None:
    with contextlib.suppress(GridError):  # it was released or closed before
        while not _busy(grid, site):
            time.sleep(0.1)
        time.sleep(after)
        kill_site(grid, site)


def _busy(grid: Grid, site: str) -> bool:
    runs = grid.status(bill=True)["runs"]
    return any(run["state"] == "running" and site in run["sites"] for run in runs)
