"""Money, sizes and times: what is written can be read, and nonsense is refused in one line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.errors import RequestError
from gridnb.units import (
    Money,
    exact,
    format_bytes,
    format_seconds,
    parse_bytes,
    parse_money,
    parse_seconds,
)

amounts = st.decimals(min_value=0, max_value=10**15, places=9)
currencies = st.sampled_from(["GD", "USD", "EUR"])
NO_NUMBERS = [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN")]


@given(amounts, currencies)
def test_money_reads_back_to_the_digits_shown(amount: Decimal, currency: str) -> None:
    money = Money(amount, currency)
    back = parse_money(str(money))
    assert back.currency == currency
    assert abs(back.amount - money.amount) <= max(Decimal("0.005"), 0) and str(back) == str(money)
    if 0 < amount < 1:
        assert abs(back.amount - money.amount) <= money.amount / 20


@given(amounts, currencies)
def test_money_reads_back_exactly_from_all_digits(amount: Decimal, currency: str) -> None:
    assert parse_money(f"{amount:f} {currency}") == Money(amount, currency)


@given(amounts, amounts)
def test_money_adds_and_compares_exactly(a: Decimal, b: Decimal) -> None:
    x, y = Money(a), Money(b)
    assert (x + y) - y == x
    assert (x < y) == (a < b) and (x <= y) == (a <= b) and bool(x) == (a != 0)
    assert x * 3 == x + x + x


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="two currencies"):
        Money(Decimal(1), "GD") + Money(Decimal(1), "USD")
    assert Money(Decimal(1), "GD") != Money(Decimal(1), "USD")


@given(st.fractions(min_value=0, max_value=10**9))
def test_exact_is_the_nearest_billionth(ratio: Fraction) -> None:
    assert abs(Fraction(exact(ratio)) - ratio) <= Fraction(1, 2 * 10**9)


@pytest.mark.parametrize("nonsense", [Decimal("NaN"), Decimal("Infinity"), Decimal("1e30")])
def test_exact_refuses_what_is_no_amount(nonsense: Decimal) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        exact(nonsense)


def test_money_is_never_a_float() -> None:
    with pytest.raises(TypeError, match="float"):
        Money(0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "5", "GD", "five GD", "-1 GD", "5 EURO", "1,5 GD", "$5", "1e3 GD", "9" * 40 + " GD"],
)
def test_bad_money(text: str) -> None:
    with pytest.raises(RequestError, match=r"^cap: .*; write a") as caught:
        parse_money(text, what="cap")
    assert "\n" not in str(caught.value)


@given(st.integers(min_value=0, max_value=10**24))
def test_sizes_as_numbers_are_exact(size: int) -> None:
    assert parse_bytes(size) == parse_bytes(str(size)) == size


@given(st.integers(min_value=0, max_value=2**50))
def test_sizes_read_back_to_the_digits_shown(size: int) -> None:
    text = format_bytes(size)
    number, unit = text.split()
    assert float(number) < 1024 or unit == "TiB"
    assert abs(parse_bytes(text) - size) <= max(0.5, size * 0.006)


@pytest.mark.parametrize("text", ["", "GiB", "-5 GiB", "inf", "1e400", "5 XB", "5 GiB/s", True, -1])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(RequestError, match="^memory: .* is not a size; write it like '8 GiB'"):
        parse_bytes(text, what="memory")


@given(st.floats(min_value=0, max_value=10**9))
def test_times_as_numbers_are_exact(seconds: float) -> None:
    assert parse_seconds(seconds) == parse_seconds(Decimal(repr(seconds))) == seconds


@given(st.floats(min_value=0, max_value=10**6))
def test_times_read_back_to_the_digits_shown(seconds: float) -> None:
    text = format_seconds(seconds)
    slack = (
        31.0 if " h " in text else 0.51 if " min " in text else 0.051 if seconds > 0.99 else 6e-4
    )
    assert abs(parse_seconds(text) - seconds) <= slack
    assert "60 s" not in text.replace("160 s", "") and "1000 ms" not in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10 min", 600),
        ("10 MIN", 600),
        ("1 h 30 min", 5400),
        ("2 mins", 120),
        ("30s", 30),
        ("20ms", 0.02),
        ("1.5h", 5400),
        ("300", 300),
        ("2 hrs", 7200),
        ("1e3 s", 1000),
    ],
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-5s", "nan", "1 30 min", "1 h 30", "10 parsecs", "1e400 s", True, None, *NO_NUMBERS],
)
def test_bad_times(text: str) -> None:
    with pytest.raises(RequestError, match="^deadline: .* is not a time; write it like '10 min'"):
        parse_seconds(text, what="deadline")


def test_a_time_without_an_end() -> None:
    assert format_seconds(float("inf")) == "∞"
    assert format_seconds(-90) == "-1 min 30 s"
