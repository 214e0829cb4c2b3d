"""Copies of results at several sites, so that the loss of a site loses none of them.

Dask's own policy drops every copy that nobody is about to use. :class:`KeepReplicas` takes its
place: of a result that a client wants, and whose run asks for it, one copy is kept at each of as
many sites as were asked for; all else is reduced as before. A copy is ordered when a key finishes,
and when a worker goes; Dask's timer only picks up what went wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from distributed.diagnostics.plugin import SchedulerPlugin

from gridnb.cluster.private import (
    ActiveMemoryManagerPolicy,
    ReduceReplicas,
    Scheduler,
    Suggestion,
    TaskState,
    WorkerState,
)
from gridnb.cluster.usage import RUN

__all__ = ["KeepReplicas", "Protection", "Wishes", "holder_sites", "site_of", "take_over"]

FULL = 0.6  # of a worker's memory, above which it gets no copies; Dask pauses one at 0.8
PATIENCE = 60.0  # seconds after which a copy that has not come is ordered anew
#: Clients that live inside a task: what they want is gone with the task.
_INNER = ("Client-worker-", "fire-and-forget")


class Wishes(Protocol):
    """What has to be known about runs and sites."""

    def any(self) -> bool:
        """Whether anything is to be protected at all."""

    def sites(self, run: str) -> int:
        """At how many sites each result of a run is to be held."""

    def allows(self, run: str, site: str) -> bool:
        """Whether results of a run may be copied to a site."""

    def distance(self, source: str, target: str) -> tuple[float, ...]:
        """Order sites by what it takes to get bytes to them."""


def site_of(ws: WorkerState) -> str:
    """Return the site of a worker, as it said when it joined."""
    return str(ws.extra.get("site", ""))


def holder_sites(ts: TaskState) -> set[str]:
    """Return the sites of the workers that hold a result and stay."""
    return {site_of(ws) for ws in ts.who_has or () if ws.status.name in ("running", "paused")}


class Protection:
    """Orders the copies of a scheduler's results."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.wishes: Wishes | None = None
        #: Workers that are about to end: a copy of what they hold is not one too many.
        self.leaving: set[WorkerState] = set()
        self._watcher = _Watcher(self)
        self._fresh: set[TaskState] = set()
        self._ordered: dict[TaskState, dict[WorkerState, float]] = {}

    @property
    def active(self) -> bool:
        """Whether any run asks for copies now."""
        return self.wishes is not None and self.wishes.any()

    def refresh(self) -> None:
        """Look at each key that finishes while some run asks for copies, and else at none."""
        for ts in [each for each in self._ordered if each.state != "memory"]:
            del self._ordered[ts]
        watching = self._watcher.name in self.scheduler.plugins
        if self.active and not watching:
            self.scheduler.add_plugin(self._watcher)
            self.note(self.protected())
        elif watching and not self.active:
            self.scheduler.remove_plugin(self._watcher.name)
            self._ordered.clear()

    def wish(self, ts: TaskState) -> int:
        """Return at how many sites a result is to be held."""
        if self.wishes is None or ts.actor:
            return 1
        if not any(not cs.client_key.startswith(_INNER) for cs in ts.who_wants or ()):
            return 1
        return self.wishes.sites(_run(ts))

    def protected(self) -> Iterator[TaskState]:
        """Yield the results that are to be held at several sites."""
        seen: set[TaskState] = set()
        for client in self.scheduler.clients.values():
            if client.client_key.startswith(_INNER):
                continue
            for ts in client.wants_what:
                if ts.state == "memory" and ts not in seen and self.wish(ts) > 1:
                    seen.add(ts)
                    yield ts

    def note(self, tasks: Iterable[TaskState]) -> None:
        """Have copies ordered for these when the scheduler has done what it is at."""
        before = bool(self._fresh)
        self._fresh.update(tasks)
        if self._fresh and not before:
            self.scheduler.loop.add_callback(self._order)

    def _order(self) -> None:
        """Order, worker by worker, the copies that are still short."""
        fresh, self._fresh = self._fresh, set()
        orders: dict[WorkerState, list[TaskState]] = {}
        extra: dict[WorkerState, int] = {}
        for ts in fresh:
            for ws in self.recipients(ts, extra):
                orders.setdefault(ws, []).append(ts)
                extra[ws] = extra.get(ws, 0) + ts.nbytes
        for ws, tasks in orders.items():
            self.scheduler.request_acquire_replicas(
                ws.address, [ts.key for ts in tasks], stimulus_id=f"gridnb-replicas-{time.time()}"
            )

    def recipients(self, ts: TaskState, extra: dict[WorkerState, int]) -> list[WorkerState]:
        """Choose who is to get a copy, so that there are enough; none that has been ordered.

        `extra` is what workers are about to get, in bytes.
        """
        if self.wishes is None or ts.state != "memory" or not ts.who_has:
            return []
        wanted = self.wish(ts)
        held = holder_sites(ts)
        ordered = self._still_ordered(ts)
        taken = held | {site_of(ws) for ws in ordered}
        found = []
        while wanted > 1 and len(taken) < wanted:
            ws = self._recipient(ts, taken, held or taken, extra)
            if ws is None:
                break
            found.append(ws)
            taken.add(site_of(ws))
            self._ordered.setdefault(ts, {})[ws] = time.monotonic()
        return found

    def _still_ordered(self, ts: TaskState) -> list[WorkerState]:
        orders = self._ordered.get(ts, {})
        late = time.monotonic() - PATIENCE
        left = {
            ws: at
            for ws, at in orders.items()
            if at > late and ws not in (ts.who_has or ()) and ws in self.scheduler.running
        }
        if left:
            self._ordered[ts] = left
        else:
            self._ordered.pop(ts, None)
        return list(left)

    def _recipient(
        self, ts: TaskState, taken: set[str], held: set[str], extra: dict[WorkerState, int]
    ) -> WorkerState | None:
        """Choose the nearest site that has none, and there the worker that holds the least."""
        assert self.wishes is not None
        run, wishes = _run(ts), self.wishes

        def weight(ws: WorkerState) -> tuple[Any, ...]:
            there = site_of(ws)
            near = min((wishes.distance(site, there) for site in held), default=())
            return (near, ws.nbytes + extra.get(ws, 0))

        def fits(ws: WorkerState) -> bool:
            full = ws.nbytes + extra.get(ws, 0) + ts.nbytes > FULL * ws.memory_limit
            return not (ws.memory_limit and full) and wishes.allows(run, site_of(ws))

        free = [ws for ws in self.scheduler.running if site_of(ws) not in taken and fits(ws)]
        return min(free, key=weight, default=None)

    def describe(self) -> dict[str, Any]:
        """Return how many results are to be held at several sites, and how many are; in bytes, too.

        ``sites`` is the most that any of them is wanted at.
        """
        counts = {"wanted": 0, "protected": 0, "wanted_bytes": 0, "protected_bytes": 0, "sites": 1}
        if not self.active:
            return counts
        for ts in self.protected():
            wanted = self.wish(ts)
            held = len(holder_sites(ts)) >= wanted
            counts["wanted"] += 1
            counts["wanted_bytes"] += ts.nbytes
            counts["protected"] += held
            counts["protected_bytes"] += ts.nbytes * held
            counts["sites"] = max(counts["sites"], wanted)
        return counts


def _run(ts: TaskState) -> str:
    return str((ts.annotations or {}).get(RUN, ""))


class _Watcher(SchedulerPlugin):
    """Hears of each key that finishes and of each worker that goes."""

    name = "gridnb-replicas"

    def __init__(self, protection: Protection) -> None:
        self.protection = protection

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Look at a key that has finished."""
        if finish == "memory":
            ts = self.protection.scheduler.tasks[key]
            if ts.who_wants:
                self.protection.note([ts])

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Order copies of what is at fewer sites now."""
        self.protection.note(self.protection.protected())


class KeepReplicas(ActiveMemoryManagerPolicy):
    """Drop the copies that are too many, and order those that are missing."""

    def __init__(self, protection: Protection) -> None:
        self.protection = protection

    def run(self) -> Iterator[Suggestion]:  # type: ignore[override]
        """See Dask's."""
        self.protection.refresh()
        for ts in self.manager.scheduler.replicated_tasks:
            yield from self._surplus(ts)
        if self.protection.active:
            for ts in self.protection.protected():
                for ws in self.protection.recipients(ts, {}):
                    yield Suggestion("replicate", ts, {ws})

    def _surplus(self, ts: TaskState) -> Iterator[Suggestion]:
        """Suggest to drop copies; of those that have to stay, not two at the same site."""
        holders: set[WorkerState] = set(ts.who_has or ())
        if not holders.isdisjoint(self.protection.leaving):
            return
        repl, drop = self.manager.pending.get(ts, ((), ()))
        surplus = len(holders) + len(repl) - len(drop) - self._needed(ts)
        left = holders - set(drop)
        spread = self.protection.wish(ts) > 1
        for _ in range(surplus):
            dropped = yield Suggestion("drop", ts, _doubled(left) if spread else None)
            left.discard(dropped)

    def _needed(self, ts: TaskState) -> int:
        """Return how many copies there may be: as Dask counts them, or as many as were asked for.

        A task that is to use a copy gets one; those on one worker need it once.
        """
        wanted = self.protection.wish(ts)
        waiters = ts.waiters or ()
        if wanted < len(waiters) < 20:
            return max(wanted, len({each.processing_on or each for each in waiters}))
        return max(wanted, len(waiters))


def _doubled(holders: set[WorkerState]) -> set[WorkerState]:
    """Return the holders at sites that have more copies than one, or all if there are none."""
    sites: dict[str, set[WorkerState]] = {}
    for ws in holders:
        sites.setdefault(site_of(ws), set()).add(ws)
    doubled = {ws for group in sites.values() if len(group) > 1 for ws in group}
    leaving = {ws for ws in holders if ws.status.name not in ("running", "paused")}
    return leaving or doubled or holders


def take_over(scheduler: Scheduler, protection: Protection) -> None:
    """Put :class:`KeepReplicas` in the place of Dask's policy in the scheduler's memory manager."""
    manager: Any = scheduler.extensions.get("amm")
    if manager is None:
        return
    for policy in [each for each in manager.policies if isinstance(each, ReduceReplicas)]:
        manager.policies.discard(policy)
    manager.add_policy(KeepReplicas(protection))
