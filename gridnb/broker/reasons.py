"""Why a site that could have been taken was not, in words."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from gridnb.broker import policies
from gridnb.broker.market import Market
from gridnb.broker.policies import Candidate, Need
from gridnb.broker.request import Request
from gridnb.units import Money, exact, format_seconds

if TYPE_CHECKING:
    from gridnb.broker.rank import Answer

__all__ = ["refusals"]


def refusals(request: Request, market: Market, answer: Answer) -> Iterator[tuple[str, str]]:
    """Yield each site that is not in the plan with the reason, in the catalog's order."""
    bought = [candidate for candidate, _ in answer.plan.bought]
    taken = {candidate.site.name for candidate in bought}
    for site in market.catalog.sites:
        if site.name in taken:
            continue
        if site.name in answer.sieve.reasons:
            yield site.name, answer.sieve.reasons[site.name]
            continue
        mine = [each for each in answer.sieve.candidates if each.site.name == site.name]
        yield site.name, _reason(mine, bought, request, answer)


def _reason(
    mine: list[Candidate], bought: list[Candidate], request: Request, answer: Answer
) -> str:
    need = Need(request.cores, request.memory or 0, request.gpus, request.workers)
    order = policies.find(request.optimize)
    best, last = order(mine, need)[0], order(bought, need)[-1]
    limit = answer.limit
    if limit is not None and all(each.upfront > limit.amount for each in mine):
        cost = _money(best.upfront, answer.currency)
        return f"too dear: the first term of a worker costs {cost}, and {limit} may be spent"
    if need.gpus > 0 and not any(each.offer.gpus for each in mine):
        return "has no GPUs, and what has them is enough"
    if request.optimize == "cost":
        return _dearer(best, last, answer.currency) or _unfit(best, last, answer)
    if request.optimize == "time":
        return _slower(best, last, answer.currency) or _unfit(best, last, answer)
    return f"ranked lower by the policy {request.optimize!r}"


def _dearer(mine: Candidate, other: Candidate, currency: str) -> str | None:
    here, there = _core_hour(mine), _core_hour(other)
    if here > there:
        return f"dearer: {_against(here, there, currency)}"
    if here == there and mine.speed < other.speed:
        return f"no cheaper, and slower: {_speeds(mine, other)}"
    if here == there and mine.offer.start_delay > other.offer.start_delay:
        return f"no cheaper, and starts later: {_starts(mine, other)}"
    return "no cheaper, and not needed" if here == there else None


def _slower(mine: Candidate, other: Candidate, currency: str) -> str | None:
    delay, least = mine.offer.start_delay, other.offer.start_delay
    if mine.speed < other.speed:
        return f"slower: {_speeds(mine, other)}"
    if mine.speed > other.speed or delay < least:
        return None
    if delay > least:
        return f"no faster, and starts later: {_starts(mine, other)}"
    here, there = _core_hour(mine), _core_hour(other)
    if here > there:
        return f"no faster, and dearer: {_against(here, there, currency)}"
    return "no faster, and not needed"


def _unfit(mine: Candidate, other: Candidate, answer: Answer) -> str:
    """Say why one that ranks higher by its figures was passed over."""
    shape = f"{mine.offer.cores} cores at {_money(mine.rate, answer.currency)} per hour"
    if mine.rate > other.rate and mine.offer.cores > other.offer.cores:
        return f"larger than is needed: {shape}"
    if answer.limit is not None and mine.upfront > other.upfront:
        return f"too dear for the {answer.limit} that may be spent: {shape}"
    return f"fits worse: {shape}"


def _core_hour(candidate: Candidate) -> Fraction:
    return candidate.rate / (candidate.offer.cores * candidate.speed)


def _against(here: Fraction, there: Fraction, currency: str) -> str:
    mine, other = _money(here, currency), _money(there, currency)
    return f"{mine} per core-hour at full speed, against {other}"


def _speeds(mine: Candidate, other: Candidate) -> str:
    return f"speed {_plain(mine)} against {_plain(other)}"


def _plain(candidate: Candidate) -> str:
    return f"{candidate.offer.speed.normalize():f}"


def _starts(mine: Candidate, other: Candidate) -> str:
    delays = (mine.offer.start_delay, other.offer.start_delay)
    return "in {} against {}".format(*map(format_seconds, delays))


def _money(amount: Fraction, currency: str) -> Money:
    return Money(exact(amount), currency)
