"""Amounts written so that they do not jump when they change."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gridnb.units import format_seconds
from gridnb.widgets.tables import hour

__all__ = ["amount", "lasts", "price", "rate_of", "short_time", "unit"]

_FOUR = Decimal("0.0001")


def amount(value: str | Decimal, currency: str = "") -> str:
    """Write an amount with four decimals; what is less says so, as on the bill."""
    exact = Decimal(value)
    if 0 < abs(exact) < _FOUR:
        return f"< {_FOUR} {currency}".rstrip()
    return f"{exact.quantize(_FOUR):,f} {currency}".rstrip()


def price(value: str | Decimal, currency: str) -> str:
    """Write what an hour costs; free is a word."""
    return amount(value, currency) if Decimal(value) else "free"


def unit(status: dict[str, Any]) -> str:
    """The hour in which rates are given: a simulated one where time is."""
    return hour(Decimal(status["grid"]["time_scale"]))


def rate_of(status: dict[str, Any]) -> Decimal:
    """What all workers that are up cost together, for a billed hour."""
    return sum((Decimal(site["rate"]) for site in status["sites"]), Decimal(0))


def lasts(status: dict[str, Any]) -> float | None:
    """Return the real seconds until the budget ends at the present rate; None if it does not."""
    budget, rate = status["budget"], rate_of(status)
    if budget["left"] is None or not rate:
        return None
    free = Decimal(budget["left"]) + Decimal(budget["held"])
    return float(max(free, Decimal(0)) / rate * 3600 / Decimal(status["grid"]["time_scale"]))


def short_time(seconds: float) -> str:
    """Write a time without fractions of a second."""
    return format_seconds(round(seconds))
