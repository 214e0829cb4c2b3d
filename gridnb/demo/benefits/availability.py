"""Availability: how often a request for capacity is served at once.

Other users come and go at three sites of two workers each; how many workers of a site they have
is drawn anew at each step, with a seed: none, one or two, each as likely. Then somebody asks for
two workers: once at each single site, once of the whole grid, which may take them from several
sites. Served at once means that the lease is granted and its workers come up. All leases are real
ones, those of the other users too. To who asks, a site that is down looks like one that is full.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridnb.demo.benefits.sites import BUDGET, THREE, catalog, end
from gridnb.errors import RequestError

if TYPE_CHECKING:
    from gridnb.grid import Grid, Lease

__all__ = ["Step", "steps"]

_WANTED = 2
_PATIENCE = 20.0


@dataclass(frozen=True)
class Step:
    """A moment: workers that others have at each site, and who was served then.

    `sites` says of each site whether it alone could serve the request, `grid` whether all could.
    """

    taken: dict[str, int]
    sites: dict[str, bool]
    grid: bool


def steps(count: int, seed: int = 1) -> list[Step]:
    """Ask at `count` moments."""
    from gridnb.grid import Grid

    drawn = random.Random(seed)
    found = []
    with Grid(catalog(**THREE), BUDGET, "benefits availability") as grid:
        others = _Others(grid)
        for _ in range(count):
            taken = {site: drawn.randint(0, most) for site, most in THREE.items()}
            others.hold(taken)
            alone = {site: _served(grid, site) for site in THREE}
            found.append(Step(taken, alone, _served(grid)))
    return found


class _Others:
    """The other users: they keep a number of workers at each site."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._leases: dict[str, list[Lease]] = {site: [] for site in THREE}

    def hold(self, taken: dict[str, int]) -> None:
        """Bring each site to this number of workers."""
        for site, count in taken.items():
            leases = self._leases[site]
            while len(leases) < count:
                leases.append(self._grid.request(workers=1, sites=site))
            while len(leases) > count:
                end(leases.pop())


def _served(grid: Grid, sites: str = "") -> bool:
    try:
        lease = grid.request(workers=_WANTED, sites=sites)
    except RequestError:  # no room
        return False
    lease.wait(timeout=_PATIENCE)
    end(lease)
    return True
