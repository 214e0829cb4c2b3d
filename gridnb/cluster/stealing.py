"""Work that waits at a busy worker: moved within its site first, to another only if that pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridnb.cluster.private import TaskState, WorkerState, WorkStealing

if TYPE_CHECKING:
    from gridnb.cluster.placement import SiteScheduler

__all__ = ["SiteStealing"]

#: A task leaves its site if it waits this many times as long as going elsewhere takes.
GAIN = 2.0


class SiteStealing(WorkStealing):
    """Dask's work stealing, for workers that are not all equally near."""

    scheduler: SiteScheduler

    def _get_thief(
        self,
        scheduler: Any,
        ts: TaskState,
        potential_thieves: set[WorkerState],
        *,
        occupancies: dict[WorkerState, float],
    ) -> WorkerState | None:
        victim = ts.processing_on
        site = self.scheduler.sites.of.get(victim.address) if victim is not None else None
        if victim is None or site is None:
            return None
        near = {ws for ws in site.running if ws in potential_thieves}
        if near:
            return super()._get_thief(scheduler, ts, near, occupancies=occupancies)
        if ts.prefix.duration_average < 0:  # nobody knows whether it would pay
            return None
        of = self.scheduler.sites.of
        far = {
            ws
            for ws in potential_thieves
            if not ws.processing and ws.address in of and not of[ws.address].queue
        }
        thief = None
        if far:
            thief = super()._get_thief(scheduler, ts, far, occupancies=occupancies)
        if thief is None or not self._pays(ts, victim, thief, occupancies[victim]):
            return None
        return thief

    def _pays(
        self, ts: TaskState, victim: WorkerState, thief: WorkerState, occupancy: float
    ) -> bool:
        """Whether a task waits long enough to bring its inputs there, and its result back."""
        scheduler = self.scheduler
        here, there = scheduler.sites.of[victim.address], scheduler.sites.of[thief.address]
        back = scheduler.sites.link(there.name, here.name)
        own = scheduler._get_prefix_duration(ts.prefix)
        need = own / there.running.get(thief, 1.0) + scheduler.get_comm_cost(ts, thief)
        need += back.seconds(scheduler.sizes.get(ts.prefix.name, 0.0))
        return occupancy / victim.nthreads > GAIN * need
