"""Catalogs, requests and states of the market, drawn at random."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from gridnb.broker import Request
from gridnb.catalog import Catalog, Offer, RateCard, Site
from gridnb.units import Money

NAMES = ("alpha", "beta", "gamma", "delta")
REGIONS = ("eu-north", "eu-west", "us-east")
OWNERS = ("Nordlicht", "Seewald")
GIB = 2**30

#: Few values, so that ties are common.
prices = st.sampled_from([Decimal(p) for p in ("0", "0.05", "0.1", "0.11", "0.3", "1.7")])


@st.composite
def offers(draw: st.DrawFn, name: str) -> Offer:
    return Offer(
        name=name,
        cores=draw(st.sampled_from([1, 2, 3, 8])),
        memory=draw(st.sampled_from([GIB // 2, GIB, 4 * GIB])),
        gpus=draw(st.sampled_from([0, 0, 0, 1])),
        spot=draw(st.booleans()),
        price=draw(st.none() | prices),
        start_delay=draw(st.sampled_from([0.0, 30.0, 120.0])),
        speed=draw(st.sampled_from([Decimal("0.5"), Decimal("0.8"), Decimal(1)])),
        count=draw(st.integers(1, 4)),
    )


@st.composite
def sites(draw: st.DrawFn, name: str) -> Site:
    card = RateCard(
        core_hour=draw(prices),
        gib_hour=draw(prices),
        per_start=draw(st.sampled_from([Decimal(0), Decimal("0.01")])),
        minimum_seconds=draw(st.sampled_from([0, 60, 900])),
        rounding_seconds=draw(st.sampled_from([1, 60])),
        egress_gib=draw(prices),
    )
    return Site(
        name=name,
        provider="local",
        owner=draw(st.sampled_from(OWNERS)),
        region=draw(st.sampled_from(REGIONS)),
        currency=draw(st.sampled_from(["EUR", "EUR", "EUR", "USD"])),
        rate_card=card,
        offers=tuple(draw(offers(each)) for each in ("small", "large")[: draw(st.integers(1, 2))]),
        max_workers=draw(st.sampled_from([None, 0, 1, 2, 3, 5])),
        term=draw(st.none() | st.sampled_from([60.0, 1800.0])),
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    return Catalog(name="test", sites=tuple(draw(sites(name)) for name in names))


@st.composite
def requests(draw: st.DrawFn, catalog: Catalog) -> Request:
    def some(values: set[str]) -> st.SearchStrategy[list[str]]:
        return st.just([]) | st.just([]) | st.lists(st.sampled_from(sorted(values)), max_size=3)

    what: dict[str, Any] = {
        "cores": draw(st.sampled_from([1, 2, 3, 5, 8, 13, 21])),
        "memory": draw(st.none() | st.sampled_from([GIB, 3 * GIB, 10 * GIB])),
        "gpus": draw(st.sampled_from([0, 0, 0, 1, 2])),
        "workers": draw(st.none() | st.integers(1, 5)),
        "sites": draw(some(set(catalog.names))),
        "regions": draw(some({site.region for site in catalog.sites})),
        "owners": draw(some({site.owner for site in catalog.sites})),
        "spot": draw(st.sampled_from([None, None, True, False])),
        "deadline": draw(st.none() | st.sampled_from([20, 600, 7200])),
        "max_cost": draw(st.none() | st.sampled_from(["0.02 EUR", "0.5 EUR", "9 EUR"])),
        "optimize": draw(st.sampled_from(["cost", "time"])),
    }
    return Request.of(**what)


budgets = st.none() | st.sampled_from([Money(Decimal(x), "EUR") for x in ("0", "0.1", "1", "50")])
in_use = st.dictionaries(
    st.sampled_from([*NAMES, "alpha/small", "beta/large"]), st.integers(0, 3), max_size=3
)
