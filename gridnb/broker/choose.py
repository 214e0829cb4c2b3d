"""How many workers of which offers: greedy, in the order of a policy.

The first attempt follows the policy alone. When that ends above what may be
spent, or with the wrong number of workers, each worker is taken only if the
rest can still be completed after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from gridnb.broker.policies import Candidate, Need, Policy

__all__ = ["Plan", "cheapest_start", "choose", "spread"]


@dataclass
class Plan:
    """What is bought so far, of what there is."""

    candidates: Sequence[Candidate]
    site_free: dict[str, int]
    counts: dict[Candidate, int] = field(default_factory=dict)

    def free(self, candidate: Candidate) -> int:
        """How many more workers of a candidate there are."""
        own = candidate.free - self.counts.get(candidate, 0)
        return min(own, self.site_free[candidate.site.name])

    @property
    def open(self) -> list[Candidate]:
        """The candidates of which there is one more."""
        return [each for each in self.candidates if self.free(each) > 0]

    def take(self, candidate: Candidate, count: int) -> None:
        """Buy so many workers more (or fewer, if negative)."""
        self.counts[candidate] = self.counts.get(candidate, 0) + count
        self.site_free[candidate.site.name] -= count

    def copy(self) -> Plan:
        """Return a plan that can go another way."""
        return Plan(self.candidates, dict(self.site_free), dict(self.counts))

    def by_site(self) -> dict[str, int]:
        """Return how many workers are bought at each site."""
        counts: dict[str, int] = {}
        for candidate, count in self.bought:
            counts[candidate.site.name] = counts.get(candidate.site.name, 0) + count
        return counts

    @property
    def upfront(self) -> Fraction:
        """What the first term of all of it costs."""
        return sum((c.upfront * n for c, n in self.counts.items()), Fraction(0))

    @property
    def bought(self) -> Iterator[tuple[Candidate, int]]:
        """The candidates with their number of workers, in the order of purchase."""
        return ((each, count) for each, count in self.counts.items() if count)


def choose(policy: Policy, need: Need, plan: Plan, limit: Fraction | None) -> Plan | None:
    """Buy what is needed from an empty plan; None if it cannot be done.

    The first term of all workers costs at most `limit`.
    """
    straight = _fill(policy, need, plan.copy())
    if straight is not None and _within(straight, limit):
        return straight
    return _guarded(policy, need, plan, limit)


def spread(
    policy: Policy, need: Need, plan: Plan, limit: Fraction | None, sites: int
) -> Plan | None:
    """Buy as :func:`choose` does, at so many sites at least; None if it cannot be done."""
    found = choose(policy, need, plan, limit)
    while found is not None and len(counts := found.by_site()) < sites:
        largest = max(counts, key=lambda site: counts[site])
        if counts[largest] > 1:  # it leaves one to another site
            plan = plan.copy()
            plan.site_free[largest] = counts[largest] - 1
        elif need.workers is None:
            bought = sum(each.offer.cores * count for each, count in found.bought)
            need = replace(need, cores=bought + 1)
            plan = plan.copy()
            plan.site_free |= dict.fromkeys(counts, 1)
        else:
            return None
        found = choose(policy, need, plan, limit)
    return found


def _within(plan: Plan, limit: Fraction | None) -> bool:
    return limit is None or plan.upfront <= limit


def _fill(policy: Policy, need: Need, plan: Plan) -> Plan | None:
    """Follow a policy to the end."""
    whole = need
    while not need.met:
        ranked = policy(plan.open, need) if plan.open else []
        if not ranked or need.workers == 0 or not ranked[0].useful(need):
            return None
        best = ranked[0]
        count = min(_at_once(best, need), plan.free(best))
        plan.take(best, count)
        need = need.less(best.offer, count)
    return _trimmed(plan, whole) if whole.workers is None else plan


def _at_once(candidate: Candidate, need: Need) -> int:
    """How many workers a policy would take in a row, since each is of the same use."""
    offer = candidate.offer
    if need.gpus > 0:
        count = need.gpus // max(offer.gpus, 1)
    elif need.cores > 0:
        count = need.cores // offer.cores
    elif need.memory > 0:
        count = need.memory // offer.memory
    else:
        count = need.workers or 1
    return max(1, count if need.workers is None else min(count, need.workers))


def _trimmed(plan: Plan, need: Need) -> Plan:
    """Give back what later purchases made superfluous, the earliest purchase last."""
    rest = need
    for candidate, count in plan.counts.items():
        rest = rest.less(candidate.offer, count)
    for candidate in reversed(list(plan.counts)):
        while plan.counts[candidate] and rest.less(candidate.offer, -1).met:
            plan.take(candidate, -1)
            rest = rest.less(candidate.offer, -1)
    return plan


def _guarded(policy: Policy, need: Need, plan: Plan, limit: Fraction | None) -> Plan | None:
    """Follow a policy, worker by worker, as long as the rest can be completed."""
    end = _completed(need, plan, limit)
    while end is not None and not need.met:
        for candidate in policy(plan.open, need):
            step = plan.copy()
            step.take(candidate, 1)
            rest = need.less(candidate.offer, 1)
            after = _completed(rest, step, limit)
            if after is not None and candidate.useful(need):
                plan, need, end = step, rest, after
                break
        else:
            return end
    return end


def cheapest_start(need: Need, plan: Plan) -> Plan | None:
    """Complete a plan in the way whose first term costs least; None if there is none."""
    ends = [_fill_on(policy, need, plan) for policy in _COMPLETIONS]
    return min((end for end in ends if end is not None), key=_upfront, default=None)


def _completed(need: Need, plan: Plan, limit: Fraction | None) -> Plan | None:
    """Find a way to complete a plan within the limit."""
    if need.overdone or not _within(plan, limit):
        return None
    end = cheapest_start(need, plan)
    return end if end is not None and _within(end, limit) else None


def _upfront(plan: Plan) -> Fraction:
    return plan.upfront


def _fill_on(policy: Policy, need: Need, plan: Plan) -> Plan | None:
    """Fill from here on; what the plan holds already is not given back."""
    fresh = Plan([_rest_of(plan, each) for each in plan.candidates], dict(plan.site_free))
    end = _fill(policy, need, fresh)
    if end is None:
        return None
    whole = plan.copy()
    for old, new in zip(plan.candidates, fresh.candidates, strict=True):
        if end.counts.get(new):
            whole.take(old, end.counts[new])
    return whole


def _rest_of(plan: Plan, candidate: Candidate) -> Candidate:
    free = candidate.free - plan.counts.get(candidate, 0)
    return Candidate(candidate.site, candidate.offer, free, candidate.rate, candidate.upfront)


_Rank = Callable[[Candidate, Need], tuple[object, ...]]


def _by(rank: _Rank) -> Policy:
    def policy(candidates: Sequence[Candidate], need: Need) -> list[Candidate]:
        return sorted(candidates, key=lambda each: (*rank(each, need), each.key))

    return policy


def _start_price(candidate: Candidate, need: Need) -> tuple[object, ...]:
    """The cheapest to begin with."""
    useful = candidate.useful(need)
    return not useful, candidate.upfront / useful if useful else 0


def _just_enough(candidate: Candidate, need: Need) -> tuple[object, ...]:
    """The cheapest that bring what each of the remaining workers has to, on the mean."""
    enough = min(_shares(candidate, need), default=Fraction(1)) >= 1
    return not candidate.useful(need), not enough, candidate.upfront if enough else 0


def _share(candidate: Candidate, need: Need) -> tuple[object, ...]:
    """The largest."""
    shares = [min(each, Fraction(1)) for each in _shares(candidate, need)]
    return not candidate.useful(need), -sum(shares, Fraction(0)), candidate.upfront


def _shares(candidate: Candidate, need: Need) -> list[Fraction]:
    workers, offer = need.workers or 1, candidate.offer
    pairs = ((offer.cores, need.cores), (offer.memory, need.memory), (offer.gpus, need.gpus))
    return [Fraction(has * workers, wants) for has, wants in pairs if wants > 0]


_COMPLETIONS = (_by(_start_price), _by(_just_enough), _by(_share))
