"""What goes into a ledger and what comes out: plain values, no database.

Amounts are :class:`decimal.Decimal` in the account's currency, at most nine
decimals; seconds are worker-seconds in billed time; times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, cast, get_args

from gridnb.errors import LedgerError

__all__ = [
    "KINDS",
    "Account",
    "Adjustment",
    "Charge",
    "ChargeLine",
    "Hold",
    "HoldOrder",
    "Kind",
    "RunTotal",
    "from_nano",
    "to_nano",
]

#: What a paid second went to; ``egress`` is bytes, not seconds.
Kind = Literal["used", "kept", "idle", "overhead", "egress"]
#: All of :data:`Kind`, in the order in which bills show them.
KINDS: tuple[Kind, ...] = get_args(Kind)

# SQLite and PostgreSQL keep 64-bit integers.
_LARGEST = 2**63 - 1


def to_nano(amount: Decimal | int, what: str) -> int:
    """Return an amount as a whole number of billionths; ``what`` names it in the error.

    Raises
    ------
    LedgerError
        If it is a float, not finite, finer than a billionth, or too large to keep.
    """
    # An annotation stops no float that comes out of a calculation.
    if not isinstance(cast("object", amount), (Decimal, int)) or isinstance(amount, bool):
        raise LedgerError(f"{what}: {amount!r} is no Decimal; money is never float")
    value = Decimal(amount)
    if not value.is_finite() or value.adjusted() > 9:
        raise LedgerError(f"{what}: {amount} is too large; keep it under 9,000,000,000")
    numerator, denominator = value.as_integer_ratio()
    nano, rest = divmod(numerator * 10**9, denominator)
    if rest:
        raise LedgerError(f"{what}: {amount} has more than nine decimals; round it first")
    if abs(nano) > _LARGEST:
        raise LedgerError(f"{what}: {amount} is too large; keep it under 9,000,000,000")
    return nano


def from_nano(nano: int) -> Decimal:
    """Return billionths as an amount with nine decimals."""
    return Decimal(nano).scaleb(-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A named budget in one currency, as it stands now.

    ``charged`` and ``adjusted`` count this ``period``; ``held`` is what open holds still have.
    """

    name: str
    currency: str
    cap: Decimal | None
    charged: Decimal
    held: Decimal
    adjusted: Decimal
    period: int

    @property
    def left(self) -> Decimal | None:
        """What can still be held; ``None`` without a cap; below 0 only through adjustments."""
        if self.cap is None:
            return None
        # A credit never makes room, so that charged + held <= cap holds by itself.
        return self.cap - self.charged - self.held - max(self.adjusted, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOrder:
    """Money to be set aside, before what it pays for begins."""

    key: str
    """Unique in the ledger: the same order again changes nothing."""
    amount: Decimal
    grid: str = ""
    lease: str = ""
    worker: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(HoldOrder):
    """Money that was set aside."""

    account: str
    currency: str
    charged: Decimal
    """How much of it has been charged."""
    open: bool
    """Whether it can still be charged."""

    @property
    def left(self) -> Decimal:
        """What can still be charged to it; 0 after its release."""
        return self.amount - self.charged if self.open else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """One amount to be charged to a hold, and what for."""

    key: str
    """Unique in the ledger: the same line again changes nothing."""
    hold: str
    """Key of the hold that pays."""
    amount: Decimal
    kind: Kind
    seconds: Decimal = Decimal(0)
    """Worker-seconds in billed time, rounded to a billionth; 0 for egress."""
    grid: str = ""
    lease: str = ""
    worker: str = ""
    site: str = ""
    owner: str = ""
    run: str = ""
    """Id of the cell or job; empty where nothing ran."""
    label: str = ""
    start: datetime
    end: datetime
    estimated: bool = False
    """Whether a record was missing and this is the best that is known."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(ChargeLine):
    """A charge as the ledger has it."""

    seq: int
    """Its place in the ledger, rising."""
    time: datetime
    """When it was written."""
    account: str
    currency: str
    period: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What a provider said later; negative for a credit."""

    seq: int
    time: datetime
    account: str
    currency: str
    period: int
    amount: Decimal
    reason: str
    grid: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotal:
    """All charges of one run in one currency."""

    run: str
    label: str
    grid: str
    account: str
    currency: str
    start: datetime
    end: datetime
    seconds: Decimal
    amount: Decimal
    sites: tuple[str, ...]
    estimated: bool


def time_text(moment: datetime, what: str) -> str:
    """Return an aware datetime as fixed-width UTC text, which sorts as the moments do."""
    if moment.tzinfo is None:
        raise LedgerError(f"{what}: {moment} has no time zone; hand in an aware datetime")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
