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
    narrow: str | None = None,
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
    narrow
        A place with one line for all that it sends: its transfers follow each other.

    >>> slow = {("here", "a"): 1.0, ("here", "b"): 9.0, ("a", "b"): 2.0}
    >>> hops = plan(["here"], ["b", "a"], lambda *pair: slow[pair], lambda *_: Decimal(0), {})
    >>> [(hop.source, hop.target, hop.arrives) for hop in hops]
    [('here', 'a', 1.0), ('a', 'b', 3.0)]
    """
    ready = dict.fromkeys(holders, 0.0)
    left = list(dict.fromkeys(target for target in targets if target not in ready))
    hops: list[Hop] = []

    def weight(hop: Hop) -> tuple[Decimal, float]:
        rate = waiting.get(hop.target, Decimal(0))
        return hop.egress + rate * Decimal(hop.arrives), hop.arrives

    while left and ready:
        possible = (
            Hop(source, target, start + seconds(source, target), egress(source, target))
            for source, start in ready.items()
            for target in left
        )
        hops.append(best := min(possible, key=weight))
        ready[best.target] = best.arrives
        if best.source == narrow:
            ready[narrow] = best.arrives
        left.remove(best.target)
    return hops
