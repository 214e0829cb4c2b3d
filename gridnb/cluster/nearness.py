"""A Dask scheduler that knows which of its workers are near each other.

Here is what follows from where data is: what it costs to bring it to a worker,
which worker gets a task whose inputs are there, and from whom workers fetch.
Where tasks go that have no inputs is decided in :mod:`gridnb.cluster.placement`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from gridnb.cluster.fetching import Fetches
from gridnb.cluster.private import Scheduler, TaskState, WorkerState
from gridnb.cluster.sites import Membership, Site, Sites

__all__ = ["NearScheduler", "restricted"]

#: Sites that hold at least this part of what the best one holds are equals.
ALIKE = 0.9

_Key = Any  # dask.typing.Key


class NearScheduler(Scheduler):
    """See the module.

    Attributes
    ----------
    hints
        Where a plan expects a task to run that follows its inputs; decides only between equals.
    confined
        The sites where a task may run, if its submitter has named some.
    sizes
        Bytes of the results of tasks of a prefix, averaged over the last ones.
    clock
        Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, **kwargs: Any) -> None:
        self.clock = clock
        self.sites = Sites()
        self.hints: dict[_Key, Site] = {}
        self.confined: dict[_Key, frozenset[str]] = {}
        self.sizes: dict[str, float] = {}
        self.fetches = Fetches(self.sites, clock)
        super().__init__(**kwargs)

    # for those who know more about workers

    def member(self, ws: WorkerState) -> Membership:
        """Return the site of a new worker, and how fast it is there."""
        return Membership(str(ws.name).rpartition("-")[0])

    def reserved(self, ws: WorkerState) -> bool:
        """Whether a worker is spared new tasks, though Dask would call it idle."""
        return False

    def capacity(self, site: Site) -> float:
        """Return how many threads of full speed a site has for new graphs."""
        return site.capacity

    def _remove_key(self, key: _Key) -> None:
        super()._remove_key(key)
        self.hints.pop(key, None)
        self.confined.pop(key, None)
        self.fetches.forget(key)

    # where a task runs whose inputs are there

    def valid_workers(self, ts: TaskState) -> set[WorkerState] | None:
        """See Dask's; only workers of the sites that the submitter has named."""
        valid = super().valid_workers(ts)
        names = self.confined.get(ts.key) if self.confined else None
        if names is None:
            return valid
        sites = [self.sites.by_name[n] for n in names if n in self.sites.by_name]
        there = {ws for site in sites for ws in site.running if ws in self.running}
        return there if valid is None else valid & there

    def decide_worker_non_rootish(self, ts: TaskState) -> WorkerState | None:
        """Take the site that holds most of the inputs; there, the holder that begins soonest.

        The plan decides between equals. An input that many tasks need counts for less: it is
        fetched once for all of a site.
        """
        if not ts.dependencies or ts.actor or restricted(ts):
            return super().decide_worker_non_rootish(ts)
        there = self._inputs_at(ts)
        if self.confined and (names := self.confined.get(ts.key)) is not None:
            there = {site: weight for site, weight in there.items() if site.name in names}
        if not there:
            return super().decide_worker_non_rootish(ts)
        if len(there) == 1:
            (site,) = there
        else:
            most = max(there.values())
            best = [s for s, weight in there.items() if weight >= ALIKE * most]
            hint = self.hints.get(ts.key)
            site = hint if hint in best else min(best, key=Site.fullness)
        running = site.running
        holders = {ws for need in ts.dependencies for ws in need.who_has or () if ws in running}
        if len(holders) == 1:
            return holders.pop()
        return min(holders or running, key=lambda ws: self.worker_objective(ts, ws))

    def _inputs_at(self, ts: TaskState) -> dict[Site, float]:
        """Weigh the sites that hold inputs of a task and can run it."""
        of, many = self.sites.of, len(self.sites.by_name)
        there: dict[Site, float] = {}
        for need in ts.dependencies:
            users = len(need.dependents)
            weight = need.get_nbytes() * (many / users if users > many else 1.0)
            holders = need.who_has or ()
            for site in {of[ws.address] for ws in holders if ws.address in of}:
                if site.running:
                    there[site] = there.get(site, 0.0) + weight
        return there

    def get_comm_cost(self, ts: TaskState, ws: WorkerState) -> float:
        """Return the seconds that it takes to bring the inputs, by the links they come over."""
        return self.sites.fetching(ts, ws)

    def worker_objective(self, ts: TaskState, ws: WorkerState) -> tuple[Any, ...]:
        """See Dask's; a task ends later on a slower worker, and begins later behind others."""
        site = self.sites.of.get(ws.address)
        speed = site.running.get(ws, 1.0) if site is not None else 1.0
        own = self._get_prefix_duration(ts.prefix)
        start = (ws.occupancy / ws.nthreads + own) / speed + self.get_comm_cost(ts, ws)
        return (len(ws.actors), start, ws.nbytes) if ts.actor else (start, ws.nbytes)

    # what workers are told, and tell

    def _task_to_msg(self, ts: TaskState) -> dict[str, Any]:
        msg = super()._task_to_msg(ts)
        if ts.dependencies and ts.processing_on is not None:
            self.fetches.tell(ts, ts.processing_on, msg["who_has"])
        return msg

    def handle_task_finished(self, key: _Key, worker: str, stimulus_id: str, **msg: Any) -> None:
        """See Dask's; remembers how large results of this kind are."""
        ts = self.tasks.get(key)
        if ts is not None:
            name, size = ts.prefix.name, float(msg.get("nbytes") or 0)
            self.sizes[name] = (self.sizes.get(name, size) + size) / 2
        super().handle_task_finished(key, worker, stimulus_id, **msg)

    def add_keys(
        self, worker: str, keys: Collection[_Key] = (), stimulus_id: str | None = None
    ) -> Any:
        """See Dask's; who waits for these results at the same site is told."""
        found = super().add_keys(worker=worker, keys=keys, stimulus_id=stimulus_id)
        if self.fetches and worker in self.workers:
            for key in keys:
                for address, who_has in self.fetches.arrived(self.tasks.get(key), worker):
                    self._refresh(address, {key: who_has}, stimulus_id)
        return found

    def handle_request_refresh_who_has(
        self, keys: Iterable[_Key], worker: str, stimulus_id: str
    ) -> None:
        """See Dask's; the nearest holders, and none while the result is on its way to the site."""
        if (ws := self.workers.get(worker)) is None:
            return
        keys = list(keys)
        there = {key: self.tasks[key] for key in keys if key in self.tasks}
        self._refresh(
            worker, {key: self.fetches.holders(ts, ws) for key, ts in there.items()}, stimulus_id
        )
        if gone := [key for key in keys if key not in there]:
            super().handle_request_refresh_who_has(gone, worker, stimulus_id)

    def _refresh(
        self, worker: str, who_has: dict[_Key, Collection[str]], stimulus_id: str | None
    ) -> None:
        if who_has:
            self.worker_send(
                worker,
                {
                    "op": "refresh-who-has",
                    "who_has": who_has,
                    "stimulus_id": stimulus_id or f"refresh-{self.clock()}",
                },
            )


def restricted(ts: TaskState) -> bool:
    """Whether Dask's own rules say where a task is to run."""
    return bool(ts.worker_restrictions or ts.host_restrictions or ts.resource_restrictions)
