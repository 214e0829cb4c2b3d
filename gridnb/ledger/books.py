"""What an entry does to accounts and holds: the only place that knows.

The ledger applies entries as it writes them, and the audit applies them all
again from the first. Amounts are whole billionths here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Balance", "Books", "HoldState"]

Entry = Mapping[str, Any]


@dataclass
class Balance:
    """An account as it stands; a row of ``accounts``."""

    account: str
    currency: str
    period: int = 1
    cap: int | None = None
    charged: int = 0
    held: int = 0
    adjusted: int = 0

    @property
    def left(self) -> int:
        """What can still be held; an account without cap has nothing."""
        return (self.cap or 0) - self.charged - self.held - max(self.adjusted, 0)


@dataclass
class HoldState:
    """A hold as it stands; a row of ``holds``."""

    key: str
    account: str
    currency: str
    amount: int
    grid: str
    lease: str
    worker: str
    site: str
    charged: int = 0
    released: int = 0
    open: int = 1

    @property
    def left(self) -> int:
        """What can still be charged."""
        return self.amount - self.charged - self.released


@dataclass
class Books:
    """Accounts by name and currency, and holds by key."""

    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    holds: dict[str, HoldState] = field(default_factory=dict)

    def balance(self, entry: Entry) -> Balance:
        """Return the account of an entry; KeyError if there is none."""
        return self.balances[entry["account"], entry["currency"]]

    def apply(self, entry: Entry) -> None:
        """Do what the entry says; KeyError if it names what does not exist."""
        _RULES[entry["event"]](self, entry)

    def broken(self, entry: Entry) -> str | None:
        """Say which invariant is broken after this entry was applied, if any."""
        balance = self.balance(entry)
        if balance.charged < 0 or balance.held < 0:
            return "a balance is below 0"
        if balance.charged + balance.held > (balance.cap or 0):
            return "charged + held is above the cap"
        if entry["period"] != balance.period:
            return f"its period is {entry['period']} and the account's is {balance.period}"
        if entry["event"] != "adjust" and entry["amount"] < 0:
            return "its amount is negative"
        hold = self.holds.get(entry["hold"])
        if hold is None:
            return f"there is no hold {entry['hold']!r}" if entry["hold"] else None
        if hold.left < 0:
            return f"more was taken from hold {hold.key!r} than it had"
        if (hold.account, hold.currency) != (entry["account"], entry["currency"]):
            return f"hold {hold.key!r} belongs to another account"
        if entry["event"] == "charge" and not hold.open:
            return f"hold {hold.key!r} had been released"
        return None


def _open(books: Books, entry: Entry) -> None:
    name = entry["account"], entry["currency"]
    books.balances[name] = Balance(*name)


def _cap(books: Books, entry: Entry) -> None:
    books.balance(entry).cap = entry["amount"]


def _period(books: Books, entry: Entry) -> None:
    balance = books.balance(entry)
    balance.period += 1
    balance.charged = balance.adjusted = 0


def _hold(books: Books, entry: Entry) -> None:
    names = ("key", "account", "currency", "amount", "grid", "lease", "worker", "site")
    hold = HoldState(*(entry[name] for name in names))
    books.holds[hold.key] = hold
    books.balance(entry).held += hold.amount


def _charge(books: Books, entry: Entry) -> None:
    books.holds[entry["hold"]].charged += entry["amount"]
    balance = books.balance(entry)
    balance.held -= entry["amount"]
    balance.charged += entry["amount"]


def _release(books: Books, entry: Entry) -> None:
    hold = books.holds[entry["hold"]]
    hold.released += entry["amount"]
    hold.open = 0
    books.balance(entry).held -= entry["amount"]


def _adjust(books: Books, entry: Entry) -> None:
    books.balance(entry).adjusted += entry["amount"]


_RULES: dict[str, Callable[[Books, Entry], None]] = {
    "open": _open,
    "cap": _cap,
    "period": _period,
    "hold": _hold,
    "charge": _charge,
    "release": _release,
    "adjust": _adjust,
}
