"""``gridnb sites``, ``quote`` and ``catalog validate``: what is on offer, and its price."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from gridnb.broker import Quote, Request
from gridnb.broker import quote as find_quote
from gridnb.catalog import Catalog, Site, load
from gridnb.cli.screen import console, write_json
from gridnb.config import settings
from gridnb.errors import CatalogError, RequestError
from gridnb.units import Money

__all__ = ["quote", "sites", "validate"]

_REQUEST = (
    "cores", "memory", "gpus", "workers", "sites", "regions", "owners", "deadline", "max_cost",
    "optimize", "spot",
)  # fmt: skip


def _catalog(name: str | None) -> Catalog:
    return load(name or settings().catalog)


def sites(arguments: Namespace) -> int:
    """Show the sites of a catalog."""
    catalog = _catalog(arguments.catalog)
    if arguments.json:
        write_json(_catalog_data(catalog))
        return 0
    from gridnb.tables import links_table, sites_table

    screen = console()
    screen.print(f"[bold]Catalog {catalog.name}[/]: {catalog.description}\n")
    screen.print(sites_table(catalog, width=screen.width))
    if arguments.links:
        screen.print()
        screen.print(links_table(catalog))
    if note := _simulated(catalog):
        screen.print(f"\n[dim]{note}[/]")
    return 0


def _simulated(catalog: Catalog) -> str:
    if not any(site.simulated for site in catalog.sites):
        return ""
    note = "Speed, delays, links and prices of simulated sites are modelled; GD is no real money."
    if catalog.time_scale != 1:
        note += f" A real second is billed as {catalog.time_scale.normalize():f} seconds."
    return note


def _catalog_data(catalog: Catalog) -> dict[str, Any]:
    pairs = [(a, b) for a in catalog.names for b in catalog.names if a != b]
    return {
        "name": catalog.name,
        "description": catalog.description,
        "time_scale": str(catalog.time_scale),
        "simulated": catalog.simulated,
        "sites": [_site_data(site) for site in catalog.sites],
        "links": [
            {
                "source": a,
                "target": b,
                "latency": link.latency,
                "bandwidth": link.bandwidth,
                "price_per_gib": str(catalog.egress(a, b)),
            }
            for a, b in pairs
            for link in [catalog.link(a, b)]
        ],
    }


def _site_data(site: Site) -> dict[str, Any]:
    plain: dict[str, Any] = site.model_dump(mode="json")
    plain |= {"simulated": site.simulated, "free": site.free, "capacity": site.capacity}
    for offer, data in zip(site.offers, plain["offers"], strict=True):
        data["price"] = str(site.price(offer))
    return plain


def quote(arguments: Namespace) -> int:
    """Show what a request would cost."""
    given = {name: value for name in _REQUEST if (value := getattr(arguments, name, None))}
    answer = _quote(Request.of(**given), arguments)
    if arguments.json:
        write_json(json.loads(answer.to_json()))
    else:
        console().print(answer)
    return 0


def _quote(request: Request, arguments: Namespace) -> Quote:
    catalog = _catalog(arguments.catalog)
    left = _left(arguments.account, catalog) if arguments.account else None
    return find_quote(request, catalog, left=left, term=settings().lease.term)


def _left(name: str, catalog: Catalog) -> Money | None:
    from gridnb.ledger import Ledger

    with Ledger(settings().ledger) as ledger:
        found = [each for each in ledger.accounts() if each.name == name]
        known = sorted({each.name for each in ledger.accounts()})
    if not found:
        raise RequestError(
            f"there is no account {name!r}; there are: {', '.join(known) or 'none yet'}"
        )
    fits = [each for each in found if each.currency in catalog.currencies] or found
    left = fits[0].left
    return None if left is None else Money(max(left, left * 0), fits[0].currency)


def validate(arguments: Namespace) -> int:
    """Check a catalog, and that somebody here provides its sites."""
    from importlib.metadata import entry_points

    from gridnb.catalog.problems import did_you_mean

    catalog = load(arguments.file)
    known = sorted(each.name for each in entry_points(group="gridnb.providers"))
    for index, site in enumerate(catalog.sites):
        if site.provider not in known:
            raise CatalogError(
                f"{arguments.file}, sites[{index}].provider: no package here provides "
                f"{site.provider!r}; {did_you_mean(site.provider, known)}"
            )
    if arguments.json:
        write_json({"ok": True, "name": catalog.name, "sites": list(catalog.names)})
    else:
        count, offers = len(catalog.sites), sum(len(site.offers) for site in catalog.sites)
        console().print(
            f"{arguments.file} is sound: catalog {catalog.name}, {count} sites, {offers} offers, "
            f"{len(catalog.links)} links"
        )
    return 0
