"""Real money is spent only after somebody has said yes, once in a session.

The hub refuses the first lease in real money of a session, whichever way it was asked for;
the answer carries what would be bought. Whoever asked can then say yes and ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gridnb.errors import BudgetError, ConsentError
from gridnb.units import Money

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.catalog import Catalog
    from gridnb.hub.treasury import Treasury

__all__ = ["Consents", "bought"]

#: Money that is not real.
PLAY = frozenset({"GD", "XTS"})


class Consents:
    """The sessions that have agreed to spend the money of a hub's account."""

    def __init__(self, catalog: Catalog, treasury: Treasury) -> None:
        self._catalog, self._treasury = catalog, treasury
        self._agreed: set[str] = set()

    def give(self, session: str) -> None:
        """Note that a session has agreed."""
        self._agreed.add(session)

    async def check(self, session: str, quotes: Sequence[Quote]) -> None:
        """Refuse what would spend real money before the session has agreed to that.

        Raises
        ------
        ConsentError
            Carries the quotes and the budget.
        BudgetError
            If there is no budget that could be agreed to.
        """
        real = [quote for quote in quotes if self._real(quote)]
        if not real or session in self._agreed:
            return
        account = await self._treasury.account()
        left = account.left
        if account.cap is None or left is None:
            raise BudgetError(
                f"account {account.name!r} has no budget in {account.currency}; "
                f"set one, like budget='5 {account.currency}'"
            )
        raise ConsentError(
            f"the first lease in real money of a session needs a yes, and there is nobody to ask: "
            f"{bought(real)}; agree with `grid.consent()`, or set `gridnb.confirm: never`",
            quotes=[quote.to_json() for quote in real],
            budget={
                "account": account.name,
                "currency": account.currency,
                "cap": str(Money(account.cap, account.currency)),
                "left": str(Money(left, account.currency)),
            },
        )

    def _real(self, quote: Quote) -> bool:
        # Bytes that leave a worker which itself is free may cost something.
        paid = any(not self._catalog.site(name).free for name in quote.sites)
        return quote.currency not in PLAY and paid


def bought(quotes: Sequence[Quote]) -> str:
    """Say what would be bought, and for how much."""
    return ", ".join(map(_bought, quotes))


def _bought(quote: Quote) -> str:
    lines = ", ".join(f"{line.count} × {line.site} {line.offer}" for line in quote.lines)
    limit = quote.request.max_cost
    cap = f", {limit} at most" if limit is not None else ""
    return f"{lines} for {quote.rate} per hour ({quote.upfront} set aside at once{cap})"
