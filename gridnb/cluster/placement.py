"""A Dask scheduler that knows which of its workers are near each other.

When a graph arrives its root tasks are given sites (:mod:`gridnb.cluster.arrival`).
A root that finds no free worker at its site waits in the queue of that site;
any other task goes to the site that holds most of its inputs. A site that has
run out of work takes the last tasks of the longest queue, if that pays.

Dask keeps its transitions in a table of plain functions, so a method that is
overridden here must also be put in the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, ClassVar

import dask
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from gridnb.cluster.arrival import Arrivals
from gridnb.cluster.fetching import Fetches
from gridnb.cluster.planning import cut
from gridnb.cluster.private import SCHEDULER_EXTENSIONS, Scheduler, TaskState, WorkerState
from gridnb.cluster.queues import Queues
from gridnb.cluster.shuffles import SiteShuffles
from gridnb.cluster.sites import Membership, Site, Sites
from gridnb.cluster.stealing import SiteStealing

__all__ = ["SiteScheduler"]

#: A task is moved if waiting for its site takes this many times as long as moving and running it.
GAIN = 2.0
#: Milliseconds between looks at sites whose queues do not move.
LOOK = 200

_Key = Any  # dask.typing.Key
_Moves = tuple[dict[_Key, Any], dict[str, list[Any]], dict[str, list[Any]]]


class SiteScheduler(Scheduler):
    """See the module. Without a second site it does what Dask's scheduler does.

    Attributes
    ----------
    planned
        The site of each task that may begin anywhere.
    hints
        Where the plan expects each other task to run; decides only between equals.
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
        self.queues = Queues()
        self.planned: dict[_Key, Site] = {}
        self.hints: dict[_Key, Site] = {}
        self.confined: dict[_Key, frozenset[str]] = {}
        self.sizes: dict[str, float] = {}
        self.fetches = Fetches(self.sites, clock)
        self._dirty: set[Site] = set()
        self._stranded = False
        extensions = {**SCHEDULER_EXTENSIONS, "shuffle": SiteShuffles, "stealing": SiteStealing}
        if not dask.config.get("distributed.scheduler.work-stealing"):
            del extensions["stealing"]
        super().__init__(extensions=extensions, **kwargs)
        self.queued: Any = self.queues
        self.add_plugin(Arrivals(self))
        self.periodic_callbacks["gridnb-queues"] = PeriodicCallback(self.look_around, LOOK)

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

    # workers come and go

    def check_idle_saturated(self, ws: WorkerState, occ: float = -1.0) -> None:
        """See Dask's; notes it for the worker's site."""
        super().check_idle_saturated(ws, occ)
        site = self.sites.of.get(ws.address)
        if site is None:
            if self.workers.get(ws.address) is not ws:
                return
            site = self.sites.join(ws, self.member(ws))
            self.sites.runs(ws, ws.status == Status.running)
        if ws not in self.idle_task_count:
            site.idle.discard(ws)
        elif self.reserved(ws):
            self.idle.pop(ws.address, None)
            self.idle_task_count.discard(ws)
            site.idle.discard(ws)
        elif ws in site.running:
            site.idle.add(ws)
            self._dirty.add(site)

    def handle_worker_status_change(
        self, status: str | Status, worker: str | WorkerState, stimulus_id: str
    ) -> None:
        """See Dask's; the queue of a site without a running worker goes elsewhere."""
        ws = self.workers.get(worker) if isinstance(worker, str) else worker
        if ws is not None and ws.address in self.sites.of:
            new = Status[status] if isinstance(status, str) else status
            self.sites.runs(ws, new == Status.running)
        super().handle_worker_status_change(status, worker, stimulus_id)
        if ws is not None:
            self._look_stranded(self.sites.of.get(ws.address), stimulus_id)

    async def remove_worker(
        self, address: str, *, stimulus_id: str, expected: bool = False, **kwargs: Any
    ) -> Any:
        """See Dask's; what was queued for a site that is gone goes elsewhere."""
        site = None
        if self.status != Status.closed:
            ws = self.workers.get(self.coerce_address(address))
            if ws is not None and (site := self.sites.leave(ws)) is not None and not expected:
                site.lost_worker(self.clock())
        found = await super().remove_worker(
            address, stimulus_id=stimulus_id, expected=expected, **kwargs
        )
        self._look_stranded(site, stimulus_id)
        return found

    def _look_stranded(self, site: Site | None, stimulus_id: str) -> None:
        if site is not None and not site.running and site.queue:
            self._stranded = True
            self.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus_id)

    # a task is ready

    def is_rootish(self, ts: TaskState) -> bool:
        """See Dask's; a task that may not run everywhere is looked at by itself."""
        if self.confined and ts.key in self.confined:
            return False
        return super().is_rootish(ts)

    def _transition_waiting_processing(self, key: _Key, stimulus_id: str) -> _Moves:
        ts = self.tasks[key]
        site = self.planned.get(key)
        if site is not None and not _restricted(ts):
            return self._begin(ts, site, stimulus_id)
        if key in self.hints or not self._waits_for_room(ts):
            return super()._transition_waiting_processing(key, stimulus_id)
        return self._begin(ts, self.roomiest(ts), stimulus_id)

    def _waits_for_room(self, ts: TaskState) -> bool:
        """Whether a task that no plan knows is one of many that may run anywhere."""
        return self.is_rootish(ts) and ts._queueable and not ts.actor

    def _begin(self, ts: TaskState, site: Site | None, stimulus_id: str) -> _Moves:
        """Send a root to its site; it waits there if no worker is free."""
        if site is None or not site.running:
            site = self.roomiest(ts)
        if site is None:
            self.planned.pop(ts.key, None)
            return {ts.key: "no-worker" if ts.key in self.confined else "queued"}, {}, {}
        self.planned[ts.key] = site
        ws = site.least_busy(site.idle)
        if ws is None:
            return {ts.key: "queued"}, {}, {}
        return self._add_to_processing(ts, ws, stimulus_id=stimulus_id)

    def roomiest(self, ts: TaskState | None = None) -> Site | None:
        """Return the site with most room for one more task, among those where it may run."""
        healthy = self.sites.healthy(self.clock())
        if ts is not None and (names := self.confined.get(ts.key)) is not None:
            healthy = [s for s in healthy if s.name in names] or [
                s for s in self.sites.live() if s.name in names
            ]
        return min(healthy, key=_fullness, default=None)

    def _transition_waiting_queued(self, key: _Key, stimulus_id: str) -> _Moves:
        ts = self.tasks[key]
        if self.validate:
            self._validate_ready(ts)
        ts.state = "queued"
        site = self.planned.get(key)
        if site is None:
            self._stranded = True
            self.queues.add(ts)
        else:
            self.queues.put(ts, site.queue)
        return {}, {}, {}

    def _transition_queued_processing(self, key: _Key, stimulus_id: str) -> _Moves:
        ts = self.tasks[key]
        site = self.planned.get(key)
        ws = site.least_busy(site.idle) if site is not None else None
        if site is None or ws is None:
            return {}, {}, {}
        self.queues.discard(ts)
        site.moved_at = self.clock()
        return self._add_to_processing(ts, ws, stimulus_id=stimulus_id)

    _TRANSITIONS_TABLE: ClassVar[Any] = {
        **Scheduler._TRANSITIONS_TABLE,
        ("waiting", "processing"): _transition_waiting_processing,
        ("waiting", "queued"): _transition_waiting_queued,
        ("queued", "processing"): _transition_queued_processing,
    }

    def _remove_key(self, key: _Key) -> None:
        super()._remove_key(key)
        for table in (self.planned, self.hints, self.confined):
            table.pop(key, None)
        self.fetches.forget(key)

    # a slot is free

    def stimulus_queue_slots_maybe_opened(self, *, stimulus_id: str) -> None:
        """See Dask's; looks only at the sites where something has changed."""
        if not self.queues:
            self._dirty.clear()
            return
        if self._stranded:
            self._resettle(stimulus_id)
        while self._dirty:
            self._serve(self._dirty.pop(), stimulus_id)

    def _serve(self, site: Site, stimulus_id: str) -> None:
        while site.idle and (site.queue or self._take(site)):
            ts = site.queue.first()
            self.transitions({ts.key: "processing"}, stimulus_id)
            if ts.state == "queued":
                return

    def look_around(self) -> None:
        """Let idle sites look for work again: a queue that does not move is worth a way."""
        if self.queues:
            self._dirty.update(s for s in self.sites.live() if s.idle)
            self.stimulus_queue_slots_maybe_opened(stimulus_id=f"look-around-{self.clock()}")

    def _take(self, thief: Site) -> bool:
        """Take work from the back of the queue that takes longest; a fair part, if it is long.

        So runs stay contiguous: see D. Hendler and N. Shavit, "Non-blocking steal-half work
        queues" (PODC 2002).
        """
        queues = (s for s in self.sites.live() if s.queue and s is not thief)
        victim = max(queues, key=lambda s: len(s.queue) / s.capacity, default=None)
        if victim is None or thief.sick(self.clock()):
            return False
        ts = victim.queue.last()
        need, wait = self._price(ts, victim, thief)
        if wait > GAIN * need:
            part = thief.capacity / (thief.capacity + victim.capacity)
            count = max(1, int(len(victim.queue) * part))
        elif self.clock() - victim.moved_at > GAIN * need:
            count = 1
        else:
            return False
        return self._move(victim, thief, count)

    def _price(self, ts: TaskState, victim: Site, thief: Site) -> tuple[float, float]:
        """Return the seconds until a task is done if it moves, and those until it begins if not."""
        duration = self._get_prefix_duration(ts.prefix)
        ws = next(iter(thief.idle))
        back = self.sites.link(thief.name, victim.name)
        need = duration / thief.running[ws] + self.get_comm_cost(ts, ws)
        need += back.seconds(self.sizes.get(ts.prefix.name, 0.0))
        return need, len(victim.queue) * duration / victim.capacity

    def _move(self, victim: Site, thief: Site, count: int) -> bool:
        moved = False
        for _ in range(count):
            ts = victim.queue.last()
            names = self.confined.get(ts.key)
            if names is not None and thief.name not in names:
                break
            self._assign(ts, thief)
            moved = True
        return moved

    def _assign(self, ts: TaskState, site: Site) -> None:
        self.planned[ts.key] = site
        self.queues.put(ts, site.queue)
        if site.idle:
            self._dirty.add(site)

    def _resettle(self, stimulus_id: str) -> None:
        """Give sites to queued tasks that have none, or whose site is gone; in runs, as a plan."""
        live = self.sites.healthy(self.clock())
        if not live:
            return
        self._stranded = False
        gone = [site.queue for site in self.sites.by_name.values() if not site.running]
        homeless = [ts for queue in (self.queues.limbo, *gone) for ts in queue]
        free = sorted((t for t in homeless if t.key not in self.confined), key=_priority)
        begin = 0
        for site, end in zip(live, cut(len(free), [s.capacity for s in live]), strict=True):
            for ts in free[begin:end]:
                self._assign(ts, site)
            begin = end
        for ts in homeless:
            if ts.key in self.confined:
                found = self.roomiest(ts)
                if found is not None:
                    self._assign(ts, found)
                else:  # from there it is told when a worker comes that may take it
                    self.transitions({ts.key: "waiting"}, stimulus_id)

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
        if not ts.dependencies or ts.actor or _restricted(ts) or ts.key in self.confined:
            return super().decide_worker_non_rootish(ts)
        there = self._inputs_at(ts)
        if not there:
            return super().decide_worker_non_rootish(ts)
        if len(there) == 1:
            (site,) = there
        else:
            most = max(there.values())
            best = [s for s, weight in there.items() if weight == most]
            hint = self.hints.get(ts.key)
            site = hint if hint in best else min(best, key=_fullness)
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
        self, keys: Collection[_Key], worker: str, stimulus_id: str
    ) -> None:
        """See Dask's; the nearest holders, and none while the result is on its way to the site."""
        if (ws := self.workers.get(worker)) is None:
            return
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


def _restricted(ts: TaskState) -> bool:
    return bool(ts.worker_restrictions or ts.host_restrictions or ts.resource_restrictions)


def _fullness(site: Site) -> tuple[float, str]:
    """Order sites by how much stands before one more task."""
    return ((len(site.queue) - len(site.idle)) / site.capacity, site.name)


def _priority(ts: TaskState) -> Any:
    return ts.priority
