"""From which place to bring a staged item to others: what it costs in all, then how long it takes.

A transfer costs the egress of the place that it leaves, and the time of the workers that wait
for it, which are paid meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["Hop", "plan"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One transfer: from where to where, when it has arrived (seconds from now), its egress."""

    source: str
    target: str
    arrives: float
    egress: Decimal


def plan(
    holders: Iterable[str],
    targets: Iterable[str],
    seconds: Callable[[str, str], float],
    egress: Callable[[str, str], Decimal],
    waiting: Mapping[str, Decimal],
) -> list[Hop]:
    """Plan the transfers that bring an item from its holders to all targets.

    What has arrived at a target can go on from there. The next transfer is always the one that
    costs least, egress and waiting together, and of these the one that arrives first.

    Parameters
    ----------
    seconds, egress
        Of the whole item, from one place to another.
    waiting
        What a second of waiting costs at a target.

    >>> slow = {("here", "a"): 1.0, ("here", "b"): 9.0, ("a", "b"): 2.0}
    >>> hops = plan(["here"], ["b", "a"], lambda *pair: slow[pair], lambda *_: Decimal(0), {})
    >>> [(hop.source, hop.target, hop.arrives) for hop in hops]
    [('here', 'a', 1.0), ('a', 'b', 3.0)]
    """
    ready = dict.fromkeys(holders, 0.0)
    left = list(dict.fromkeys(target for target in targets if target not in ready))
    hops = []
    while left and ready:

        def weight(pair: tuple[str, str]) -> tuple[Decimal, float]:
            source, target = pair
            arrives = ready[source] + seconds(source, target)
            rate = waiting.get(target, Decimal(0))
            return egress(source, target) + rate * Decimal(arrives), arrives

        source, target = min(((s, t) for s in ready for t in left), key=weight)
        arrives = ready[source] + seconds(source, target)
        hops.append(Hop(source, target, arrives, egress(source, target)))
        ready[target] = arrives
        left.remove(target)
    return hops
