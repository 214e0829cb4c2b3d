"""What happens when a graph arrives: it is described as numbers, planned, and the plan noted.

How many sites take part is decided here, too: no more than have room for what can
run at once, and fewer when moving what crosses takes longer than the further
sites save.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from gridnb.cluster.planning import Plan, Work, plan
from gridnb.cluster.private import P2PBarrierTask, TaskState
from gridnb.cluster.sites import Site
from gridnb.naming import SITES, site_names

if TYPE_CHECKING:
    from gridnb.cluster.placement import SiteScheduler

__all__ = ["Arrivals"]

#: The share of its time that a graph may spend on moving before fewer sites are thought about.
MUCH = 0.1
#: The part of its share that a site takes at least, however much it has to do.
LEAST = 0.05


class Arrivals(SchedulerPlugin):
    """Plans each new graph, after its priorities are known and before anything of it runs."""

    name = "gridnb-arrivals"

    def __init__(self, scheduler: SiteScheduler) -> None:
        self.scheduler = scheduler

    def update_graph(
        self, scheduler: Any, *, tasks: list[Any], annotations: Mapping[str, Any], **_: Any
    ) -> None:
        """Note where tasks may run, and plan those that do not run yet."""
        for key, value in annotations.get(SITES, {}).items():
            if names := site_names(value):
                self.scheduler.confined[key] = names
        known = self.scheduler.tasks
        todo = [ts for ts in map(known.__getitem__, tasks) if _is_to_run(ts)]
        if todo:
            self._plan(todo)

    def _plan(self, todo: list[TaskState]) -> None:
        scheduler = self.scheduler
        live = scheduler.sites.healthy(scheduler.clock())
        if scheduler.confined:
            live = self._within(todo, live)
        if len(live) < 2 and not scheduler.confined:
            return
        if len(todo) == 1:
            self._single(todo[0])
            return
        todo.sort(key=_priority)
        graph = _Graph(scheduler, todo)
        ranked = graph.ranked(live)
        if not graph.roots or not ranked:
            return
        chosen, found = self._choose(graph, ranked)
        self._note(graph, chosen, found)

    def _within(self, todo: Iterable[TaskState], live: list[Site]) -> list[Site]:
        """Leave out the sites where none of the tasks may run."""
        named: set[str] = set()
        for ts in todo:
            names = self.scheduler.confined.get(ts.key)
            if names is None:
                return live
            named |= names
        return [site for site in self.scheduler.sites.live() if site.name in named]

    def _single(self, ts: TaskState) -> None:
        if not ts.dependencies and may_run_anywhere(ts):
            site = self.scheduler.roomiest(ts)
            if site is not None:
                self.scheduler.planned[ts.key] = site

    def _choose(self, graph: _Graph, ranked: list[Site]) -> tuple[list[Site], Plan]:
        """Take as many of the sites as the work needs; the most useful come first."""
        capacity = [self.scheduler.capacity(site) for site in ranked]
        count, room = 0, 0.0
        while count < len(ranked) and room < graph.width:
            room += capacity[count]
            count += 1
        if graph.named:
            count = len(ranked)
        chosen, found = self._try(graph, ranked[:count])
        if not graph.measured or graph.named:
            return chosen, found
        takes = graph.seconds(found, chosen)
        while count > 1 and graph.moving(found, chosen) > MUCH * takes:
            count //= 2
            fewer, instead = self._try(graph, ranked[:count])
            seconds = graph.seconds(instead, fewer)
            if seconds > takes:
                break
            chosen, found, takes = fewer, instead, seconds
        return chosen, found

    def _try(self, graph: _Graph, sites: list[Site]) -> tuple[list[Site], Plan]:
        chosen = sorted(sites, key=lambda site: site.name)
        return chosen, plan(graph.work(chosen), self._shares(chosen, graph.width))

    def _shares(self, chosen: list[Site], count: int) -> list[float]:
        """Return how much of `count` tasks each site should take, so that all end together.

        What they have to do already counts, task for task: how long it takes is not known.
        """
        able = [self.scheduler.capacity(site) for site in chosen]
        before = [site.busy + len(site.queue) for site in chosen]
        level = (count + sum(before)) / sum(able)
        return [max(level * a - b, LEAST * level * a) for a, b in zip(able, before, strict=True)]

    def _note(self, graph: _Graph, chosen: list[Site], found: Plan) -> None:
        planned, hints = self.scheduler.planned, self.scheduler.hints
        roots = set(graph.roots)
        for number in range(graph.first, len(graph.tasks)):
            place = found.places[number]
            if place < 0 or number in graph.behind:
                continue
            key, site = graph.tasks[number].key, chosen[place]
            names = self.scheduler.confined.get(key)
            if names is None or site.name in names:
                (planned if number in roots else hints)[key] = site


class _Graph:
    """The tasks of a graph as numbers: first the results that it builds on, then its own."""

    def __init__(self, scheduler: SiteScheduler, todo: list[TaskState]) -> None:
        self.scheduler = scheduler
        own = {id(ts) for ts in todo}
        before = {id(n): n for ts in todo for n in ts.dependencies if id(n) not in own}
        self.tasks = [*before.values(), *todo]
        self.first = len(before)
        number = {id(ts): i for i, ts in enumerate(self.tasks)}
        self.needs: list[Sequence[int]] = [()] * self.first
        self.needs += [[number[id(n)] for n in ts.dependencies] for ts in todo]
        self.behind: set[int] = set()
        self.spread: list[list[int]] = []
        self.shuffled: set[int] = set()
        self._look_at_shuffles(number)
        self.roots = [i for i in range(self.first, len(self.tasks)) if self._is_root(i)]
        groups = Counter(ts.group.name for ts in todo)
        self.width = max(len(self.roots), *groups.values())
        self.named = bool(scheduler.confined) and any(ts.key in scheduler.confined for ts in todo)
        self._estimate()

    def _look_at_shuffles(self, number: dict[int, int]) -> None:
        """Find what is behind a P2P barrier: a shuffle says itself where that runs."""
        for i in range(self.first, len(self.tasks)):
            ts = self.tasks[i]
            if isinstance(ts.run_spec, P2PBarrierTask):
                outputs = [d for d in ts.dependents if id(d) in number]
                outputs.sort(key=_by_index)
                run = [number[id(d)] for d in outputs]
                self.behind.update(run)
                self.spread.append(run)
                self.shuffled.update(number[id(t)] for t in ts.dependencies)
                self.shuffled.add(i)

    def _is_root(self, i: int) -> bool:
        ts = self.tasks[i]
        if i in self.behind or not may_run_anywhere(ts):
            return False
        return not ts.dependencies or self.scheduler.is_rootish(ts)

    def _estimate(self) -> None:
        """Take what is known of tasks of the same kind; `measured` if that is most of them."""
        durations: dict[str, float] = {}
        sizes = self.scheduler.sizes
        unknown = 0
        for ts in self.tasks[self.first :]:
            name = ts.prefix.name
            average = ts.prefix.duration_average
            if average >= 0:
                durations[name] = average
            if average < 0 or name not in sizes:
                unknown += 1
        self.measured = 2 * unknown < len(self.tasks) - self.first
        usual = sum(durations.values()) / len(durations) if durations else 1.0
        names = [ts.prefix.name for ts in self.tasks]
        self.cost = [durations.get(name, usual) for name in names]
        known = [sizes[name] for name in set(names) if name in sizes]
        size = sum(known) / len(known) if known else 1.0
        self.size = [
            float(ts.nbytes) if ts.nbytes >= 0 else sizes.get(name, size)
            for ts, name in zip(self.tasks, names, strict=True)
        ]
        # What a shuffle moves is not what its tasks return.
        self.moved = sum(self.size[n] for i in self.shuffled for n in self.needs[i])
        for i in self.shuffled:
            self.size[i] = 0.0

    def ranked(self, live: list[Site]) -> list[Site]:
        """Order sites: those with inputs first, then those with most free and most threads."""
        there: dict[Site, float] = defaultdict(float)
        for ts in self.tasks[: self.first]:
            for site in self.scheduler.sites.holding(ts):
                there[site] += ts.get_nbytes()
        room = {site: min(len(site.idle), self.width) for site in live}
        capacity = {site: self.scheduler.capacity(site) for site in live}
        able = [site for site in live if capacity[site] > 0]
        return sorted(able, key=lambda s: (-there[s], -room[s], -capacity[s], s.name))

    def work(self, chosen: list[Site]) -> Work:
        """Describe the graph for a plan on these sites."""
        index = {site: n for n, site in enumerate(chosen)}
        held = {}
        for i in range(self.first):
            sites = sorted(index[s] for s in self._where(self.tasks[i]) if s in index)
            if sites:
                held[i] = tuple(sites)
        confined: dict[int, tuple[int, ...]] = {}
        roots = self.roots
        if self.named:
            for i in range(self.first, len(self.tasks)):
                names = self.scheduler.confined.get(self.tasks[i].key)
                if names is not None:
                    confined[i] = tuple(index[s] for s in chosen if s.name in names)
            roots = [i for i in roots if confined.get(i) != ()]
            confined = {i: sites for i, sites in confined.items() if sites}
        return Work(
            needs=self.needs,
            roots=roots,
            cost=self.cost,
            size=self.size,
            held=held,
            blocks=self._blocks(roots, len(chosen)),
            spread=self.spread,
            confined=confined,
        )

    def _where(self, ts: TaskState) -> set[Site]:
        if ts.who_has:
            return self.scheduler.sites.holding(ts)
        if ts.processing_on is not None:
            site = self.scheduler.sites.of.get(ts.processing_on.address)
        else:
            site = self.scheduler.planned.get(ts.key) or self.scheduler.hints.get(ts.key)
        return set() if site is None else {site}

    def _blocks(
        self, roots: Sequence[int], sites: int
    ) -> dict[str, list[tuple[tuple[int, ...], int]]]:
        blocks: dict[str, list[tuple[tuple[int, ...], int]]] = defaultdict(list)
        for i in roots:
            if (index := _block(self.tasks[i].key)) is not None:
                blocks[self.tasks[i].group.name].append((index, i))
        return {name: block for name, block in blocks.items() if len(block) >= sites}

    # what a plan costs

    def moving(self, found: Plan, chosen: list[Site]) -> float:
        """Return the seconds that moving takes, the price of it included."""
        count = len(chosen)
        if count < 2:
            return 0.0
        links = self.scheduler.sites
        pairs = [links.link(a.name, b.name) for a in chosen[:8] for b in chosen[:8] if a is not b]
        pace = sum(link.pace for link in pairs) / len(pairs)
        price = sum(link.price for link in pairs) / len(pairs)
        bytes_moved = found.crossing + self.moved * (1 - 1 / count)
        return bytes_moved * (pace / count + price)

    def seconds(self, found: Plan, chosen: list[Site]) -> float:
        """Predict how long the graph takes."""
        room = min(sum(self.scheduler.capacity(site) for site in chosen), float(self.width))
        return sum(self.cost[self.first :]) / room * found.skew + self.moving(found, chosen)


def may_run_anywhere(ts: TaskState) -> bool:
    """Whether nothing but the sites that it may name says where a task is to run."""
    return not (
        ts.actor or ts.worker_restrictions or ts.host_restrictions or ts.resource_restrictions
    )


def _is_to_run(ts: TaskState) -> bool:
    return ts.state in ("released", "waiting") and ts.run_spec is not None and bool(ts.priority)


def _priority(ts: TaskState) -> Any:
    return ts.priority


def _by_index(ts: TaskState) -> tuple[Any, ...]:
    """Order outputs by their block, where their keys say it."""
    index = _block(ts.key)
    return (1, ts.priority) if index is None else (0, index)


def _block(key: Any) -> tuple[int, ...] | None:
    """Return the index of a block, if a key holds one."""
    if isinstance(key, tuple) and len(key) > 1 and all(type(part) is int for part in key[1:]):
        return key[1:]
    return None
