"""Emptying workers that are to end at a known time.

They get no new work. What only they hold is moved to others, and first what saves most: the seconds
that it would take to compute it again, with all that would have to be computed again for it, for
each byte that is moved. Work that is queued there, or cannot finish in time, is rerun elsewhere.
(Dask's own way, ``RetireWorker``, moves to the emptiest worker anywhere, in no order, and without
an end.)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from distributed.core import Status
from distributed.metrics import time

from gridnb.cluster.private import Scheduler, TaskState, WorkerState
from gridnb.cluster.replicas import FULL, site_of
from gridnb.providers.guard import clock

__all__ = ["Drain", "Drained", "recompute_seconds"]

STEP = 0.1  # seconds between looks
WAVE = 16 * 2**20  # bytes that are on their way from a worker at once; later ones wait in order
LAST = 2.0  # seconds before the end at which what still runs is given up
HEARD = 3.0  # seconds in which a worker says what it runs, if it is not too busy for that
RESEND = 15.0  # seconds after which a copy that has not come is ordered anew
UNKNOWN = 0.5  # seconds that a task takes of which nothing is known, as Dask has it
LOOK = 200  # tasks that are looked at for what one key would cost
_SMALL = 64 * 2**10  # bytes that a key counts for at least: a message costs something, too
_STIMULUS = "gridnb-drain"

#: Orders sites by what it takes to get bytes from the first to the second.
Distance = Callable[[str, str], tuple[float, ...]]


@dataclass
class Drained:
    """What became of what workers held: keys and bytes moved and left behind, tasks rerun.

    `actors` cannot be moved, and end with their workers.
    """

    moved: int = 0
    moved_bytes: int = 0
    left: int = 0
    rerun: int = 0
    actors: int = 0


def recompute_seconds(ts: TaskState, gone: Collection[WorkerState]) -> float:
    """Return what it takes to compute a key again when some workers are gone.

    That is its own time and that of all it depends on that would be gone, too, by the times that
    tasks of the same name took. Infinite for what cannot be computed: scattered data.
    """
    seconds, todo, seen = 0.0, [ts], {ts}
    while todo and len(seen) < LOOK:
        each = todo.pop()
        if each.run_spec is None:
            return math.inf
        average = each.prefix.duration_average
        seconds += average if average >= 0 else UNKNOWN
        for dependency in each.dependencies:
            if dependency not in seen and all(ws in gone for ws in dependency.who_has or ()):
                seen.add(dependency)
                todo.append(dependency)
    return seconds


class Drain:
    """Empties workers of a scheduler by a time of the guard's clock."""

    def __init__(
        self,
        scheduler: Scheduler,
        workers: Collection[str],
        end: float,
        *,
        distance: Distance,
        allows: Callable[[str], bool],
    ) -> None:
        self.scheduler = scheduler
        self.end = end
        self.leaving = {scheduler.workers[a] for a in workers if a in scheduler.workers}
        self.done = Drained()
        self._distance, self._allows = distance, allows
        self._closed = 0.0
        self._resend = RESEND
        self._value: dict[TaskState, float] = {}
        self._on_way: dict[TaskState, tuple[WorkerState, WorkerState, float]] = {}

    async def run(self) -> Drained:
        """Move what can be moved; returns when all is, or when the time is nearly over."""
        self._close()
        while True:
            here = {ws for ws in self.leaving if ws.address in self.scheduler.workers}
            alone = self._alone(here)
            working = self._move_work(here)
            self.done.left = len(alone)
            if (not alone and not working) or clock() >= self.end - LAST:
                break
            self._send(alone)
            await asyncio.sleep(STEP)
        self.done.actors = sum(len(ws.actors) for ws in here)
        return self.done

    def _close(self) -> None:
        """Let them take no new work; what runs there runs on."""
        status = Status.closing_gracefully
        self._closed = time()
        for ws in self.leaving:
            if self.scheduler.workers.get(ws.address) is ws:
                self._set(ws, status)

    def _set(self, ws: WorkerState, status: Status) -> None:
        self.scheduler.handle_worker_status_change(status, ws, _STIMULUS)
        self.scheduler.stream_comms[ws.address].send(
            {"op": "worker-status-change", "status": status.name, "stimulus_id": _STIMULUS}
        )

    # work

    def _move_work(self, here: set[WorkerState]) -> int:
        """Rerun elsewhere what cannot finish here; returns how many tasks still run."""
        if not self.scheduler.running:
            return sum(len(ws.processing) for ws in here)
        if late := self._late(here):
            self.done.rerun += len(late)
            again: dict[Any, Any] = dict.fromkeys((ts.key for ts in late), "released")
            self.scheduler.transitions(again, stimulus_id=_STIMULUS)
        return sum(len(ws.processing) for ws in here)

    def _late(self, here: set[WorkerState]) -> list[TaskState]:
        """Return the tasks that do not finish here."""
        return [
            ts for ws in here for ts in ws.processing if not ts.actor and not self._finishes(ws, ts)
        ]

    def _finishes(self, ws: WorkerState, ts: TaskState) -> bool:
        """Whether a task runs and will have ended, its result moved, before the worker does."""
        left = self.end - LAST - clock()
        if left <= 0:
            return False
        silent = time() - ws.last_seen
        if ws.last_seen < self._closed and silent < HEARD:
            return True  # what runs there is known with the next heartbeat
        if ts not in ws.executing:
            return False
        average = ts.prefix.duration_average
        return average < 0 or max(average - ws.executing[ts] - silent, 0) < left

    # data

    def _leaves(self, ws: WorkerState) -> bool:
        """Whether a worker goes, with these or by another's word."""
        return ws in self.leaving or ws.status not in (Status.running, Status.paused)

    def _alone(self, here: set[WorkerState]) -> list[TaskState]:
        """Return what only these workers hold, what saves most first."""
        found = set()
        for ws in here:
            for ts in ws.has_what:
                if not ts.actor and all(map(self._leaves, ts.who_has or ())):
                    found.add(ts)
        for ts in [each for each in self._on_way if each not in found]:
            del self._on_way[ts]
            if ts.state == "memory":
                self.done.moved += 1
                self.done.moved_bytes += ts.nbytes
        return sorted(found, key=self._saves, reverse=True)

    def _saves(self, ts: TaskState) -> float:
        if ts not in self._value:
            seconds = recompute_seconds(ts, self.leaving)
            self._value[ts] = seconds / max(ts.nbytes, _SMALL)
        return self._value[ts]

    def _send(self, alone: list[TaskState]) -> None:
        """Order the next copies, in order, as many as are on their way at a time."""
        late = clock() - self._resend
        for ts, (_, target, since) in list(self._on_way.items()):
            if since < late or target not in self.scheduler.running:
                del self._on_way[ts]
        under_way: dict[WorkerState, int] = {}
        coming: dict[WorkerState, int] = {}
        for ts, (source, target, _) in self._on_way.items():
            under_way[source] = under_way.get(source, 0) + ts.nbytes
            coming[target] = coming.get(target, 0) + ts.nbytes
        orders: dict[WorkerState, list[Any]] = {}
        for ts in alone:
            holder = next(iter(ts.who_has or ()), None)
            if ts in self._on_way or holder is None or under_way.get(holder, 0) >= WAVE:
                continue
            chosen = self._target(ts, holder, coming)
            if chosen is None:
                continue
            self._on_way[ts] = holder, chosen, clock()
            under_way[holder] = under_way.get(holder, 0) + ts.nbytes
            coming[chosen] = coming.get(chosen, 0) + ts.nbytes
            orders.setdefault(chosen, []).append(ts.key)
        for ws, keys in orders.items():
            self.scheduler.request_acquire_replicas(
                ws.address, keys, stimulus_id=f"{_STIMULUS}-{clock()}"
            )

    def _target(
        self, ts: TaskState, source: WorkerState, coming: dict[WorkerState, int]
    ) -> WorkerState | None:
        """Choose the nearest site, the own one if workers stay there, and who holds least there."""
        here = site_of(source)

        def weight(ws: WorkerState) -> tuple[Any, ...]:
            there = site_of(ws)
            near = (0.0, -1.0) if there == here else self._distance(here, there)
            return (near, ws.nbytes + coming.get(ws, 0))

        def fits(ws: WorkerState) -> bool:
            held = ws.nbytes + coming.get(ws, 0) + ts.nbytes
            if ws.memory_limit and held > FULL * ws.memory_limit:
                return False
            return site_of(ws) == here or self._allows(site_of(ws))

        return min(filter(fits, self.scheduler.running), key=weight, default=None)
