"""Whose money: accounts with caps, holds, charges, and the audit of all of them.

    account ──hold──► held ──charge──► charged
       ▲                │
       └────release─────┘          charged + held <= cap, at every moment

:class:`Ledger` is loaded when it is first used: SQLAlchemy takes a while to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridnb.ledger.records import (
    KINDS,
    Account,
    Adjustment,
    Charge,
    ChargeLine,
    Hold,
    HoldOrder,
    Kind,
    RunTotal,
)

if TYPE_CHECKING:
    from gridnb.ledger.ledger import Ledger as Ledger
    from gridnb.ledger.store import ledger_path as ledger_path

__all__ = [
    "KINDS",
    "Account",
    "Adjustment",
    "Charge",
    "ChargeLine",
    "Hold",
    "HoldOrder",
    "Kind",
    "Ledger",
    "RunTotal",
    "ledger_path",
]


def __getattr__(name: str) -> object:
    if name == "Ledger":
        from gridnb.ledger.ledger import Ledger

        return Ledger
    if name == "ledger_path":
        from gridnb.ledger.store import ledger_path

        return ledger_path
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
