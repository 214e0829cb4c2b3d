"""Why a request cannot be met, and the nearest one that can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Decimal

from gridnb.broker.choose import cheapest_start
from gridnb.broker.market import Market, Sieve, sieve
from gridnb.broker.policies import Candidate
from gridnb.broker.rank import attempt, ceiling, currencies, needed, plan_of
from gridnb.broker.request import Request
from gridnb.units import Money, format_seconds

__all__ = ["unmet"]

#: What narrows the choice, with the value that does not.
_FILTERS = {"spot": None, "deadline": None, "sites": (), "regions": (), "owners": ()}


def unmet(request: Request, market: Market) -> str:
    """Say in one line which constraint is in the way, and what can be met."""
    sieved = sieve(request, market, currencies(market.catalog, market.limit(request))[0])
    if not sieved.candidates:
        return _nothing_left(request, market, sieved)
    for relaxed in (_amounts, _money, _workers):
        text = relaxed(request, market, sieved.candidates)
        if text is not None:
            return f"the request cannot be met: {text}"
    clipped = _clipped(request, market, sieved.candidates)
    hint = _affordable(clipped, market) or "ask for less"
    return f"the request ({request}) cannot be met; {hint}"


def _nothing_left(request: Request, market: Market, sieved: Sieve) -> str:
    """No offer passes the filters: name the one without which it would be met."""
    text = f"no site can be used: {_grouped(request, sieved)}"
    given = [name for name, unset in _FILTERS.items() if getattr(request, name) != unset]
    for name in given:
        hint = _without(name, request, market)
        if hint is not None:
            return f"{text}; {hint}"
    if market.limit(request) is not None and not given and "charges in" in text:
        return f"{text}; use a budget in {' or '.join(market.catalog.currencies)}"
    if all(reason.startswith("full") for reason in sieved.reasons.values()):
        return f"{text}; release a lease, or wait until one ends"
    right = f"leave {' and '.join(given)} out" if given else "use another catalog or budget"
    return f"{text}; {right}"


def _grouped(request: Request, sieved: Sieve) -> str:
    """Write each reason once, with the sites that it holds for."""
    groups: dict[str, list[str]] = {}
    for site, reason in sieved.reasons.items():
        if not request.sites or site in request.sites:
            groups.setdefault(reason, []).append(site)
    said = [f"{', '.join(sites)} ({reason})" for reason, sites in groups.items()]
    more = [f"and {len(said) - 4} more"] if len(said) > 4 else []
    return "; ".join(said[:4] + more)


def _without(name: str, request: Request, market: Market) -> str | None:
    """Say how to loosen one filter, if that is enough."""
    if name == "deadline":
        return _later(request, market)
    answer = attempt(_changed(request, **{name: None if name == "spot" else ()}), market)
    if answer is None:
        return None
    site = next(answer.plan.bought)[0].site
    if name == "spot":
        return f"{'leave spot out' if request.spot else 'allow spot'}, as {site.name} has offers"
    value = {"sites": site.name, "regions": site.region, "owners": site.owner}[name]
    return f"leave {name} out, or add {value!r}"


def _later(request: Request, market: Market) -> str | None:
    """Find the first deadline that can be met."""
    sites = market.catalog.sites
    delays = sorted({offer.start_delay for site in sites for offer in site.offers})
    for delay in delays:
        if attempt(_changed(request, deadline=delay + 1), market) is not None:
            return f"allow a deadline of at least {format_seconds(delay + 1)}"
    return None


def _amounts(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """More is asked for than there is."""
    most = _most(market, candidates)
    over = [name for name in most if (getattr(request, name) or 0) > most[name]]
    if not over:
        return None
    said = [f"{_say(n, getattr(request, n))} asked for, {_say(n, most[n])} free" for n in over]
    sites = ", ".join(dict.fromkeys(each.site.name for each in candidates))
    text = f"{', '.join(said)} at {sites}"
    near = _clipped(request, market, candidates)
    parts = [f"at most {_say(n, most[n])}" if most[n] else _say(n, 0) for n in over]
    right = f"ask for {' and '.join(parts)}"
    if attempt(near, market) is not None:
        return f"{text}; {right}"
    cost = _start_cost(near, market, candidates)
    paid = f"{right} and {_pay(near, market, cost)}" if cost is not None else "ask for less"
    return f"{text}; {_affordable(near, market) or paid}"


def _clipped(request: Request, market: Market, candidates: Sequence[Candidate]) -> Request:
    most = _most(market, candidates)
    near = {n: min(getattr(request, n) or 0, most[n]) for n in most}
    kept = {n: value for n, value in near.items() if getattr(request, n) is not None}
    return _changed(request, **kept)


def _most(market: Market, candidates: Sequence[Candidate]) -> dict[str, int]:
    """The most of each that the candidates have together."""

    def best(value: Callable[[Candidate], int]) -> int:
        room = {each.site.name: market.free(each.site) for each in candidates}
        amount = 0
        for each in sorted(candidates, key=value, reverse=True):
            count = min(room[each.site.name], each.free)
            room[each.site.name] -= count
            amount += count * value(each)
        return amount

    return {
        "cores": best(lambda each: each.offer.cores),
        "memory": best(lambda each: each.offer.memory),
        "gpus": best(lambda each: each.offer.gpus),
        "workers": best(lambda _: 1),
    }


def _say(name: str, amount: int) -> str:
    if name != "memory":
        word = "GPU" if name == "gpus" else name.removesuffix("s")
        return f"{amount or 'no'} {word}{'' if amount == 1 else 's'}"
    # Rounded down, so that what is written can be had.
    return f"{amount * 100 // 2**30 / 100:.2f} GiB of memory"


def _money(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """It could be met, for more money."""
    limit = market.limit(request)
    cost = _start_cost(request, market, candidates)
    if limit is None or cost is None:
        return None
    which = "max_cost" if limit == request.max_cost else "the budget"
    text = f"its first term costs {cost} and {which} leaves {limit}; {_pay(request, market, cost)}"
    hint = _affordable(request, market)
    return f"{text}, or {hint}" if hint else text


def _pay(request: Request, market: Market, cost: Money) -> str:
    """Say what has to be allowed for something that costs so much."""
    said = []
    if request.max_cost is not None and request.max_cost < cost:
        said.append(f'allow max_cost="{cost}"')
    if market.left is not None and market.left < cost:
        more = _shown(Money(cost.amount - market.left.amount, cost.currency))
        said.append(f"raise the budget by {more}")
    return " and ".join(said)


def _start_cost(request: Request, market: Market, candidates: Sequence[Candidate]) -> Money | None:
    """What its first term costs at least; None if money is not what it lacks."""
    limit = market.limit(request)
    plan = cheapest_start(needed(request), plan_of(candidates, market))
    if limit is None or plan is None:
        return None
    return _shown(ceiling(plan.upfront, limit.currency))


def _shown(money: Money) -> Money:
    """Round up to what the screen shows of it, so that what is written is enough."""
    places = max(2, 1 - money.amount.adjusted()) if money.amount < 1 else 2
    step = Decimal(1).scaleb(-min(places, 9))
    return Money(money.amount.quantize(step, rounding=ROUND_CEILING), money.currency)


def _workers(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """It could be met, with another number of workers."""
    if request.workers is None:
        return None
    answer = attempt(_changed(request, workers=None), market)
    if answer is None:
        return None
    count = sum(number for _, number in answer.plan.bought)
    wanted, right = _say("workers", request.workers), _say("workers", count)
    return f"{wanted} cannot bring all of it ({request}); ask for {right}"


def _affordable(request: Request, market: Market) -> str | None:
    """Find the largest number of cores (or of workers) with which it can be met."""
    name = "cores" if request.workers is None else "workers"
    low, high = 0, getattr(request, name)
    least = {"cores": 1} if name == "workers" else {}
    while low < high:
        middle = (low + high + 1) // 2
        if attempt(_changed(request, **least, **{name: middle}), market) is None:
            high = middle - 1
        else:
            low = middle
    size = " of any size" if name == "workers" and request.cores > 1 else ""
    return f"ask for at most {low} {name[:-1] if low == 1 else name}{size}" if low else None


def _changed(request: Request, **what: object) -> Request:
    return request.model_copy(update=what)
