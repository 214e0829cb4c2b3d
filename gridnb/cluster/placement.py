"""Where tasks go that may begin anywhere, and where they wait.

When a graph arrives its root tasks are given sites (:mod:`gridnb.cluster.arrival`).
A root that finds no free worker at its site waits in the queue of that site;
any other task goes to the site that holds most of its inputs. A site that has
run out of work takes the last tasks of the longest queue, if that pays.

Dask keeps its transitions in a table of plain functions, so a method that is
overridden here must also be put in the table.
"""

from __future__ import annotations

import heapq
from typing import Any, ClassVar

import dask
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from gridnb.cluster.arrival import Arrivals
from gridnb.cluster.nearness import NearScheduler, restricted
from gridnb.cluster.planning import cut
from gridnb.cluster.private import SCHEDULER_EXTENSIONS, Scheduler, TaskState, WorkerState
from gridnb.cluster.queues import Queues
from gridnb.cluster.shuffles import SiteShuffles
from gridnb.cluster.sites import Site
from gridnb.cluster.stealing import SiteStealing

__all__ = ["SiteScheduler"]

#: A task is moved if it would wait longer than running it elsewhere takes, by this factor, and
#: moving its inputs and its result, by that one: estimates are rough, and bytes are not free.
RUN, MOVE = 1.1, 2.0
#: A queue does not move if nothing has left it for this many times as long.
STILL = 2.0
#: Milliseconds between looks at sites whose queues do not move.
LOOK = 200
#: What a worker calls its state before it goes by itself.
CLOSING = (Status.closing, Status.closing_gracefully)

_Key = Any  # dask.typing.Key
_Moves = tuple[dict[_Key, Any], dict[str, list[Any]], dict[str, list[Any]]]


class SiteScheduler(NearScheduler):
    """See the module. Without a second site it does what Dask's scheduler does.

    Attributes
    ----------
    planned
        The site of each task that may begin anywhere.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.queues = Queues()
        self.planned: dict[_Key, Site] = {}
        self._dirty: set[Site] = set()
        self._stranded = False
        #: Addresses of workers that were told to end.
        self.told: set[str] = set()
        extensions = {**SCHEDULER_EXTENSIONS, "shuffle": SiteShuffles, "stealing": SiteStealing}
        if not dask.config.get("distributed.scheduler.work-stealing"):
            del extensions["stealing"]
        super().__init__(extensions=extensions, **kwargs)
        self.queued: Any = self.queues
        self.add_plugin(Arrivals(self))
        self.periodic_callbacks["gridnb-queues"] = PeriodicCallback(self.look_around, LOOK)

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
        site.count(ws)
        idle = ws in self.idle_task_count
        if idle and self.reserved(ws):
            self.idle.pop(ws.address, None)
            self.idle_task_count.discard(ws)
            idle = False
        site.can_take(ws, idle)
        if idle:
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
            self._look_stranded(self.sites.of.get(ws.address))
            self.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus_id)

    async def remove_worker(
        self, address: str, *, stimulus_id: str, expected: bool = False, **kwargs: Any
    ) -> Any:
        """See Dask's; what was queued for a site that is gone goes elsewhere."""
        site = None
        if self.status != Status.closed:
            ws = self.workers.get(self.coerce_address(address))
            told = expected or (ws is not None and (ws.status in CLOSING or address in self.told))
            self.told.discard(address)
            if ws is not None and (site := self.sites.leave(ws)) is not None and not told:
                site.lost_worker(self.clock())
        found = await super().remove_worker(
            address, stimulus_id=stimulus_id, expected=expected, **kwargs
        )
        self._look_stranded(site)
        if self.status not in (Status.closing, Status.closed):
            # Workers elsewhere may be free now: what they ran has lost its inputs.
            self.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus_id)
        return found

    def _look_stranded(self, site: Site | None) -> None:
        if site is not None and not site.running and site.queue:
            self._stranded = True

    # a task is ready

    def is_rootish(self, ts: TaskState) -> bool:
        """See Dask's; a task that may not run everywhere is looked at by itself."""
        if self.confined and ts.key in self.confined:
            return False
        return super().is_rootish(ts)

    def _transition_waiting_processing(self, key: _Key, stimulus_id: str) -> _Moves:
        ts = self.tasks[key]
        site = self.planned.get(key)
        if site is not None and not restricted(ts):
            return self._begin(ts, site, stimulus_id)
        if key in self.hints:
            ws = self.decide_worker_non_rootish(ts)
            if ws is None:
                return {key: "no-worker"}, {}, {}
            return self._add_to_processing(ts, ws, stimulus_id=stimulus_id)
        if not self._waits_for_room(ts):
            return super()._transition_waiting_processing(key, stimulus_id)
        return self._begin(ts, self.roomiest(ts), stimulus_id)

    def _waits_for_room(self, ts: TaskState) -> bool:
        """Whether a task that no plan knows is one of many that may run anywhere."""
        return self.is_rootish(ts) and ts._queueable and not ts.actor

    def _begin(self, ts: TaskState, site: Site | None, stimulus_id: str) -> _Moves:
        """Send a root to its site; it waits there if no worker is free."""
        names = self.confined.get(ts.key)
        if site is None or not site.running or (names is not None and site.name not in names):
            site = self.roomiest(ts)
        if site is None:
            self.planned.pop(ts.key, None)
            return {ts.key: "no-worker" if ts.key in self.confined else "queued"}, {}, {}
        self.planned[ts.key] = site
        ws = site.least_busy()
        if ws is None and names is not None and not self.capacity(site):
            # Cells have all of the site, and it may go nowhere else: a cell may wait for it.
            ws = self.decide_worker_non_rootish(ts)
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
        healthy = [site for site in healthy if self.capacity(site) > 0] or healthy
        return min(healthy, key=Site.fullness, default=None)

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
            self._enqueue(ts, site)
        return {}, {}, {}

    def _transition_queued_processing(self, key: _Key, stimulus_id: str) -> _Moves:
        ts = self.tasks[key]
        site = self.planned.get(key)
        ws = site.least_busy() if site is not None else None
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
        self.planned.pop(key, None)

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
        if wait > need:
            part = thief.capacity / (thief.capacity + victim.capacity)
            count = max(1, int(len(victim.queue) * part))
        elif self.clock() - victim.moved_at > STILL * need:
            count = 1
        else:
            return False
        return self._move(victim, thief, count)

    def _price(self, ts: TaskState, victim: Site, thief: Site) -> tuple[float, float]:
        """Return the seconds that a move costs, and those that a task waits without it."""
        duration = self._get_prefix_duration(ts.prefix)
        ws = next(iter(thief.idle))
        back = self.sites.link(thief.name, victim.name)
        move = self.get_comm_cost(ts, ws) + back.seconds(self.sizes.get(ts.prefix.name, 0.0))
        need = RUN * duration / thief.running[ws] + MOVE * move
        return need, len(victim.queue) * duration / victim.capacity

    def _move(self, victim: Site, thief: Site, count: int) -> bool:
        if not self.confined:
            for _ in range(count):
                self._assign(victim.queue.last(), thief)
            return True

        def may(ts: TaskState) -> bool:
            names = self.confined.get(ts.key)
            return names is None or thief.name in names

        last = heapq.nlargest(count, filter(may, victim.queue), key=_priority)
        for ts in last:
            self._assign(ts, thief)
        return bool(last)

    def _assign(self, ts: TaskState, site: Site) -> None:
        self.planned[ts.key] = site
        self._enqueue(ts, site)
        if site.idle:
            self._dirty.add(site)

    def _enqueue(self, ts: TaskState, site: Site) -> None:
        if not site.queue:
            site.moved_at = self.clock()
        self.queues.put(ts, site.queue)

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


def _priority(ts: TaskState) -> Any:
    return ts.priority
