"""The state of a hub that has much to tell, without the processes that belong to it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from gridnb.broker import Request, quote
from gridnb.catalog import Catalog
from gridnb.cluster.replicas import Protection
from gridnb.hub.health import Health
from gridnb.hub.hub import Run
from gridnb.hub.leases import Lease
from gridnb.hub.series import Series
from gridnb.hub.slots import Slot
from gridnb.ledger import Account
from gridnb.providers.guard import clock

SITES = 5


def catalog(workers: int) -> Catalog:
    """Five simulated sites with room for so many workers in all."""
    each = -(-workers // SITES)
    return Catalog.of(
        {
            "name": "synthetic",
            "sites": [
                {
                    "name": f"site{n}",
                    "provider": "simulated",
                    "rate_card": {"core_hour": f"0.{n + 1}"},
                    "offers": [{"name": "node", "cores": 2, "memory": "4 GiB", "count": each}],
                }
                for n in range(SITES)
            ],
        }
    )


def hub(workers: int, runs: int, running: int = 3) -> Any:
    """Return what :func:`gridnb.hub.status.status` reads of a hub, in the hub's own types."""
    known, now = catalog(workers), clock()
    bought = quote(Request.of(workers=workers), known)
    lease = Lease("grid-l1", bought, now, 300.0, None, None, busy_at=now)
    for number in range(workers):
        site = known.sites[number % SITES]
        slot = Slot(f"{site.name}-{number}", site, site.offers[0], lease.id, Decimal(1), now)
        slot.state, slot.started, slot.ready = "running", now - 60, now - 58
        slot.end, slot.charged_total = now + 240, Decimal("0.0125")
        lease.slots[slot.name] = slot
    return SimpleNamespace(
        catalog=known,
        slots=dict(lease.slots),
        leases={lease.id: lease},
        runs={run.id: run for run in _runs(runs, running, now)},
        biller=SimpleNamespace(links=None),
        losses=SimpleNamespace(health=Health(), events=()),
        scheduler=SimpleNamespace(protection=Protection(None)),  # type: ignore[arg-type]
        series=Series(),
    )


def _runs(count: int, running: int, now: float) -> list[Run]:
    made = []
    for number in range(count):
        run = Run(f"grid-{number}", f"In [{number}] work(number)", began=now - 90)
        run.cost, run.sites = Decimal("0.0031"), {"site0": Decimal(9)}
        if number < count - running:
            run.state, run.ended = "done", now - 60
        made.append(run)
    return made


def account() -> Account:
    """An account with money in it."""
    return Account(
        name="synthetic",
        currency="GD",
        cap=Decimal(100),
        charged=Decimal("2.5"),
        held=Decimal("1.25"),
        adjusted=Decimal(0),
        period=1,
    )


def about() -> dict[str, Any]:
    """What a hub says of itself."""
    return {
        "id": "synthetic",
        "name": "synthetic",
        "account": "synthetic",
        "currency": "GD",
        "catalog": "synthetic",
        "time_scale": "1",
        "simulated": True,
        "pid": 1,
        "began": clock(),
    }


def snapshot(state: Any, step: int) -> Any:
    """Return a panel's snapshot of such a hub, a little later at each step."""
    from gridnb.hub.status import status
    from gridnb.widgets.panel.model import RUNS, Snapshot

    shown = status(state, account(), about(), runs=RUNS, workers=False)
    shown["budget"]["charged"] = str(Decimal("2.5") + Decimal(step) / 1000)
    for run in shown["runs"]:
        if run["state"] == "running":
            run["seconds"] += step
    points = range(step + 1, step + 400)
    series = tuple((float(n), {f"site{m}": Decimal(n * m) for m in range(SITES)}) for n in points)
    return Snapshot(shown, series)


def view(state: Any) -> Any:
    """Return a panel's widgets for such a hub."""
    from gridnb.widgets.panel.view import PanelView

    grid = SimpleNamespace(catalog=state.catalog, currency="GD", quote=None, consent=None)
    made = PanelView(SimpleNamespace(grid=grid), str, print, print, "synthetic")  # type: ignore[arg-type]
    made.show(snapshot(state, 0))
    return made
