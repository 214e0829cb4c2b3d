"""Money, sizes and times, from text and to text.

Amounts are :class:`decimal.Decimal`, exact to :data:`QUANTUM` (a billionth of
a unit), never float. Text for sizes and times is what Dask accepts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
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

_MONEY = re.compile(
    r"\s*([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]+)?|\.[0-9]+)"
    r"\s*([A-Za-z]{2,3})\s*"
)
_TIME = re.compile(r"((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]*)\s*")
# What people write and Dask does not read.
_TIME_UNITS = {"min": "m", "mins": "m", "sec": "s", "secs": "s", "hr": "h", "hrs": "h"}


def exact(amount: Decimal | Fraction | int | str) -> Decimal:
    """Round an amount to :data:`QUANTUM`, half to even.

    Raises
    ------
    ValueError
        If it is no number, or not below 1e19.
    TypeError
        If it is a float.

    >>> exact("0.12345678949")
    Decimal('0.123456789')
    """
    if isinstance(amount, float):
        raise TypeError(f"{amount!r} is a float, which is not exact; hand in a Decimal or text")
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
    """Read ``"5 GD"``, ``"0.40 USD"`` or ``"1,250.00 GD"``.

    Raises
    ------
    RequestError
        If it is not a non-negative number and a currency.
    """
    match = None if isinstance(text, Money) else _MONEY.fullmatch(str(text))
    if isinstance(text, Money):
        money = text
    else:
        try:
            if match is None:
                raise ValueError
            money = Money(Decimal(re.sub("[,_]", "", match[1])), match[2].upper())
        except (InvalidOperation, ValueError):
            raise RequestError(
                f"{what}: {text!r} is not an amount of money; write a number and a currency, "
                "like '5 GD'"
            ) from None
    if money.amount < 0:
        raise RequestError(f"{what}: '{text}' is negative; write an amount of at least 0")
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
    try:
        value = _bytes(text)
        if value < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise RequestError(f"{what}: {text!r} is not a size; write it like '8 GiB'") from None
    return value


def _bytes(text: object) -> int:
    from dask.utils import parse_bytes as dask_parse

    if not isinstance(text, str) or not any(map(str.isdigit, text)):
        raise ValueError
    # Dask goes through float, which is not exact above 2**53.
    return int(text) if text.strip().isdecimal() else int(dask_parse(text))


def parse_seconds(text: str | float | Decimal, *, what: str = "time") -> float:
    """Read ``"10 min"``, ``"1 h 30 min"``, ``"20ms"`` or a number of seconds.

    Raises
    ------
    RequestError
        If it is not a finite time of at least 0.
    """
    try:
        value = _seconds(text)
        if not 0 <= value < math.inf:
            raise ValueError
    except (ValueError, OverflowError, KeyError):
        raise RequestError(
            f"{what}: {text!r} is not a time; write it like '10 min' or '30s'"
        ) from None
    return value


def _seconds(text: object) -> float:
    if isinstance(text, (int, float, Decimal)) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str):
        raise ValueError
    parts = _TIME.findall(text.strip())
    if (
        not parts
        or _TIME.sub("", text.strip())
        or (len(parts) > 1 and not all(u for _, u in parts))
    ):
        raise ValueError
    from dask.utils import parse_timedelta

    # Dask takes text, though it is annotated as if only None would do.
    read: Callable[[str], float] = parse_timedelta
    units = [_TIME_UNITS.get(unit.lower(), unit) for _, unit in parts]
    return float(sum(read(number + unit) for (number, _), unit in zip(parts, units, strict=True)))


def format_bytes(size: float) -> str:
    """Write a size, like ``1.50 GiB``."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        # A little less than the factor would be written as 1024.00 of the next smaller unit.
        if size >= factor * (1 - 0.005 / 1024):
            return f"{size / factor:.2f} {unit}"
    return f"{size:.0f} B"


def format_seconds(seconds: float) -> str:
    """Write a time in the two largest units that say something, like ``2 min 05 s``."""
    if seconds < 0:
        return f"-{format_seconds(-seconds)}"
    if seconds == math.inf:
        return "∞"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
