"""Processes of gridnb that belong to no grid that runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator

import psutil

from gridnb.hub import find

__all__ = ["end_strays", "of_grid", "strays"]

#: Every process of a grid carries its id in this variable.
TAG = "GRIDNB_GRID"

#: Where grids leave their things depends on these; a grid of another home is none of ours.
HOME = ("HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")

#: A hub takes its lock soon after its start; until then it looks like a stray. Seconds.
YOUTH = 60.0


def _ours() -> Iterator[tuple[psutil.Process, str]]:
    """Give the user's processes that carry a grid's id, this one and its parents left out."""
    me = psutil.Process()
    kin = {me.pid, *(each.pid for each in me.parents())}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid in kin or process.uids().real != os.getuid():
                continue
            found = process.environ()
            grid = found.get(TAG)
            if any(found.get(name) != os.environ.get(name) for name in HOME):
                continue
            if grid and process.status() != psutil.STATUS_ZOMBIE:
                yield process, grid


def of_grid(grid: str) -> list[psutil.Process]:
    """Return the live processes of one grid."""
    return [process for process, owner in _ours() if owner == grid]


def strays(running: Collection[str]) -> list[psutil.Process]:
    """Return processes whose grid is none of those that run."""
    found = []
    for process, grid in _ours():
        with contextlib.suppress(psutil.Error):
            if grid not in running and not _starting(process):
                found.append(process)
    return found


def _starting(process: psutil.Process) -> bool:
    hub = "gridnb.hub.main" in process.cmdline()
    return hub and time.time() - process.create_time() < YOUTH


def end_strays() -> list[str]:
    """End them with SIGKILL; returns a sentence for each."""
    done = []
    for process in strays({hub.id for hub in find.hubs()}):
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline())[:60]
            process.kill()
            done.append(f"ended process {process.pid} ({command})")
    return done
