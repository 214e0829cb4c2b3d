"""Work that a click or a slider asks for, done by threads that end when it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from gridnb.errors import ConsentError, GridError

__all__ = ["Latest", "Tasks", "told"]

T = TypeVar("T")


def told(work: Callable[[], str]) -> str:
    """Do it, and return what there is to say: what it returned, or its error in a line.

    Raises
    ------
    ConsentError
        If somebody has to be asked first.
    """
    try:
        return work()
    except ConsentError:
        raise
    except (GridError, OSError, RuntimeError) as error:
        return f"✗ {error}".partition("\n")[0]


class Tasks:
    """Does each thing in a thread of its own; :meth:`stop` waits for those that are under way."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stopped = False

    def do(self, work: Callable[[], object]) -> None:
        """Begin; returns at once. After :meth:`stop` nothing is begun."""
        with self._lock:
            if self._stopped:
                return
            self._threads = [each for each in self._threads if each.is_alive()]
            thread = threading.Thread(target=work, name="gridnb-panel-task", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """Begin nothing more, and wait for the rest, `patience` seconds at most for each."""
        with self._lock:
            self._stopped, threads = True, self._threads
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(patience)


class Latest(Generic[T]):
    """Calls `work` with the newest value, when there was no newer one for `delay` seconds.

    It never runs twice at the same time, and the last value always gets its turn.
    """

    def __init__(self, tasks: Tasks, work: Callable[[T], object], delay: float = 0.15) -> None:
        self._tasks, self._work, self._delay = tasks, work, delay
        self._wake = threading.Condition()
        self._values: list[T] = []
        self._running = False

    def put(self, value: T) -> None:
        """Take a value; returns at once."""
        with self._wake:
            self._values.append(value)
            self._wake.notify()
            begin, self._running = not self._running, True
        if begin:
            self._tasks.do(self._run)

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._wake.wait(self._delay):
                    pass  # a newer value came
                if not self._values:
                    self._running = False
                    return
                value = self._values[-1]
                self._values.clear()
            self._work(value)
