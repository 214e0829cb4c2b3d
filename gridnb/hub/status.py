"""The state of a grid as plain data, for widgets, tables and the command line."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.ledger import Account
from gridnb.providers.guard import clock

if TYPE_CHECKING:
    from gridnb.catalog import Site
    from gridnb.hub.hub import Hub, Run
    from gridnb.hub.slots import Slot

__all__ = ["RUNS", "links", "status"]


#: How many runs that have ended are told of, unless more are asked for.
RUNS = 200


def status(
    hub: Hub,
    account: Account,
    about: dict[str, Any],
    *,
    runs: int = RUNS,
    workers: bool = True,
) -> dict[str, Any]:
    """Return grid, budget, sites, workers, leases, runs, links, protected results and events.

    Amounts are decimal text in the account's currency, times seconds (real
    ones), sizes bytes. Of runs that have ended only the newest `runs` are told of;
    `counts` says how many there are. Without `workers` their list is empty. Links are one
    direction each, those that carried something or were cut; their utilisation is the
    share of the last seconds in which they were busy.
    """
    now = clock()
    shown, running = _runs(hub, now, runs)
    described = [s.describe(now) for s in hub.slots.values() if workers and s.running]
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
        "sites": _sites(hub, now),
        "workers": described,
        "leases": [lease.describe(now) for lease in hub.leases.values()],
        "runs": shown,
        "counts": {"runs_total": len(hub.runs), "runs_running": running},
        "links": links(hub),
        "replicas": hub.scheduler.protection.describe(),
        "events": [
            {"ago": now - event.at, "site": event.site, "text": event.text}
            for event in hub.losses.events
        ],
    }


def _sites(hub: Hub, now: float) -> list[dict[str, Any]]:
    slots: dict[str, list[Slot]] = {site.name: [] for site in hub.catalog.sites}
    for slot in hub.slots.values():
        slots[slot.site.name].append(slot)
    health = hub.losses.health
    return [
        {**_site(site, slots[site.name]), "health": health.describe(site.name, now)}
        for site in hub.catalog.sites
    ]


def _site(site: Site, slots: list[Slot]) -> dict[str, Any]:
    up = [s for s in slots if s.state in ("running", "draining")]
    return {
        "name": site.name,
        "owner": site.owner,
        "region": site.region,
        "provider": site.provider,
        "simulated": site.provider == "simulated",
        "workers": len(up),
        "starting": sum(s.state == "starting" for s in slots),
        "cores": sum(s.cores for s in up),
        "rate": str(sum((s.rate for s in slots if s.running), Decimal(0))),
        "spent": str(sum((s.charged_total for s in slots), Decimal(0))),
        "currency": site.currency,
    }


def _runs(hub: Hub, now: float, most: int) -> tuple[list[dict[str, Any]], int]:
    """Describe the runs that go on and the newest of the others, in order; count the former."""
    shown, running, ended = [], 0, 0
    for run in reversed(hub.runs.values()):
        if run.ended is None:
            running += 1
        elif ended < most:
            ended += 1
        else:
            continue
        shown.append(_run(run, now))
    return shown[::-1], running


def _run(run: Run, now: float) -> dict[str, Any]:
    return {
        "id": run.id,
        "label": run.label,
        "kind": run.kind,
        "state": run.state,
        "seconds": (run.ended if run.ended is not None else now) - run.began,
        "used": str(run.used),
        "sites": sorted(run.sites),
        "cost": str(run.cost),
    }


def links(hub: Hub, *, every: bool = False) -> list[dict[str, Any]]:
    """Describe the directions of links that carried something or were cut, or all of them.

    Only those between simulated sites are modelled.
    """
    if hub.biller.links is None:
        return []
    modelled = {site.name for site in hub.catalog.sites if site.simulated}
    return [
        {
            "src": link.src,
            "dst": link.dst,
            "bytes": link.bytes,
            "messages": link.messages,
            "cost": str(Decimal(link.cost).scaleb(-9)),
            "latency": link.latency,
            "bandwidth": link.bandwidth or None,
            "cut": link.cut,
            "utilisation": link.load,
        }
        for link in hub.biller.links.traffic(every=every)
        if not every or all(s in modelled for s in (link.src, link.dst))
    ]
