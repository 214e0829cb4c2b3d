"""High availability: a whole site is lost in the middle of a run.

A least squares of all flights runs as one Dask graph, once undisturbed, once with every process of
a site killed half-way. On three sites the other two take over, and only what was lost is computed
again. On one site (with as many workers) everything is gone: workers are leased again at once, and
the work starts over. The answer must be right both times, and the charges of the killed workers
those of the seconds that they lived.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridnb.demo.benefits.sites import BUDGET, THREE, catalog
from gridnb.demo.benefits.work import normal_equations, solve
from gridnb.demo.outage import kill_site
from gridnb.errors import RequestError

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["Loss", "on_one_site", "on_three_sites"]

_PATIENCE = 60.0


@dataclass(frozen=True)
class Loss:
    """What the loss of a site did.

    Attributes
    ----------
    undisturbed, disturbed
        Real seconds to the answer, without and with the loss.
    right
        Whether the answer was the same.
    charged, up
        Real worker-seconds of the killed workers: those on the bill, and those of the processes.
    audited
        Whether the bill adds up to the ledger, and the ledger's audit finds nothing wrong.
    """

    undisturbed: float
    disturbed: float
    right: bool
    charged: float
    up: float
    audited: bool


def on_three_sites() -> Loss:
    """Lose one of three sites."""
    return _lose("alpha", THREE, again=False)


def on_one_site() -> Loss:
    """Lose the only site; its workers are leased again as soon as it lets in new ones."""
    return _lose("solo", {"solo": sum(THREE.values())}, again=True)


def _lose(site: str, workers: dict[str, int], *, again: bool) -> Loss:
    import dask.config

    from gridnb.grid import Grid

    up: dict[str, float] = {}
    plain = dask.config.set({"gridnb.lease.rebuy": not again})  # nobody does that for the plain way
    with plain, Grid(catalog(**workers), BUDGET, "benefits survival") as grid:
        grid.request(workers=sum(workers.values())).wait()
        _answer(grid)  # reads data, imports what is needed
        right, undisturbed = _answer(grid)

        def strike() -> None:
            up.update(kill_site(grid, site))
            if again:
                _lease_again(grid, len(up))

        timer = threading.Timer(undisturbed / 2, strike)
        timer.start()
        found, disturbed = _answer(grid)
        timer.join()
    bill = grid.bill()
    killed = bill[bill["worker"].isin(up)]
    return Loss(
        undisturbed=undisturbed,
        disturbed=disturbed,
        right=all(abs(a - b) < 1e-6 for a, b in zip(found, right, strict=True)),
        charged=float(killed["seconds"].sum()) / float(grid.catalog.time_scale),
        up=sum(up.values()),
        audited=_audited(),
    )


def _answer(grid: Grid) -> tuple[list[float], float]:
    client: Any = grid.client  # its methods have no annotations
    graph = normal_equations()
    began = time.monotonic()
    found = client.compute(graph).result(timeout=_PATIENCE)
    took = time.monotonic() - began
    return [float(each) for each in solve(*found)], took


def _lease_again(grid: Grid, count: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            grid.request(workers=count)
            return
        except RequestError:  # the hub has not heard of the loss yet
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _audited() -> bool:
    from gridnb.config import settings
    from gridnb.ledger import Ledger

    with Ledger(settings().ledger) as ledger:
        return not ledger.audit()
