"""Sites, offers, prices, links: what they compute, and that JSON loses nothing."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridnb.catalog import Catalog, Offer, RateCard, Site, load
from gridnb.errors import CatalogError

prices = st.decimals(min_value=0, max_value=10**6, places=9)


def offer(**changes: Any) -> dict[str, Any]:
    return {"name": "small", "cores": 2, "memory": "4 GiB", **changes}


def site(name: str = "alpha", **changes: Any) -> dict[str, Any]:
    return {"name": name, "provider": "simulated", "offers": [offer()], **changes}


def catalog(*sites: dict[str, Any], **changes: Any) -> Catalog:
    return Catalog.of({"name": "test", "sites": sites or [site()], **changes})


def test_price_by_rate_card_or_own() -> None:
    card = {"core_hour": 0.05, "gib_hour": "0.01", "gpu_hour": 1}
    offers = [offer(), offer(name="gpu", gpus=1), offer(name="flat", price=0.3)]
    alpha = Site.model_validate(site(rate_card=card, offers=offers))
    assert alpha.price("small") == Decimal("0.14")
    assert alpha.price("gpu") == Decimal("1.14")
    assert alpha.price(alpha.offer("flat")) == Decimal("0.3")


@given(prices, prices, st.integers(1, 512), st.integers(1, 2**45))
def test_rates_are_exact_to_the_billionth(
    core_hour: Decimal, gib_hour: Decimal, cores: int, memory: int
) -> None:
    card = RateCard(core_hour=core_hour, gib_hour=gib_hour)
    true = Fraction(core_hour) * cores + Fraction(gib_hour) * memory / 2**30
    assert abs(Fraction(card.rate(cores, memory)) - true) <= Fraction(1, 2 * 10**9)
    assert card.ratio(cores, memory) == true


@given(
    prices,
    st.floats(min_value=0, max_value=10**6),
    st.decimals("0.000000001", "1", places=9),
    st.decimals("0.1", "1000", places=3),
    st.text(max_size=20),
)
def test_json_loses_nothing(
    price: Decimal, delay: float, speed: Decimal, scale: Decimal, text: str
) -> None:
    one = offer(price=price, start_delay=delay, speed=speed)
    before = catalog(
        site(offers=[one], rate_card={"egress_gib": price}, labels={"note": text}, term=delay + 1),
        site("beta"),
        time_scale=scale,
        description=text,
        links=[{"between": ["alpha", "beta"], "latency": delay, "price": price}],
    )
    after = Catalog.from_json(before.to_json())
    assert after == before and after.to_json() == before.to_json()
    assert str(after.sites[0].offers[0].price) == str(before.sites[0].offers[0].price)


@pytest.mark.parametrize("name", ["demo", "here"])
def test_built_in_catalogs_go_through_json(name: str) -> None:
    assert Catalog.from_json(load(name).to_json()) == load(name)


def test_all_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        catalog().sites[0].name = "other"  # type: ignore[misc]


def test_free_means_that_nothing_is_charged() -> None:
    assert Site.model_validate(site()).free
    for card in ({"core_hour": 1}, {"per_start": 1}, {"egress_gib": 1}):
        assert not Site.model_validate(site(rate_card=card)).free
    assert not Site.model_validate(site(offers=[offer(price=1)])).free


def test_capacity_is_the_smaller_limit() -> None:
    offers = [offer(count=3), offer(name="large", count=2)]
    assert Site.model_validate(site(offers=offers)).capacity == 5
    assert Site.model_validate(site(offers=offers, max_workers=4)).capacity == 4


def test_links_hold_both_ways_and_have_a_default() -> None:
    links = [{"between": ["alpha", "beta"], "latency": "20ms", "bandwidth": "25 MB/s"}]
    three = catalog(
        site(rate_card={"egress_gib": "0.09"}),
        site("beta"),
        site("gamma"),
        links=links,
        default_link={"latency": "0.1 s", "bandwidth": "1 MB/s"},
    )
    assert three.link("alpha", "beta") == three.link("beta", "alpha")
    assert three.link("beta", "alpha").bandwidth == 25_000_000
    assert three.link("alpha", "gamma").latency == 0.1
    assert three.link("alpha", "alpha").bandwidth is None
    assert three.egress("alpha", "beta") == Decimal("0.09")
    assert three.egress("beta", "alpha") == three.egress("alpha", "alpha") == 0
    with pytest.raises(CatalogError, match="no site 'gama'; did you mean 'gamma'"):
        three.link("alpha", "gama")


def test_a_price_of_the_link_goes_before_egress() -> None:
    links = [{"between": ["alpha", "beta"], "price": "0.01"}]
    two = catalog(site(rate_card={"egress_gib": 1}), site("beta"), links=links)
    assert two.egress("alpha", "beta") == two.egress("beta", "alpha") == Decimal("0.01")


def test_names_that_are_not_there() -> None:
    with pytest.raises(CatalogError, match="has no site 'aplha'; did you mean 'alpha'"):
        catalog().site("aplha")
    with pytest.raises(CatalogError, match="site alpha has no offer 'x'; there are small"):
        catalog().site("alpha").offer("x")


@pytest.mark.parametrize(
    ("sites", "changes", "says"),
    [
        ([site(), site()], {}, r"sites\[1\].name: there are two sites named 'alpha'"),
        ([site(offers=[offer(), offer()])], {}, r"sites\[0\].offers\[1\].name: there are two offe"),
        ([site(currency="USD")], {}, r"sites\[0\].currency: 'USD' is not for a simulated site"),
        ([site(provider="local")], {"time_scale": 60}, "time_scale: 60 is not for a catalog with"),
        (
            [site()],
            {"links": [{"between": ["alpha", "bta"]}]},
            r"links\[0\].between\[1\]: there is",
        ),
        (
            [site()],
            {"links": [{"between": ["alpha", "alpha"]}] * 2},
            r"links\[1\].between: .*twice",
        ),
        ([site()], {"links": [{"between": ["alpha"]}]}, r"links\[0\].between.*the names of two"),
        ([site(offers=[])], {}, r"sites\[0\].offers: a list will not do; write a list of at least"),
        ([site(offers=[offer(cores=True)])], {}, "cores: True will not do; write a whole number"),
        (
            [site(offers=[offer(price=-1)])],
            {},
            "price: -1 will not do; write an amount of at least",
        ),
        ([site(offers=[offer(price="1e-10")])], {}, "price: '1e-10' will not do"),
        ([site(offers=[offer(price="NaN")])], {}, "price: 'NaN' will not do"),
        ([site(offers=[offer(speed=0)])], {}, "speed: 0 will not do; write a number above 0"),
        ([site(offers=[offer(speed=1.5)])], {}, "speed: 1.5 will not do"),
        ([site(offers=[offer(memory="4 XB")])], {}, "memory: '4 XB' is not a size; write it like"),
        ([site(offers=[offer(start_delay="x")])], {}, "start_delay: 'x' is not a time"),
        ([site(country=False)], {}, "country: False will not do; write a code of two letters in"),
        ([site(name="a b")], {}, "name: 'a b' will not do; write a name of letters"),
        (
            [site(rate_card=[1])],
            {},
            r"rate_card: a list will not do; write a mapping with the keys",
        ),
        (
            [site(rate_card={"core_huor": 1})],
            {},
            "core_huor: there is no such key; did you mean 'co",
        ),
        ([], {"sites": []}, "sites: a list will not do; write a list of at least one site"),
        (
            [site()],
            {"default_link": {"bandwidth": "5 Mbit"}},
            "'5 Mbit' is not a bandwidth; write it like",
        ),
    ],
)
def test_mistakes_say_where_what_and_what_would_be_right(
    sites: list[dict[str, Any]], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(CatalogError, match=says) as caught:
        Catalog.of({"name": "test", "sites": sites, **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"name": "x"}'])
def test_json_that_is_no_catalog(text: str) -> None:
    with pytest.raises(CatalogError, match="^catalog: "):
        Catalog.from_json(text)


def test_sizes_and_times_are_read() -> None:
    one = Offer.model_validate(offer(start_delay="2 min", memory="512 MiB"))
    assert (one.start_delay, one.memory) == (120.0, 512 * 2**20)
