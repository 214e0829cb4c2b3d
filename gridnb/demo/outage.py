"""The loss of a whole site, made on purpose: every process of its workers is killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gridnb.errors import RequestError

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["kill_site"]


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
