"""Interrupting the tasks of one run on a worker: their threads, and nobody else's."""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["RunInterrupted", "interrupt_tasks"]


class RunInterrupted(BaseException):
    """Raised in the middle of a task whose run was interrupted; no ``except Exception`` stops it.

    Not a KeyboardInterrupt, on which a worker ends.
    """


def interrupt_tasks(annotation: str, run: str, dask_worker: Any = None) -> list[str]:
    """Raise :class:`RunInterrupted` in the threads that compute tasks of `run` on this worker.

    It comes up with the next line of Python: a call into C code goes on until it returns.
    Returns names of the tasks that were under way.
    """
    found = []
    # A thread that has just finished waits for this lock before it takes another task.
    with dask_worker.active_threads_lock:
        for thread, key in dask_worker.active_threads.items():
            task = dask_worker.state.tasks.get(key)
            if task is not None and (task.annotations or {}).get(annotation) == run:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(RunInterrupted)
                )
                found.append(f"{_short(str(key))} on {dask_worker.name}")
    return found


def _short(key: str) -> str:
    """``sleep`` of ``sleep-fda0437b-…-1``."""
    from dask.utils import key_split

    return str(key_split(key))
