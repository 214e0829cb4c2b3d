from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.catalog.models import Offer, RateCard, Site
from gridnb.metering.rating import amount, cumulative, due, egress, paid_seconds, split
from gridnb.units import QUANTUM

D = Decimal
RATES = st.decimals(0, 1000, places=9)
SECONDS = st.decimals(0, 10**7, places=9)
WEIGHTS = st.decimals(0, 10**6, places=6) | st.floats(0, 1e6) | st.integers(0, 10**6)


def site(**card: object) -> Site:
    offer = {"name": "small", "cores": 2, "memory": "4 GiB", "count": 1}
    return Site.model_validate(
        {
            "name": "alpha",
            "provider": "simulated",
            "owner": "Alpine Compute",
            "region": "eu",
            "rate_card": card,
            "offers": [offer],
        }
    )


def test_the_rate_times_the_time() -> None:
    alpha = site(core_hour=D("0.1"), gib_hour=D("0.01"))
    offer = alpha.offers[0]
    assert isinstance(offer, Offer)
    assert amount(alpha, offer, D(3600)) == D("0.24")
    assert amount(alpha, offer, D("0.5")) == D("0.000033333")


def test_halves_are_rounded_to_even() -> None:
    assert cumulative(D("0.0000018"), D(1)) == D("0.000000000")
    assert cumulative(D("0.0000054"), D(1)) == D("0.000000002")


@given(RATES, SECONDS)
def test_the_amount_is_the_nearest_that_can_be_kept(rate: Decimal, seconds: Decimal) -> None:
    error = Fraction(cumulative(rate, seconds)) - Fraction(rate) * Fraction(seconds) / 3600
    assert abs(error) <= Fraction(QUANTUM) / 2


@given(RATES, st.lists(SECONDS, min_size=1, max_size=20))
def test_charges_add_up_to_the_whole_however_often_they_are_made(
    rate: Decimal, moments: list[Decimal]
) -> None:
    moments = [D(0), *sorted(moments)]
    charges = [due(rate, *pair) for pair in itertools.pairwise(moments)]
    assert sum(charges) == cumulative(rate, moments[-1])
    assert min(charges) >= 0


@given(RATES, st.lists(SECONDS, min_size=2, max_size=20))
def test_a_hold_for_a_term_is_enough_for_every_charge_in_it(
    rate: Decimal, moments: list[Decimal]
) -> None:
    moments.sort()
    held = due(rate, moments[0], moments[-1])
    assert sum(due(rate, *pair) for pair in itertools.pairwise(moments)) == held


@pytest.mark.parametrize(
    ("up", "minimum", "rounding", "paid"),
    [
        ("0", 0, 1, "0"),
        ("0", 60, 1, "60"),
        ("59.999", 60, 1, "60"),
        ("60.001", 60, 1, "61"),
        ("61", 60, 60, "120"),
        ("120", 60, 60, "120"),
    ],
)
def test_minimum_and_rounding(up: str, minimum: int, rounding: int, paid: str) -> None:
    card = RateCard(minimum_seconds=minimum, rounding_seconds=rounding)
    assert paid_seconds(D(up), card) == D(paid)


@given(SECONDS, SECONDS, st.integers(0, 3600), st.integers(1, 3600))
def test_paid_time_never_goes_back(a: Decimal, b: Decimal, minimum: int, rounding: int) -> None:
    card = RateCard(minimum_seconds=minimum, rounding_seconds=rounding)
    first, second = (paid_seconds(up, card) for up in sorted([a, b]))
    assert max(a, b) <= second < max(a, b, D(minimum)) + rounding
    assert first <= second


def test_bytes() -> None:
    assert egress(D("0.08"), 2**30) == D("0.08")
    assert egress(D("0.08"), 1) == D("0.000000000")
    assert egress(D("0.08"), 64 * 2**20) == D("0.005")


@given(
    st.decimals(0, 1000, places=9),
    st.dictionaries(st.integers(), WEIGHTS, min_size=1, max_size=8),
)
def test_shares_add_up_to_the_whole(whole: Decimal, parts: dict[int, Decimal | float]) -> None:
    total = sum(map(Fraction, parts.values()))
    if not total:
        return
    shares = split(whole, parts)
    assert sum(shares.values()) == whole
    assert list(shares) == list(parts)
    for part, share in shares.items():
        ideal = Fraction(whole) * Fraction(parts[part]) / total
        assert abs(Fraction(share) - ideal) < Fraction(QUANTUM)
        assert share >= 0


def test_the_largest_remainder_gets_the_last_billionth() -> None:
    assert split(D("0.000000002"), {"a": 1, "b": 2}) == {
        "a": D("0.000000001"),
        "b": D("0.000000001"),
    }
    assert split(D("0.000000001"), {"a": 1, "b": 2}) == {"a": 0, "b": D("0.000000001")}
    assert split(D("0.000000001"), {"a": 1, "b": 1}) == {"a": D("0.000000001"), "b": 0}


def test_what_cannot_be_rated() -> None:
    assert split(D(0), {"a": 0}) == {"a": 0}
    with pytest.raises(ValueError, match="all of its 1 parts are 0"):
        split(D(1), {"a": 0})
    with pytest.raises(ValueError, match="part a: -1 is negative"):
        split(D(1), {"a": -1})
    with pytest.raises(ValueError, match="seconds: -1 is negative"):
        cumulative(D(1), D(-1))
    with pytest.raises(ValueError, match="went down, from 2 to 1"):
        due(D(1), D(2), D(1))
