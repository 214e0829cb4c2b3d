"""The holds that one thing (a worker, a site's egress) is paid from, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

__all__ = ["Purse"]


@dataclass
class Purse:
    """Holds in the order in which they were placed, and what is left of each.

    Attributes
    ----------
    total
        All that was ever held.
    count
        How many holds there were; numbers the next one.
    spent
        Keys of holds that are used up or given back: to be released in the ledger.
    """

    total: Decimal = Decimal(0)
    count: int = 0
    spent: list[str] = field(default_factory=list)
    _open: list[tuple[str, Decimal]] = field(default_factory=list)

    def put(self, key: str, amount: Decimal) -> None:
        """Add a hold that the ledger has granted."""
        self.count += 1
        self.total += amount
        self._open.append((key, amount))

    def draw(self, amount: Decimal) -> Iterator[tuple[str | None, Decimal]]:
        """Take `amount`: yields (hold, part), and (None, rest) for what no hold covers.

        A free charge (amount 0) is booked on the newest hold.
        """
        if not amount:
            yield (self._open[-1][0] if self._open else None), amount
        while amount > 0 and self._open:
            key, left = self._open[0]
            part = min(left, amount)
            if part:
                amount -= part
                self._open[0] = (key, left - part)
                yield key, part
            elif len(self._open) > 1:
                self.spent.append(self._open.pop(0)[0])
            else:
                break
        if amount > 0:
            yield None, amount

    def empty(self) -> None:
        """Give back what is left of all holds."""
        self.spent.extend(key for key, _ in self._open)
        self._open.clear()

    def take_spent(self) -> list[str]:
        """Return the holds to release, each once."""
        spent, self.spent = self.spent, []
        return spent
