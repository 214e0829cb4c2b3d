"""P2P shuffles and rechunks over sites: who gets which output partitions.

Each site gets one contiguous range of them, in the order in which plans cut
their roots, so that what stays where it was need not move. How long the range
is depends on the inputs that the site has and on what it can do.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridnb.cluster.planning import cut
from gridnb.cluster.private import ShuffleSchedulerPlugin, TaskState, WorkerState, barrier_key
from gridnb.cluster.sites import Site

if TYPE_CHECKING:
    from gridnb.cluster.placement import SiteScheduler

__all__ = ["SiteShuffles"]


class _BySite:
    """A shuffle's specification, as far as Dask looks at it when it gives out partitions."""

    def __init__(self, spec: Any, workers: Sequence[str]) -> None:
        self.id, self.output_partitions = spec.id, spec.output_partitions
        self._spec, self._workers = spec, workers

    def pick_worker(self, partition: Any, _: Sequence[str]) -> str:
        """Return the worker of a partition; those given stand in no useful order."""
        return str(self._spec.pick_worker(partition, self._workers))


class SiteShuffles(ShuffleSchedulerPlugin):
    """Dask's coordination of P2P shuffles, for workers that are not all equally near."""

    scheduler: SiteScheduler

    def __init__(self, scheduler: Any) -> None:
        super().__init__(scheduler)
        self._turns = itertools.count()

    def _calculate_worker_for(self, spec: Any) -> dict[Any, str]:
        barrier = self.scheduler.tasks[barrier_key(spec.id)]
        allowed = self._allowed(barrier)
        sites = {self.scheduler.sites.of[ws.address] for ws in allowed}
        if len(sites) < 2 and len(allowed) == len(self.scheduler.workers):
            return super()._calculate_worker_for(spec)
        count = sum(1 for _ in spec.output_partitions)
        by_site: Any = _BySite(spec, self._layout(barrier, allowed, count))
        return super()._calculate_worker_for(by_site)

    def _allowed(self, barrier: TaskState) -> list[WorkerState]:
        scheduler = self.scheduler
        valid = scheduler.valid_workers(barrier)
        workers = scheduler.running if valid is None else valid
        of = scheduler.sites.of
        if found := [ws for ws in workers if ws.address in of]:
            return found
        names = scheduler.confined.get(barrier.key)  # all are paused; as in Dask they count then
        there = [ws for ws in scheduler.workers.values() if ws.address in of]
        return [ws for ws in there if names is None or of[ws.address].name in names]

    def _layout(self, barrier: TaskState, allowed: Sequence[WorkerState], count: int) -> list[str]:
        """Return an address for each output partition: range by range, site by site."""
        of = self.scheduler.sites.of
        sites = sorted({of[ws.address] for ws in allowed}, key=lambda s: s.name)
        shares = self._shares(barrier, sites)
        found: list[str] = []
        for site, end in zip(sites, cut(count, shares), strict=True):
            there = [ws for ws in allowed if of[ws.address] is site]
            found += self._within(site, there, end - len(found))
        return found

    def _within(self, site: Site, there: list[WorkerState], count: int) -> list[str]:
        """Divide a site's range among its workers; small ones do not all begin with the same."""
        there.sort(key=lambda ws: (len(ws.processing) / ws.nthreads, ws.address))
        if count < len(there):
            turn = next(self._turns) % len(there)
            return [ws.address for ws in (there[turn:] + there[:turn])[:count]]
        begin, found = 0, []
        ends = cut(count, [ws.nthreads * site.running.get(ws, 1.0) for ws in there])
        for ws, end in zip(there, ends, strict=True):
            found += [ws.address] * (end - begin)
            begin = end
        return found

    def _shares(self, barrier: TaskState, sites: Sequence[Site]) -> list[float]:
        """Weigh the sites: by their inputs and by what they can do, the geometric mean of both.

        Without inputs at a site nothing goes there; with inputs that follow the sites'
        capacity the ranges do, too.
        """
        inputs = self._inputs(barrier)
        capacity = [max(self.scheduler.capacity(site), 1e-9) for site in sites]
        if not any(inputs[site] for site in sites):
            return capacity
        return [math.sqrt(inputs[s] * c) for s, c in zip(sites, capacity, strict=True)]

    def _inputs(self, barrier: TaskState) -> dict[Site, float]:
        """Return how much of what is shuffled each site has, or will have by the plan."""
        sources = [
            (source, site)
            for transfer in barrier.dependencies
            for source in transfer.dependencies or {transfer}
            if (site := self._place(source, transfer)) is not None
        ]
        known = [source.nbytes for source, _ in sources if source.nbytes >= 0]
        usual = sum(known) / len(known) if known else 1.0
        found: dict[Site, float] = defaultdict(float)
        for source, site in sources:
            found[site] += source.nbytes if source.nbytes >= 0 else usual
        return found

    def _place(self, source: TaskState, transfer: TaskState) -> Site | None:
        scheduler = self.scheduler
        for ws in source.who_has or ():
            if (site := scheduler.sites.of.get(ws.address)) is not None:
                return site
        ran = source.processing_on or transfer.processing_on
        if ran is not None:
            return scheduler.sites.of.get(ran.address)
        for key in (source.key, transfer.key):
            found = scheduler.planned.get(key) or scheduler.hints.get(key)
            if found is not None:
                return found
        return None
