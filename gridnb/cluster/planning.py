"""Where the tasks of a graph should run: contiguous runs of its roots, one for each site.

What decides about bytes between sites is which root tasks share a site; the
rest follows its inputs. So several orders of the roots are tried; each is cut
into one run a site, in proportion to what the site can do, and what follows is
placed greedily. The order whose results cross fewest bytes is taken.

Nothing here knows Dask: tasks are numbers, in the order of their priorities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

__all__ = ["Plan", "Work", "cut", "plan", "reverse_cuthill_mckee"]

#: How far above its share the load of a site may grow while work follows its inputs.
SLACK = 1.1
#: Skew up to which an order is as good as a balanced one.
EVEN = 1.15
#: Roots up to which a task says that they belong together (Cuthill-McKee).
NEIGHBOURS = 8
#: Roots above which Cuthill-McKee takes too long for what it gains.
MOST_ROOTS = 50_000
#: Inputs up to which a consumer says where a task had better be.
SIBLINGS = 16


@dataclass
class Work:
    """A graph as numbers; task `i` has a lower number than the tasks that need it.

    Attributes
    ----------
    needs
        For each task the tasks whose results it needs.
    roots
        Tasks that may begin anywhere; they are what is planned.
    cost, size
        Seconds that each task takes, and bytes of its result; estimates, or 1 where nothing
        is known.
    held
        Sites that have a result already.
    blocks
        Roots by group, each with its index in the group (``(i, j)`` of an array's block).
    spread
        Runs of tasks that are handed out over the sites, like the outputs of a shuffle.
    confined
        Sites where a task may run, if not everywhere.
    """

    needs: Sequence[Sequence[int]]
    roots: Sequence[int]
    cost: Sequence[float]
    size: Sequence[float]
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)
    blocks: dict[str, list[tuple[tuple[int, ...], int]]] = field(default_factory=dict)
    spread: Sequence[Sequence[int]] = ()
    confined: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def users(self) -> list[list[int]]:
        """Return for each task those that need its result."""
        found: list[list[int]] = [[] for _ in self.needs]
        for task, needs in enumerate(self.needs):
            for need in needs:
                found[need].append(task)
        return found


@dataclass(frozen=True)
class Plan:
    """A site for each task (-1: anywhere).

    Attributes
    ----------
    crossing
        What crosses between sites, in the unit of `Work.size`; a result once for each site.
    skew
        The largest load of a site, relative to its share.
    order
        The name of the order of the roots that was taken.
    """

    places: list[int]
    crossing: float
    skew: float
    order: str


def plan(work: Work, shares: Sequence[float]) -> Plan:
    """Place a graph on sites that can do `shares` of it (at least one above 0).

    The cost is a few steps for each edge and order; orders that cannot win are given up early.
    """
    if len(shares) == 1:
        return Plan([0] * len(work.needs), 0.0, 1.0, "one site")
    placing = _Placing(work, shares)
    best: Plan | None = None
    seen: list[list[int]] = []
    enough = 2 * (len(shares) - 1) * _mean(work.size)
    for name, order in _orders(work):
        places = placing.begin(order)
        if places in seen:
            continue
        seen.append(places.copy())
        found = placing.follow(name, places, None if best is None else _score(best))
        if found is not None and (best is None or _score(found) < _score(best)):
            best = found
        if best is not None and best.crossing <= enough:
            break
    assert best is not None  # the first order is never given up
    return best


def _score(found: Plan) -> float:
    return found.crossing * max(1.0, found.skew / EVEN)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def cut(count: int, shares: Sequence[float]) -> list[int]:
    """Return where the runs end when `count` tasks are cut in proportion to `shares`."""
    total = sum(shares)
    return [round(count * part / total) for part in accumulate(shares)]


def _orders(work: Work) -> Iterator[tuple[str, list[list[int]]]]:
    """Yield orders of the roots: each is a list of lists that are cut one by one."""
    yield "priority", [list(work.roots)]
    indexed = {task for block in work.blocks.values() for _, task in block}
    rest = [task for task in work.roots if task not in indexed]
    if work.blocks:
        yield "index", [rest, *([t for _, t in sorted(b)] for b in work.blocks.values())]
    if any(len(index) > 1 for block in work.blocks.values() for index, _ in block[:1]):
        backwards = [
            [t for _, t in sorted((index[::-1], t) for index, t in block)]
            for block in work.blocks.values()
        ]
        yield "index, reversed", [rest, *backwards]
    if len(work.roots) <= MOST_ROOTS:
        yield "neighbours", [_by_neighbours(work)]


def _by_neighbours(work: Work) -> list[int]:
    """Order roots so that those whose results meet early stand near each other."""
    number = {task: n for n, task in enumerate(work.roots)}
    below: dict[int, frozenset[int]] = {t: frozenset((n,)) for t, n in number.items()}
    near: list[dict[int, float]] = [defaultdict(float) for _ in work.roots]
    for task, needs in enumerate(work.needs):
        if task in below or not needs:
            continue
        parts = [below.get(need) for need in needs]
        if None in parts:
            continue
        known = [part for part in parts if part is not None]
        met = frozenset().union(*known)
        if len(met) > NEIGHBOURS:
            continue
        below[task] = met
        if len(met) > max(map(len, known)):
            weight = 1.0 / len(met)
            for a in met:
                for b in met:
                    if a != b:
                        near[a][b] += weight
    return [work.roots[n] for n in reverse_cuthill_mckee(near)]


def reverse_cuthill_mckee(near: Sequence[dict[int, float]]) -> list[int]:
    """Order the nodes of a graph so that neighbours are near each other.

    `near` holds for each node its neighbours and how strong the tie is; stronger ones come
    first. Each part begins at a node that is far out, and the whole is turned around.
    After E. Cuthill and J. McKee, "Reducing the bandwidth of sparse symmetric matrices"
    (ACM '69), and A. George (1971).
    """
    ranked = [
        sorted(ties, key=lambda b, ties=ties: (-ties[b], len(near[b]), b))  # type: ignore[misc]
        for ties in near
    ]
    seen: set[int] = set()
    found: list[int] = []
    for start in range(len(near)):
        if start not in seen:
            far = _breadth_first(ranked, start)[-1]
            part = _breadth_first(ranked, far)
            seen.update(part)
            found += part
    return found[::-1]


def _breadth_first(ranked: Sequence[Sequence[int]], start: int) -> list[int]:
    found, seen = [start], {start}
    for node in found:
        for other in ranked[node]:
            if other not in seen:
                seen.add(other)
                found.append(other)
    return found


class _Placing:
    """Puts the tasks of one graph on sites, for one order of the roots after another."""

    def __init__(self, work: Work, shares: Sequence[float]) -> None:
        self.work, self.shares = work, shares
        total = sum(shares)
        self.part = [share / total for share in shares]
        self.users = work.users()
        # A result that many need is fetched once a site: to each of them it weighs less.
        most = len(shares)
        self.weight = [
            size * most / max(most, len(users))
            for size, users in zip(work.size, self.users, strict=True)
        ]
        self.few = 3 * _mean(work.cost)

    def begin(self, order: Sequence[Sequence[int]]) -> list[int]:
        """Return the places of the roots, of what is spread, and of what is held."""
        places = [-1] * len(self.work.needs)
        for run in (*order, *self.work.spread):
            self._deal(run, places)
        for task, sites in self.work.held.items():
            places[task] = sites[0]
        return places

    def _deal(self, run: Sequence[int], places: list[int]) -> None:
        classes: dict[tuple[int, ...] | None, list[int]] = {None: list(run)}
        if self.work.confined:
            classes = defaultdict(list)
            for task in run:
                classes[self.work.confined.get(task)].append(task)
        for sites, tasks in classes.items():
            chosen = range(len(self.shares)) if sites is None else sites
            begin = 0
            for site, end in zip(
                chosen, cut(len(tasks), [self.shares[s] for s in chosen]), strict=True
            ):
                for task in tasks[begin:end]:
                    places[task] = site
                begin = end

    def follow(self, name: str, places: list[int], limit: float | None) -> Plan | None:
        """Place what needs the roots; None when more crosses than `limit`."""
        needs, size, cost = self.work.needs, self.work.size, self.work.cost
        copies: dict[int, set[int]] = {t: set(s[1:]) for t, s in self.work.held.items()}
        load = [0.0] * len(self.shares)
        crossing, confined, held = 0.0, self.work.confined, self.work.held
        for task, inputs in enumerate(needs):
            site = places[task]
            if site < 0 and inputs:
                site = places[inputs[0]]
                for need in inputs:
                    if places[need] != site or need in copies:
                        site = self._choose(task, places, copies, load)
                        break
                if confined and task in confined and site not in confined[task]:
                    site = min(confined[task], key=lambda s: load[s] / self.part[s])
                places[task] = site
            if site < 0 or task in held:
                continue
            load[site] += cost[task]
            for need in inputs:
                if places[need] != site and places[need] >= 0:
                    there = copies.get(need)
                    if there is None:
                        copies[need] = {site}
                    elif site in there:
                        continue
                    else:
                        there.add(site)
                    crossing += size[need]
            if limit is not None and crossing > limit:
                return None
        total = sum(load) or 1.0
        skew = max(done / (part * total) for done, part in zip(load, self.part, strict=True))
        return Plan(places, crossing, skew, name)

    def _choose(
        self, task: int, places: list[int], copies: dict[int, set[int]], load: list[float]
    ) -> int:
        """Take the site with most of the inputs, among those that are not ahead of the others."""
        there: dict[int, float] = defaultdict(float)
        for need in self.work.needs[task]:
            weight = self.weight[need]
            if places[need] >= 0:
                there[places[need]] += weight
            for site in copies.get(need, ()):
                there[site] += weight
        if not there:
            return -1
        if len(there) > 1:
            limit = SLACK * sum(load)
            free = [s for s in there if load[s] <= limit * self.part[s] + self.few]
            if free and len(free) < len(there):
                there = {site: there[site] for site in free}
        most = max(there.values())
        best = [site for site, weight in there.items() if weight == most]
        if len(best) == 1:
            return best[0]
        votes = self._siblings(task, places)
        return max(best, key=lambda s: (votes.get(s, 0), -load[s] / self.part[s]))

    def _siblings(self, task: int, places: list[int]) -> dict[int, int]:
        """Count where the other inputs of a task's consumers are."""
        votes: dict[int, int] = defaultdict(int)
        for user in self.users[task][:SIBLINGS]:
            needs = self.work.needs[user]
            if len(needs) <= SIBLINGS:
                for need in needs:
                    if places[need] >= 0:
                        votes[places[need]] += 1
        return votes
