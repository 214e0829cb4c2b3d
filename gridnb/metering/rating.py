"""What a worker's time and bytes cost, exactly.

A worker's cost is a function of all its paid seconds so far, and a charge is
the difference of two values of it. So charges add up to the whole, however
often they are made, and a hold made by the same difference is exactly enough.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from gridnb.units import QUANTUM, exact

if TYPE_CHECKING:
    from gridnb.catalog.models import Offer, RateCard, Site

__all__ = ["amount", "cumulative", "due", "egress", "paid_seconds", "split"]

Part = TypeVar("Part", bound=Hashable)

_HOUR = 3600
_GIB = 2**30
# Room for each digit of a product before it is rounded once.
_WIDE = Context(prec=80)


def amount(site: Site, offer: Offer, seconds: Decimal) -> Decimal:
    """Return what ``seconds`` paid seconds of one worker cost, in the site's currency.

    Raises
    ------
    ValueError
        If ``seconds`` is negative.
    """
    return cumulative(site.price(offer), seconds)


def cumulative(rate: Decimal, seconds: Decimal) -> Decimal:
    """Return ``rate`` (per hour) × ``seconds``, rounded to a billionth, half to even.

    >>> cumulative(Decimal("0.36"), Decimal(10))
    Decimal('0.001000000')
    """
    _not_negative(seconds, "seconds")
    return exact(_WIDE.divide(_WIDE.multiply(rate, seconds), Decimal(_HOUR)))


def due(rate: Decimal, before: Decimal, after: Decimal) -> Decimal:
    """Return what is added when the paid seconds of a worker rise from ``before`` to ``after``.

    These differences add up to :func:`cumulative` of the last ``after``, to the last digit.
    """
    if after < before:
        raise ValueError(f"paid seconds went down, from {before} to {after}")
    return cumulative(rate, after) - cumulative(rate, before)


def paid_seconds(up: Decimal, card: RateCard) -> Decimal:
    """Return the seconds to pay for a worker that was up for ``up`` seconds of billed time.

    At least the rate card's minimum, then rounded up to a multiple of its rounding (0: not at all).
    """
    _not_negative(up, "up")
    paid = max(Decimal(up), Decimal(card.minimum_seconds))
    step = Decimal(card.rounding_seconds)
    if not step:
        return paid
    return (paid / step).to_integral_value(rounding=ROUND_CEILING) * step


def egress(price: Decimal, sent: int) -> Decimal:
    """Return what ``sent`` bytes cost in all at ``price`` per GiB; charge differences of it."""
    _not_negative(sent, "bytes")
    return exact(_WIDE.divide(_WIDE.multiply(price, Decimal(sent)), Decimal(_GIB)))


def split(whole: Decimal, parts: Mapping[Part, Decimal | float]) -> dict[Part, Decimal]:
    """Divide an amount in proportion to ``parts``; the shares add up to it, to the last digit.

    ``parts`` are weights, not money, and may be floats; they are taken as exactly what they are.
    Each share is rounded down to a billionth, and what remains goes, a billionth each, to those
    that lost most by that, the first of equals first.

    Raises
    ------
    ValueError
        If a part is negative, or nothing can be divided by since all are 0.
    """
    for part, weight in parts.items():
        _not_negative(weight, f"part {part}")
    total = sum(map(Fraction, parts.values()))
    nano = int(_WIDE.divide(exact(whole), QUANTUM))
    if not total:
        if nano:
            raise ValueError(f"{whole} cannot be divided: all of its {len(parts)} parts are 0")
        return dict.fromkeys(parts, exact(0))
    shares = {part: divmod(nano * Fraction(weight), total) for part, weight in parts.items()}
    rest = nano - sum(int(share) for share, _ in shares.values())
    favoured = set(sorted(shares, key=lambda part: -shares[part][1])[:rest])
    return {
        part: exact(Decimal(int(share) + (part in favoured)).scaleb(-9))
        for part, (share, _) in shares.items()
    }


def _not_negative(value: Decimal | float, what: str) -> None:
    if value < 0:
        raise ValueError(f"{what}: {value} is negative; give at least 0")
