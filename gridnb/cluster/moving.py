"""Moving what workers hold, and their work, to other workers: as a drain, but without a loss.

First their results are copied while they work on; then they get no new work, what runs there
finishes, or starts again where that is sooner, and what has been made meanwhile is copied, too.
Until they end they keep all that they have, so that the other workers may fail at any moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator

from distributed.core import Status
from distributed.metrics import time

from gridnb.cluster.drain import HEARD, RESEND, STEP, WAVE, Drain
from gridnb.cluster.placement import SiteScheduler
from gridnb.cluster.private import TaskState, WorkerState
from gridnb.cluster.replicas import FULL, Protection
from gridnb.providers.guard import clock

__all__ = ["Move", "Stalled", "bound_to"]

PATIENCE = 60.0  # seconds in which something has to arrive, besides what the link needs for it

#: The note of Dask's shuffles on tasks that they have bound to a worker themselves.
SHUFFLE = "shuffle_original_restrictions"
#: Addresses of workers; they may change, since a worker that has ended may be started again.
Addresses = Callable[[], Collection[str]]


class Stalled(Exception):
    """What is to be moved does not arrive; the text says why, as far as it is known."""


def bound_to(scheduler: SiteScheduler, workers: Collection[str]) -> list[TaskState]:
    """Return the unfinished tasks that may run at no other workers than these.

    A shuffle of Dask's is not among them: it begins again when one of its workers goes.
    """
    over = ("memory", "released", "forgotten", "erred")
    return [
        ts
        for ts in scheduler.tasks.values()
        if ts.worker_restrictions
        and ts.state not in over
        and not ts.loose_restrictions
        and SHUFFLE not in (ts.annotations or {})
        and all(address in workers for address in ts.worker_restrictions)
    ]


class Move(Drain):
    """Moves results and work from some workers to others; `here` and `there` are their addresses.

    What still runs at `limit`, a time of the guard's clock, is started again.

    Attributes
    ----------
    restarted
        How many tasks ran already and were started again.
    running
        How many tasks still run at the workers that are to end.
    """

    def __init__(
        self,
        scheduler: SiteScheduler,
        protection: Protection,
        *,
        here: Addresses,
        there: Addresses,
        limit: float,
    ) -> None:
        super().__init__(scheduler, here(), limit, distance=lambda _, __: (), allows=lambda _: True)
        self.grid, self.protection = scheduler, protection
        self.restarted = 0
        self.running = 0
        self._here_now, self._there_now = here, there
        self._held_up = clock()
        self._seen = 0
        self._pace = 0.0

    async def copy(self) -> None:
        """Copy what they hold now, while they work on.

        Raises
        ------
        Stalled
            If nothing arrives for long.
        """
        wanted: set[TaskState] | None = None
        while True:
            alone = self._look()
            wanted = set(alone) if wanted is None else wanted.intersection(alone)
            if not wanted:
                return
            self._send(alone)
            await asyncio.sleep(STEP)

    async def finish(self) -> None:
        """Take new work from them, and wait until nothing runs there and all of it is copied.

        Raises
        ------
        Stalled
            If nothing arrives for long.
        """
        if not self._closed:
            self._close()
        while True:
            here = self._here()
            self.running = self._move_work(here)
            alone = self._look()
            if not alone and not self.running:
                return
            self._send(alone)
            await asyncio.sleep(STEP)

    def empty(self) -> bool:
        """Whether nothing runs there and nothing is only there, at this moment."""
        return not self._alone(self._here()) and not any(ws.processing for ws in self._here())

    @property
    def closed(self) -> bool:
        """Whether they get no new work."""
        return bool(self._closed)

    def reopen(self) -> None:
        """Let them work on as before."""
        for ws in self._here():
            if ws.status == Status.closing_gracefully:
                self._set(ws, Status.running)
        self.protection.leaving -= self.leaving
        self._closed = 0.0

    def over(self) -> None:
        """They have ended: what was kept twice need not be any more."""
        self.protection.leaving -= self.leaving

    def _here(self) -> set[WorkerState]:
        """Return those that are up; one that was started again leaves as the one before it."""
        found = {self.scheduler.workers[a] for a in self._here_now() if a in self.scheduler.workers}
        for ws in found - self.leaving:
            self.leaving.add(ws)
            if self._closed:
                self._set(ws, Status.closing_gracefully)
        self.protection.leaving |= found
        return found

    def _look(self) -> list[TaskState]:
        alone = self._alone(self._here())
        self.done.left = len(alone)
        size = sum(ts.nbytes for ts in alone)
        self._pace = self._seconds_a_byte()
        largest = max((ts.nbytes for ts in alone), default=0)
        self._resend = RESEND + 4 * self._pace * (largest + WAVE * len(self.leaving))
        if self.done.moved != self._seen or not alone:
            self._seen, self._held_up = self.done.moved, clock()
        elif clock() - self._held_up > PATIENCE + 4 * self._pace * size:
            raise Stalled(self._why(alone))
        return alone

    def _why(self, alone: list[TaskState]) -> str:
        if not any(True for _ in self._targets()):
            return "no worker is up there"
        if all(self._target(ts, next(iter(ts.who_has or ())), {}) is None for ts in alone):
            return "its workers have no memory left"
        return f"{len(alone)} results did not arrive; look at `%grid links`"

    def _seconds_a_byte(self) -> float:
        sites = self.grid.sites
        for source in self._here():
            for target in self._targets():
                a, b = sites.of.get(source.address), sites.of.get(target.address)
                if a is not None and b is not None:
                    return sites.link(a.name, b.name).pace
        return 0.0

    def _targets(self) -> Iterator[WorkerState]:
        for address in self._there_now():
            ws = self.scheduler.workers.get(address)
            if ws is not None and ws in self.scheduler.running:
                yield ws

    def _target(
        self, ts: TaskState, source: WorkerState, coming: dict[WorkerState, int]
    ) -> WorkerState | None:
        """Choose the one that holds least; nothing goes to any other site, or through one."""

        def held(ws: WorkerState) -> int:
            return ws.nbytes + coming.get(ws, 0)

        roomy = (
            ws
            for ws in self._targets()
            if not ws.memory_limit or held(ws) + ts.nbytes <= FULL * ws.memory_limit
        )
        return min(roomy, key=held, default=None)

    # work

    def _late(self, here: set[WorkerState]) -> list[TaskState]:
        late = super()._late(here)
        began = {ts for ws in here for ts in (*ws.executing, *ws.long_running)}
        self.restarted += sum(ts in began for ts in late)
        return late

    def _finishes(self, ws: WorkerState, ts: TaskState) -> bool:
        """Whether a task is better left to finish where it runs.

        One of which nothing is known, or that takes longer than others of its name, is.
        """
        if clock() >= self.end:
            return False
        silent = time() - ws.last_seen
        if ws.last_seen < self._closed and silent < HEARD:
            return True  # what runs there is known with the next heartbeat
        if ts in ws.long_running:
            return True
        if ts not in ws.executing:
            return False
        average = ts.prefix.duration_average
        left = average - ws.executing[ts] - silent
        return average < 0 or left <= self._again(ts, ws, average)

    def _again(self, ts: TaskState, ws: WorkerState, average: float) -> float:
        """Return the seconds that it takes to start a task again, its inputs brought there."""
        speed = self.grid.member(ws).speed
        there = list(self._targets())
        if not there:
            return float("inf")
        return min(
            average * speed / self.grid.member(each).speed + self.grid.sites.fetching(ts, each)
            for each in there
        )
