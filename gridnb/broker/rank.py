"""From a request to a quote."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from gridnb.broker import policies
from gridnb.broker.choose import Plan, spread
from gridnb.broker.market import Market, Sieve, check_names, paid, sieve
from gridnb.broker.policies import Candidate, Need
from gridnb.broker.quote import Quote, QuoteLine, Refusal, total
from gridnb.broker.request import Request
from gridnb.catalog import Catalog
from gridnb.errors import RequestError
from gridnb.units import Money

__all__ = ["Answer", "attempt", "ceiling", "currencies", "needed", "plan_of", "quote"]


@dataclass(frozen=True)
class Answer:
    """A plan that meets a request, in one currency."""

    plan: Plan
    sieve: Sieve
    currency: str
    limit: Money | None


def quote(
    request: Request,
    catalog: Catalog,
    *,
    taken: Mapping[str, int] | None = None,
    left: Money | None = None,
    term: float = 300.0,
    avoid: Mapping[str, str] | None = None,
) -> Quote:
    """Find what best meets a request: the same for the same arguments.

    Parameters
    ----------
    taken
        Workers in use, by ``site``, or by ``site/offer`` where the offer is known.
    left
        What is free in the budget; None for no limit.
    term
        The length of a paid term at sites that name none, in billed seconds.
    avoid
        Sites, each with the reason, that are taken only if the request cannot be met without them.

    Raises
    ------
    RequestError
        If it cannot be met: says which constraint is in the way, and the nearest request that
        can be met.
    """
    check_names(request, catalog)
    market = Market(catalog, taken or {}, left, term, avoid or {})
    answer = attempt(request, market)
    if answer is None and market.avoid:
        market = replace(market, avoid={})
        answer = attempt(request, market)
    if answer is None:
        from gridnb.broker.nearest import unmet

        _check_sites(request, market)
        raise RequestError(unmet(request, market))
    return _quoted(request, market, answer)


def _check_sites(request: Request, market: Market) -> None:
    """Say so if only the number of sites is in the way."""
    fewer = request.model_copy(update={"replicas": 1})
    if request.replicas == 1 or attempt(fewer, market) is None:
        return
    raise RequestError(
        f"request.replicas: workers at {request.replicas} sites are wanted, and what is asked for "
        "does not allow that; allow more sites, workers or money, or ask for fewer replicas"
    )


def attempt(request: Request, market: Market) -> Answer | None:
    """Find a plan, or None; one currency after the other where the catalog has several."""
    limit = market.limit(request)
    for currency in currencies(market.catalog, limit):
        sieved = sieve(request, market, currency)
        most = None if limit is None else Fraction(limit.amount)
        empty = plan_of(sieved.candidates, market)
        policy = policies.find(request.optimize)
        plan = spread(policy, needed(request), empty, most, request.replicas)
        if plan is not None:
            return Answer(plan, sieved, currency, limit)
    return None


def needed(request: Request) -> Need:
    """Return what has to be bought for a request."""
    return Need(request.cores, request.memory or 0, request.gpus, request.workers)


def plan_of(candidates: Sequence[Candidate], market: Market) -> Plan:
    """Return the plan that buys nothing yet."""
    return Plan(candidates, {each.site.name: market.free(each.site) for each in candidates})


def currencies(catalog: Catalog, limit: Money | None) -> tuple[str, ...]:
    """Return the currencies that may be paid in: the limit's, or else all of the catalog's."""
    if limit is not None:
        return (limit.currency,)
    return catalog.currencies or (catalog.sites[0].currency,)


def _quoted(request: Request, market: Market, answer: Answer) -> Quote:
    from gridnb.broker.reasons import refusals

    lines = tuple(
        _line(candidate, count, market, answer.currency) for candidate, count in answer.plan.bought
    )
    body = Quote(
        id="",
        catalog=market.catalog.name,
        simulated=all(c.site.simulated for c, _ in answer.plan.bought),
        time_scale=market.catalog.time_scale,
        request=request,
        lines=lines,
        rate=total([line.rate for line in lines]),
        upfront=total([line.upfront for line in lines]),
        cap=_cap(request, answer),
        ready_in=max(line.start_delay for line in lines),
        term_seconds=min(line.term for line in lines),
        cores=sum(line.cores * line.count for line in lines),
        memory=sum(line.memory * line.count for line in lines),
        gpus=sum(line.gpus * line.count for line in lines),
        workers=sum(line.count for line in lines),
        refused=tuple(Refusal(site=s, reason=r) for s, r in refusals(request, market, answer)),
    )
    digest = hashlib.sha256(body.to_json().encode()).hexdigest()[:8]
    return body.model_copy(update={"id": f"q-{digest}"})


def _line(candidate: Candidate, count: int, market: Market, currency: str) -> QuoteLine:
    site, offer = candidate.site, candidate.offer
    return QuoteLine(
        site=site.name,
        offer=offer.name,
        owner=site.owner,
        region=site.region,
        count=count,
        cores=offer.cores,
        memory=offer.memory,
        gpus=offer.gpus,
        speed=offer.speed,
        spot=offer.spot,
        start_delay=offer.start_delay,
        rate=Money(site.price(offer), currency) * count,
        upfront=ceiling(candidate.upfront * count, currency),
        term=market.term_of(site),
    )


def ceiling(amount: Fraction, currency: str) -> Money:
    """Round up to a billionth, so that what is set aside is enough."""
    return Money(Decimal(math.ceil(amount * 10**9)).scaleb(-9), currency)


def _cap(request: Request, answer: Answer) -> Money | None:
    """Return the least of the budget, the request's cap, and the price until the deadline."""
    bounds = [] if answer.limit is None else [answer.limit]
    if request.deadline is not None:
        worth = sum(
            (paid(c.site, c.offer, request.deadline) * n for c, n in answer.plan.bought),
            Fraction(0),
        )
        bounds.append(ceiling(worth, answer.currency))
    return min(bounds, default=None)
