"""Computing power: how long the same work takes on all sites together, and on the best of them.

Two kinds of work, on workers that are up and warm: independent pieces (bootstrap of each month's
delays), and a tree reduction whose parts cross the links between the sites (least squares over all
flights). The plain way is the fastest site alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from gridnb.demo.benefits.sites import BUDGET, THREE, catalog
from gridnb.demo.benefits.work import delays, interval, normal_equations, solve

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["BEST", "KINDS", "Timer", "opened"]

#: The fastest of the sites.
BEST = "alpha"
_DRAWS = (60, 61)  # two pieces a month


@contextmanager
def opened() -> Iterator[Timer]:
    """Lease all workers of all sites, and end them afterwards."""
    from gridnb.grid import Grid

    with Grid(catalog(**THREE), BUDGET, "benefits power") as grid:
        grid.request(workers=sum(THREE.values())).wait()
        timer = Timer(grid)
        for kind in KINDS:  # reads data, imports what is needed
            timer.seconds(kind)
        yield timer


class Timer:
    """Times work at some sites of a grid."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._workers = grid.status()["workers"]

    def seconds(self, kind: str, *sites: str) -> float:
        """Return how long one of :data:`KINDS` takes at these sites, or at all.

        Raises
        ------
        RuntimeError
            If the answer is not what this process finds without the grid.
        """
        names = [w["name"] for w in self._workers if not sites or w["site"] in sites]
        began = time.monotonic()
        found = KINDS[kind](self.grid, names)
        took = time.monotonic() - began
        if not _same(found, _right(kind)):
            raise RuntimeError(f"{kind}: the answer of {', '.join(sites) or 'the grid'} is wrong")
        return took


def _bootstrap(grid: Grid | None, workers: list[str]) -> Any:
    values = delays() * len(_DRAWS)
    draws = [n for n in _DRAWS for _ in delays()]
    if grid is None:
        return [interval(each, n, wait=0) for each, n in zip(values, draws, strict=True)]
    client: Any = grid.client  # its methods have no annotations
    return client.gather(client.map(interval, values, draws, workers=workers, pure=False))


def _least_squares(grid: Grid | None, workers: list[str]) -> Any:
    if grid is None:
        return solve(*normal_equations(wait=0).compute(scheduler="sync"))
    client: Any = grid.client
    return solve(*client.compute(normal_equations(), workers=workers).result())


#: What is timed: each takes a grid and the names of the workers to use, or None to do it here.
KINDS: dict[str, Callable[[Grid | None, list[str]], Any]] = {
    "independent pieces (bootstrap)": _bootstrap,
    "tree reduction (least squares)": _least_squares,
}


@cache
def _right(kind: str) -> Any:
    return KINDS[kind](None, [])


def _same(found: Any, right: Any) -> bool:
    import numpy as np

    return bool(np.allclose(found, right, rtol=1e-6, atol=1e-9))
