"""The run that is under way in this kernel, so that a button can stop it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.notebook.session import Session

__all__ = ["cancellable", "stoppable"]


@contextmanager
def stoppable(session: Session) -> Iterator[None]:
    """Let :attr:`Session.current` do what the stop button does, from any thread, meanwhile.

    It is the same signal, so that the cell ends with a KeyboardInterrupt and *Run All* stops.
    Elsewhere than in the main thread, where signals arrive, there is nothing to press.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    thread, before, pressing = threading.get_ident(), session.current, threading.Lock()

    def stop() -> None:
        with pressing:
            if session.current is stop:
                signal.pthread_kill(thread, signal.SIGINT)

    session.current = stop
    try:
        yield
    finally:
        session.current = before
        with pressing:  # a signal that is on its way belongs to this run, not to the next
            pass


@contextmanager
def cancellable(grid: Grid, run: str, session: Session) -> Iterator[None]:
    """Let :meth:`gridnb.Grid.cancel` stop a run of this kernel while it is under way."""
    stop: Callable[[], object] | None = session.current
    if threading.current_thread() is not threading.main_thread():
        stop = None  # what the main thread runs is another one
    if stop is not None:
        grid.cancels[run] = stop
    try:
        yield
    finally:
        grid.cancels.pop(run, None)
