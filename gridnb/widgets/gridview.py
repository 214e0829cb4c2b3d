"""A grid at a glance: what the last expression of a cell shows when it is a grid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gridnb.units import Money
from gridnb.widgets.tables import Part, View, budget_text, tags

__all__ = ["gone", "grid"]

_HEAD = ("site", "workers", "cores", "per hour", "spent")


def grid(state: dict[str, Any]) -> View:
    """Show budget, sites in use and runs under way."""
    about, running = state["grid"], state["counts"]["runs_running"]
    used = [each for each in state["sites"] if each["workers"] or each["starting"]]
    rows = [
        (
            each["name"],
            _workers(each),
            each["cores"],
            Money(Decimal(each["rate"]), each["currency"]) if Decimal(each["rate"]) else "free",
            Money(Decimal(each["spent"]), each["currency"]),
        )
        for each in used
    ]
    after = [f"catalog {about['catalog']}", *budget_text(state)]
    if running:
        after.append(f"{running} run{'s' if running > 1 else ''} under way")
    if not used:
        after.append("no workers")
    part = Part(_HEAD, rows, frozenset(_HEAD[1:]))
    return View(f"Grid {about['id']}", after, [part], tags(about), data=state)


def gone(name: str, why: str) -> View:
    """Show a grid that cannot be asked any more."""
    return View(f"Grid {name}", [why])


def _workers(site: dict[str, Any]) -> str:
    starting = f" (+{site['starting']})" if site["starting"] else ""
    return f"{site['workers']}{starting}"
