"""The state of a grid as plain data, for widgets, tables and the command line."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.ledger import Account
from gridnb.providers.guard import clock

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub

__all__ = ["status"]


def status(hub: Hub, account: Account, about: dict[str, Any]) -> dict[str, Any]:
    """Return grid, budget, sites, workers, leases, runs and links.

    Amounts are decimal text in the account's currency, times seconds (real
    ones), sizes bytes.
    """
    now = clock()
    return {
        "grid": {**about, "pid": about["pid"], "up": now - about["began"]},
        "budget": {
            "account": account.name,
            "currency": account.currency,
            "cap": None if account.cap is None else str(account.cap),
            "charged": str(account.charged),
            "held": str(account.held),
            "left": None if account.cap is None else str(account.left),
        },
        "sites": _sites(hub),
        "workers": [s.describe(now) for s in hub.slots.values() if s.state != "ended"],
        "leases": [lease.describe(now) for lease in hub.leases.values()],
        "runs": _runs(hub, now),
        "links": _links(hub),
    }


def _sites(hub: Hub) -> list[dict[str, Any]]:
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for slot in hub.slots.values():
        spent[slot.site.name] += slot.charged_total
    rows = []
    for site in hub.catalog.sites:
        slots = [s for s in hub.slots.values() if s.site.name == site.name]
        up = [s for s in slots if s.state in ("running", "draining")]
        rows.append(
            {
                "name": site.name,
                "owner": site.owner,
                "region": site.region,
                "provider": site.provider,
                "simulated": site.provider == "simulated",
                "workers": len(up),
                "starting": sum(s.state == "starting" for s in slots),
                "cores": sum(s.cores for s in up),
                "rate": str(sum((s.rate for s in slots if s.state != "ended"), Decimal(0))),
                "spent": str(spent[site.name]),
                "currency": site.currency,
            }
        )
    return rows


def _runs(hub: Hub, now: float) -> list[dict[str, Any]]:
    return [
        {
            "id": run.id,
            "label": run.label,
            "state": run.state,
            "seconds": (run.ended if run.ended is not None else now) - run.began,
            "used": str(run.used),
            "sites": sorted(run.sites),
            "cost": str(run.cost),
        }
        for run in hub.runs.values()
    ]


def _links(hub: Hub) -> list[dict[str, Any]]:
    if hub.biller.links is None:
        return []
    return [
        {
            "src": link.src,
            "dst": link.dst,
            "bytes": link.bytes,
            "messages": link.messages,
            "cost": str(Decimal(link.cost).scaleb(-9)),
        }
        for link in hub.biller.links.traffic()
    ]
