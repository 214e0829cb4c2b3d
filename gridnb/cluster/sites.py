"""The sites of a cluster as its scheduler sees them: who works there, how well, and how far away.

All of it is kept as workers come and go; nothing here is computed by looking at
all workers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from gridnb.cluster.private import TaskState, WorkerState
from gridnb.cluster.queues import SiteQueue

__all__ = ["HERE", "Link", "Membership", "Site", "Sites"]

#: Workers that a site loses without a word within `SICK_WITHIN` seconds until it is called sick.
SICK_AFTER = 2
SICK_WITHIN = 60.0
#: Seconds for which a sick site is given no new work while others can take it.
SICK_FOR = 60.0


@dataclass(frozen=True, slots=True)
class Link:
    """What moving data from one site to another costs.

    Attributes
    ----------
    latency
        Seconds that each transfer takes at least.
    pace
        Seconds a byte.
    price
        The price of a byte, as the seconds of work that the money would buy.
    """

    latency: float
    pace: float
    price: float = 0.0

    def seconds(self, size: float) -> float:
        """Return what it costs to move `size` bytes, the price included."""
        return self.latency + size * (self.pace + self.price)


#: Between two workers of one site.
HERE = Link(0.0005, 1e-9)
#: Between sites of which nothing is known.
FAR = Link(0.02, 1 / 25e6)


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a worker is, and how fast it is there (1.0: as the fastest site)."""

    site: str
    speed: float = 1.0


class Site:
    """One site and its workers.

    Attributes
    ----------
    running
        Workers that take tasks, with the speed of each.
    idle
        Those of them that can take another task now.
    free
        Those of them that have no task at all.
    busy
        Tasks that its workers have, without those that have left their threads (`secede`).
    queue
        Tasks that wait for a worker.
    moved_at
        When a task last left the queue for a worker of this site, or came to an empty queue.
    capacity
        Threads of the running workers, each counted by its speed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.running: dict[WorkerState, float] = {}
        self.idle: set[WorkerState] = set()
        self.free: set[WorkerState] = set()
        self.busy = 0
        self.queue = SiteQueue()
        self.moved_at = 0.0
        self.capacity = 0.0
        self._loads: dict[WorkerState, int] = {}
        self._shapes: Counter[tuple[int, float]] = Counter()
        self._losses: deque[float] = deque(maxlen=SICK_AFTER)

    def __repr__(self) -> str:
        return f"<Site {self.name}: {len(self.running)} workers, {len(self.queue)} queued>"

    def fullness(self) -> tuple[float, str]:
        """Order sites by how much stands before one more task; it must have a running worker."""
        return ((len(self.queue) + self.busy) / self.capacity, self.name)

    def can_take(self, ws: WorkerState, idle: bool) -> None:
        """Note whether a worker can take another task."""
        if idle and ws in self.running:
            self.idle.add(ws)
        else:
            self.idle.discard(ws)
        if ws.processing or ws not in self.idle:
            self.free.discard(ws)
        else:
            self.free.add(ws)

    def runs(self, ws: WorkerState, speed: float | None) -> None:
        """Note that a worker takes tasks, at which speed; None if it takes none."""
        before = self.running.pop(ws, None)
        if before is not None:
            self.capacity = self.capacity - ws.nthreads * before if self.running else 0.0
            self._shapes[ws.nthreads, before] -= 1
            self._shapes += Counter()  # without those of which there is none
        if speed is None:
            self.can_take(ws, False)
        else:
            self.running[ws] = speed
            self.capacity += ws.nthreads * speed
            self._shapes[ws.nthreads, speed] += 1

    def count(self, ws: WorkerState) -> None:
        """Note how many tasks a worker has now."""
        now = len(ws.processing) - len(ws.long_running)
        self.busy += now - self._loads.get(ws, 0)
        self._loads[ws] = now

    def forget(self, ws: WorkerState) -> None:
        """Forget the tasks of a worker that is gone."""
        self.busy -= self._loads.pop(ws, 0)

    def lost_worker(self, now: float) -> None:
        """Note that a worker went without having been told to."""
        self._losses.append(now)

    def sick(self, now: float) -> bool:
        """Whether it has lost so many workers lately that it is given no new work."""
        if len(self._losses) < SICK_AFTER:
            return False
        first, last = self._losses[0], self._losses[-1]
        return last - first <= SICK_WITHIN and now - last < SICK_FOR

    def least_busy(self) -> WorkerState | None:
        """Return the idle worker that would begin one more task soonest, if there is one."""
        running = self.running
        if self.free and len(self._shapes) == 1:
            return next(iter(self.free))
        return min(
            self.idle,
            key=lambda ws: (len(ws.processing) + 1) / (ws.nthreads * running[ws]),
            default=None,
        )


class Sites:
    """All sites, the site of each worker, and the links between them."""

    def __init__(self) -> None:
        self.by_name: dict[str, Site] = {}
        self.of: dict[str, Site] = {}
        self.find_link: Callable[[str, str], Link] | None = None
        self._speeds: dict[str, float] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._live: list[Site] | None = None

    def join(self, ws: WorkerState, member: Membership) -> Site:
        """Add a worker; one that takes no tasks yet is added to `running` by :meth:`runs`."""
        site = self.by_name.get(member.site)
        if site is None:
            site = self.by_name[member.site] = Site(member.site)
        self.of[ws.address] = site
        self._speeds[ws.address] = member.speed
        return site

    def runs(self, ws: WorkerState, running: bool) -> None:
        """Note whether a worker takes tasks now."""
        site = self.of[ws.address]
        if running != (ws in site.running):
            site.runs(ws, self._speeds[ws.address] if running else None)
            self._live = None

    def leave(self, ws: WorkerState) -> Site | None:
        """Take a worker out; returns the site it was at."""
        site = self.of.get(ws.address)
        if site is not None:
            self.runs(ws, False)
            site.forget(ws)
            del self.of[ws.address], self._speeds[ws.address]
        return site

    def live(self) -> list[Site]:
        """Return the sites that can work, by name: neighbours in this order share a border."""
        if self._live is None:
            self._live = [s for _, s in sorted(self.by_name.items()) if s.running]
        return self._live

    def healthy(self, now: float) -> list[Site]:
        """Return the sites that can work and are not sick; all that can work if all are sick."""
        live = self.live()
        return [site for site in live if not site.sick(now)] or live

    def link(self, src: str, dst: str) -> Link:
        """Return what lies between two sites."""
        if src == dst:
            return HERE
        found = self._links.get((src, dst))
        if found is None:
            found = FAR if self.find_link is None else self.find_link(src, dst)
            self._links[src, dst] = found
        return found

    def forget_links(self) -> None:
        """Ask for the links again; they have changed."""
        self._links.clear()

    # where data is

    def holding(self, ts: TaskState) -> set[Site]:
        """Return the sites that hold a task's result."""
        return {self.of[ws.address] for ws in ts.who_has or () if ws.address in self.of}

    def fetching(self, ts: TaskState, ws: WorkerState) -> float:
        """Return the seconds that it takes to bring the inputs of a task to a worker."""
        seconds, here = 0.0, self.of.get(ws.address)
        for need in ts.dependencies:
            holders = need.who_has
            if not holders or ws in holders:
                continue
            size = need.get_nbytes()
            seconds += min(
                self.link(site.name, here.name).seconds(size)
                if here is not None and site is not None
                else FAR.seconds(size)
                for site in (self.of.get(holder.address) for holder in holders)
            )
        return seconds

    def nearest(self, ts: TaskState, here: Site) -> list[WorkerState]:
        """Return the holders of a result from which a site gets it soonest: all at one site."""
        at: dict[Site, list[WorkerState]] = {}
        for ws in ts.who_has or ():
            if (site := self.of.get(ws.address)) is not None:
                at.setdefault(site, []).append(ws)
        if not at:
            return list(ts.who_has or ())
        size = ts.get_nbytes()
        best = min(at, key=lambda s: (self.link(s.name, here.name).seconds(size), s.name))
        return at[best]
