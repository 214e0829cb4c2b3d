"""The loss of a whole site: every process that it runs is killed at once."""

from __future__ import annotations

import ast
import contextlib
import threading
import time
from pathlib import Path

import psutil

from tests.notebook.kernels import Kernel

__all__ = ["kill", "kill_when", "processes"]


def processes(grid: Kernel, site: str) -> list[psutil.Process]:
    """Return the guards of a site and all that they have started."""
    pids = ast.literal_eval(
        grid.value(f"[w['pid'] for w in grid.status()['workers'] if w['site'] == {site!r}]")
    )
    guards = [psutil.Process(pid).parent() for pid in pids]
    assert guards
    return [each for guard in guards if guard for each in (guard, *guard.children(recursive=True))]


def kill(doomed: list[psutil.Process]) -> None:
    """End them, as a power failure would, with what they have started meanwhile."""
    below = [each for one in doomed if one.is_running() for each in one.children(recursive=True)]
    for each in {*doomed, *below}:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def kill_when(mark: Path, doomed: list[psutil.Process]) -> threading.Thread:
    """End them as soon as there is such a file."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.05)
        kill(doomed)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
