"""The loss of a whole site, made on purpose: every process of its workers is killed."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from gridnb.errors import GridError, RequestError

if TYPE_CHECKING:
    import psutil

    from gridnb.grid import Grid

__all__ = ["kill_site", "kill_soon"]

#: Seconds by which a guard's own word and the system's may differ on when it began.
_CLOCKS = 10.0


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

    names = [each["name"] for each in grid.status()["workers"] if each["site"] == site]
    guards = {name: guard for name in names if (guard := _guard(grid, name)) is not None}
    if not guards:
        raise RequestError(f"no worker is up at {site}; lease one first")
    up = {}
    for name, guard in guards.items():
        all_of_it = [guard, *guard.children(recursive=True)]
        for process in all_of_it:
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with its guard
                process.kill()
        psutil.wait_procs(all_of_it, timeout=5)
        up[name] = time.time() - guard.create_time()
    return up


def _guard(grid: Grid, worker: str) -> psutil.Process | None:
    """Return a worker's guard; never another process that got the number of one that is gone."""
    import psutil

    from gridnb.hub.places import Place
    from gridnb.providers.guard import read_record
    from gridnb.strays import TAG

    path = Place.of(grid.id).records / f"{worker}.json"
    record = read_record(str(path)) if path.exists() else None
    if record is None or record["ended"] or not record["events"]:
        return None
    began = record["events"][0]
    with contextlib.suppress(psutil.Error):
        guard = psutil.Process(began["pid"])
        young = abs(guard.create_time() - began["wall"]) < _CLOCKS
        if young and guard.environ().get(TAG) == grid.id:
            return guard
    return None


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
