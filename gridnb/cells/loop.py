"""The event loop of the bodies: it runs while one of them does."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Coroutine
from typing import Any

__all__ = ["Loop"]


class Loop:
    """One event loop for all bodies of a process; it stands still between them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def run(self, body: Coroutine[Any, Any, BaseException | None]) -> None:
        """Run a body to its end; raises the error that it returns, if there is one.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted; what it waited for is cancelled, and its ``finally`` ran.
        """
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        loop, context = self._loop, contextvars.copy_context()
        asyncio.set_event_loop(loop)
        task = loop.create_task(body, context=context)
        try:
            error = loop.run_until_complete(task)
        except KeyboardInterrupt:
            _cancel(loop, task)
            raise
        finally:
            _take_over(context)
        if error is not None:
            raise error

    def waiting(self) -> list[str]:
        """Names of tasks that a body has started and not waited for, each told once."""
        if self._loop is None or self._loop.is_closed():
            return []
        fresh = asyncio.all_tasks(self._loop) - set(self._known)
        self._known.update(fresh)
        coroutines: list[Any] = [task.get_coro() for task in fresh]
        return sorted(getattr(each, "__qualname__", "a task") for each in coroutines)


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[BaseException | None]) -> None:
    for each in asyncio.all_tasks(loop):
        each.cancel()
    ended: BaseException | None
    try:
        ended = loop.run_until_complete(task)
    except asyncio.CancelledError as error:
        ended = error  # it had not begun
    if ended is not None:
        # It has the frames of the body, which the interrupt of a loop has not.
        ended.__context__ = None
    raise KeyboardInterrupt from ended


def _take_over(context: contextvars.Context) -> None:
    """Let what a body has set hold for those after it: print options of NumPy are such."""
    for variable, value in context.items():
        if variable.get(None) is not value:
            variable.set(value)
