"""Money, sizes and times, from text and to text.

Amounts are :class:`decimal.Decimal`, exact to :data:`QUANTUM` (a billionth of
a unit), never float. Text for sizes and times is what Dask accepts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction

from gridnb.errors import RequestError

__all__ = [
    "QUANTUM",
    "Money",
    "exact",
    "format_bytes",
    "format_seconds",
    "parse_bytes",
    "parse_money",
    "parse_seconds",
]

#: The smallest amount that is kept: 1e-9 of a currency unit.
QUANTUM = Decimal("1e-9")

_MONEY = re.compile(r"\s*([-+]?[0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]{2,3})\s*")


def exact(amount: Decimal | Fraction | int | str) -> Decimal:
    """Round an amount to :data:`QUANTUM`, half to even.

    Raises
    ------
    ValueError
        If it is no number, or above 1e19.

    >>> exact("0.12345678949")
    Decimal('0.123456789')
    """
    if isinstance(amount, Fraction):
        amount = Decimal(round(amount * 10**9)).scaleb(-9)
    try:
        value = Decimal(amount)
        if not value.is_finite():
            raise InvalidOperation
        return value.quantize(QUANTUM, rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount; write a number below 1e19") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency: ``GD`` (grid dollars, simulated) or an ISO 4217 code.

    >>> Money(Decimal("1.25"), "GD") + Money(Decimal("2"), "GD")
    Money('3.25 GD')
    """

    amount: Decimal
    currency: str = "GD"

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", exact(self.amount))

    def _other(self, other: Money) -> Decimal:
        if self.currency != other.currency:
            raise ValueError(
                f"{self} and {other} are in two currencies and cannot be added or compared; "
                "keep one budget a currency"
            )
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._other(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._other(other), self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * factor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._other(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._other(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        return f"{_digits(self.amount)} {self.currency}"

    def __repr__(self) -> str:
        return f"Money({str(self)!r})"


def _digits(amount: Decimal) -> str:
    """At least two decimals, and enough of them for two digits that say something."""
    if amount == 0:
        return "0.00"
    places = max(2, 1 - amount.adjusted()) if abs(amount) < 1 else 2
    rounded = amount.quantize(Decimal(1).scaleb(-min(places, 9)), rounding=ROUND_HALF_EVEN)
    text = f"{rounded:,f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def parse_money(text: str | Money, *, what: str = "amount") -> Money:
    """Read ``"5 GD"`` or ``"0.40 USD"``.

    Raises
    ------
    RequestError
        If it is not a non-negative number and a currency.
    """
    if isinstance(text, Money):
        return text
    match = _MONEY.fullmatch(str(text))
    try:
        if match is None:
            raise InvalidOperation
        money = Money(Decimal(match[1].replace("_", "")), match[2].upper())
    except (InvalidOperation, ValueError):
        raise RequestError(
            f"{what}: {text!r} is not an amount of money; write a number and a currency, like '5 GD'"
        ) from None
    if money.amount < 0:
        raise RequestError(f"{what}: {text!r} is negative; write an amount of at least 0")
    return money


def parse_bytes(text: str | int, *, what: str = "size") -> int:
    """Read ``"8 GiB"``, ``"512MB"`` or a number of bytes.

    Raises
    ------
    RequestError
        If it is not a size of at least 0.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    from dask.utils import parse_bytes as dask_parse

    try:
        value = dask_parse(text)
        if value < 0:
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise RequestError(f"{what}: {text!r} is not a size; write it like '8 GiB'") from None
    return int(value)


def parse_seconds(text: str | float | Decimal, *, what: str = "time") -> float:
    """Read ``"10 min"``, ``"30s"``, ``"20ms"`` or a number of seconds.

    Raises
    ------
    RequestError
        If it is not a time of at least 0.
    """
    if isinstance(text, (int, float, Decimal)) and not isinstance(text, bool) and text >= 0:
        return float(text)
    from dask.utils import parse_timedelta

    try:
        value = parse_timedelta(text.replace("min", "m") if text.strip().endswith("min") else text)
        if value is None or not value >= 0:
            raise ValueError
    except (ValueError, TypeError, AttributeError, KeyError):
        raise RequestError(
            f"{what}: {text!r} is not a time; write it like '10 min' or '30s'"
        ) from None
    return float(value)


def format_bytes(size: float) -> str:
    """Write a size, like ``1.50 GiB``."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size:.0f} B"


def format_seconds(seconds: float) -> str:
    """Write a time in the two largest units that say something, like ``2 min 05 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
