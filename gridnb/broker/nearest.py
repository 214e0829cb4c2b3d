"""Why a request cannot be met, and the nearest one that can."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gridnb.broker.choose import cheapest_start
from gridnb.broker.market import Market, Sieve, sieve
from gridnb.broker.policies import Candidate
from gridnb.broker.rank import Answer, attempt, ceiling, currencies, needed, plan_of
from gridnb.broker.request import Request, size_text
from gridnb.units import format_seconds

__all__ = ["unmet"]

_FILTERS = ("spot", "deadline", "sites", "regions", "owners")


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
    why = "; ".join(f"{site}: {reason}" for site, reason in sieved.reasons.items())
    for name in _FILTERS:
        if getattr(request, name) in (None, ()):
            continue
        answer = attempt(
            _changed(request, **{name: None if name in ("spot", "deadline") else ()}), market
        )
        if answer is not None:
            return f"no site can be used ({why}); {_without(name, request, answer)}"
    if all(reason.startswith("full") for reason in sieved.reasons.values()):
        return f"no site can be used ({why}); release a lease, or wait until one ends"
    left = [name for name in _FILTERS if getattr(request, name) not in (None, ())]
    right = f"leave {' and '.join(left)} out" if left else "use another catalog or budget"
    return f"no site can be used ({why}); {right}"


def _without(name: str, request: Request, answer: Answer) -> str:
    first = next(answer.plan.bought)[0]
    site, offer = first.site, first.offer
    if name == "deadline":
        return f"allow a deadline above {format_seconds(offer.start_delay)} ({site.name})"
    if name == "spot":
        kind = "on demand" if request.spot else "spot"
        return f"leave spot={request.spot} out ({site.name} has {kind} offers)"
    value = {"sites": site.name, "regions": site.region, "owners": site.owner}[name]
    return f"leave {name} out, or add {value!r} to it"


def _amounts(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """More is asked for than there is."""
    most = _most(market, candidates)
    over = [name for name in most if (getattr(request, name) or 0) > most[name]]
    if not over:
        return None
    said = [f"{_say(n, getattr(request, n))} are wanted and {_say(n, most[n])} free" for n in over]
    sites = ", ".join(dict.fromkeys(each.site.name for each in candidates))
    text = f"{', '.join(said)} at {sites}"
    near = _clipped(request, market, candidates)
    if attempt(near, market) is not None:
        return f"{text}; ask for at most {', '.join(_say(n, most[n]) for n in over)}"
    hint = _affordable(near, market) or "ask for less"
    return f"{text}; {hint}"


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
    return f"{size_text(amount)} of memory" if name == "memory" else f"{amount} {name}"


def _money(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """It could be met, for more money."""
    limit = market.limit(request)
    if limit is None:
        return None
    plan = cheapest_start(needed(request), plan_of(candidates, market))
    if plan is None:
        return None
    cost = ceiling(plan.upfront, limit.currency)
    which = "max_cost" if limit == request.max_cost else "the budget"
    text = f"its first term costs {cost} and {which} leaves {limit}; allow {cost}"
    hint = _affordable(request, market)
    return f"{text}, or {hint}" if hint else text


def _workers(request: Request, market: Market, candidates: Sequence[Candidate]) -> str | None:
    """It could be met, with another number of workers."""
    if request.workers is None:
        return None
    answer = attempt(_changed(request, workers=None), market)
    if answer is None:
        return None
    count = sum(number for _, number in answer.plan.bought)
    return f"{request.workers} workers cannot bring all of it; ask for {count} workers"


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
    return f"ask for at most {low} {name}" if low else None


def _changed(request: Request, **what: object) -> Request:
    return request.model_copy(update=what)
