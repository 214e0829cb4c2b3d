"""What a run of an application would cost, before there is a grid, and whether it can be paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridnb.broker import Quote, Request
from gridnb.broker import quote as find_quote
from gridnb.config import settings
from gridnb.errors import GridError
from gridnb.units import Money, format_seconds
from gridnb.widgets.tables import rate

if TYPE_CHECKING:
    from gridnb.catalog import Catalog

__all__ = ["Price", "left_of", "price"]


@dataclass(frozen=True)
class Price:
    """An answer to what is chosen.

    Attributes
    ----------
    quote
        None if it cannot be had.
    left
        Of the budget; None without one.
    spent
        Whether what is left of the budget is all that stands in the way.
    why
        Why it cannot be had.
    """

    quote: Quote | None
    left: Money | None
    spent: bool = False
    why: str = ""

    def parts(self) -> list[str]:
        """Return what stands between the dots."""
        quote = self.quote
        if quote is None:
            return [self.why]
        if self.spent:
            return ["the budget is spent", f"{self.left} left, a run begins at {quote.upfront}"]
        where = f"{quote.workers} worker{'s' if quote.workers > 1 else ''}"
        parts = ["free" if quote.free else f"≈ {rate(quote)}"]
        parts += [f"at most {quote.cap}"] if quote.cap is not None and not quote.free else []
        parts.append(f"{where} at {' and '.join(quote.sites)}")
        soon = round(quote.ready_in / float(quote.time_scale), 1)
        return [*parts, f"ready in about {format_seconds(soon)}"] if soon else parts

    def tags(self) -> list[tuple[str, str]]:
        """Say what of it is not real."""
        if self.quote is None or not self.quote.simulated:
            return []
        if self.quote.time_scale == 1:
            return [("simulated", "The money is not real.")]
        times = f"{self.quote.time_scale.normalize():f}"
        why = f"The money is not real; a second is billed as {times} seconds."
        return [(f"simulated, {times} × time", why)]


def price(request: dict[str, Any], catalog: Catalog, left: Money | None) -> Price:
    """Quote a request; starts nothing and spends nothing."""
    term = settings().lease.term
    try:
        asked = Request.of(**request)
        return Price(find_quote(asked, catalog, left=left, term=term), left)
    except GridError as error:
        why = str(error)
    if left is None:
        return Price(None, left, why=why)
    try:
        quote = find_quote(asked, catalog, term=term)
    except GridError:
        return Price(None, left, why=why)
    return Price(quote, left, spent=True)


def left_of(account: str, currency: str, cap: Money | None) -> Money | None:
    """Return what is left of an account whose cap is, or would become, `cap`; never less than 0."""
    from gridnb.ledger import Ledger

    with Ledger(settings().ledger) as ledger:
        found = ledger.account(account, currency)
    if found is None:
        return cap
    most = found.cap if cap is None else cap.amount
    if most is None:
        return None
    return Money(max(most - found.charged - found.held, most * 0), currency)
