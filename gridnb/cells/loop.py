"""The event loop of the bodies that ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["Loop"]


class Loop:
    """One event loop for all bodies of a process; it stands still between them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a body to its end.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted; what it waited for is cancelled, and its ``finally`` ran.
        """
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        loop = self._loop
        asyncio.set_event_loop(loop)
        task = loop.create_task(body)
        try:
            return loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                raise
            self._cancel(loop, task)
            raise

    def _cancel(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        for each in asyncio.all_tasks(loop):
            each.cancel()
        try:
            loop.run_until_complete(task)
        except (asyncio.CancelledError, Exception) as ended:
            # It has the frames of the body, which the interrupt of a loop has not.
            raise KeyboardInterrupt from ended

    def waiting(self) -> list[str]:
        """Names of what a body has started and not waited for."""
        if self._loop is None or self._loop.is_closed():
            return []
        coroutines: list[Any] = [task.get_coro() for task in asyncio.all_tasks(self._loop)]
        return sorted(getattr(each, "__qualname__", "a task") for each in coroutines)
