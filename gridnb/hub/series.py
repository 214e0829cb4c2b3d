"""What each site has cost over time, kept small however long a grid runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub

__all__ = ["Point", "Series", "by_site"]

POINTS = 400  # most points that are kept
EVERY = 1.0  # seconds between two of them at first

#: A time (of the guard's clock), and what each site had cost by then.
Point = tuple[float, dict[str, Decimal]]


@dataclass
class Series:
    """Points of cost over time, the last one always the newest.

    When there are too many, every second one goes, and from then on they are taken
    half as often: the whole past is kept, its older and its newer half alike.
    """

    every: float = EVERY
    points: list[Point] = field(default_factory=list)

    def note(self, now: float, costs: Mapping[str, Decimal]) -> None:
        """Take what sites have cost by now, in place of the last point if that came too soon."""
        point = (now, {site: cost for site, cost in costs.items() if cost})
        if len(self.points) > 1 and self.points[-1][0] - self.points[-2][0] < self.every:
            self.points[-1] = point
        else:
            self.points.append(point)
        if len(self.points) > POINTS:
            self.every *= 2
            self.points = self.points[:-1:2] + self.points[-1:]

    def since(self, t: float | None) -> list[Point]:
        """Return the points after `t`, or all."""
        if t is None:
            return list(self.points)
        return [point for point in self.points if point[0] > t]


def by_site(hub: Hub) -> dict[str, Decimal]:
    """Return what each site has cost so far: its workers, and what left it."""
    costs: dict[str, Decimal] = {}
    for slot in hub.slots.values():
        costs[slot.site.name] = costs.get(slot.site.name, Decimal(0)) + slot.charged_total
    links = hub.biller.links
    for link in links.traffic() if links is not None else ():
        costs[link.src] = costs.get(link.src, Decimal(0)) + Decimal(link.cost).scaleb(-9)
    return costs
