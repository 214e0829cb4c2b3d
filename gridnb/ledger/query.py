"""What is read from a ledger, and as which record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select

from gridnb.ledger import schema
from gridnb.ledger.books import Balance
from gridnb.ledger.records import Account, Adjustment, Charge, Hold, RunTotal, from_nano

__all__ = [
    "account",
    "adjustment",
    "charge",
    "hold",
    "run_total",
    "select_entries",
    "select_holds",
    "select_runs",
]

Row = Mapping[str, Any]

_WHERE = ("key", "grid", "lease", "worker", "site", "account", "currency")
_CHARGE = ("hold", "kind", "owner", "run", "label", "note", "seq", "period", *_WHERE)


def select_entries(
    event: str, names: Mapping[str, str | int | None], after: int = 0
) -> Select[Any]:
    """Select entries of one kind; ``names`` maps columns to the value wanted, or to ``None``."""
    table = schema.entries
    statement = select(table).where(table.c.event == event, table.c.seq > after)
    for name, value in names.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    return statement.order_by(table.c.seq)


def select_holds(is_open: bool | None, grid: str | None, account: str | None) -> Select[Any]:
    """Select holds; ``None`` leaves a condition out."""
    table = schema.holds
    statement = select(table).order_by(table.c.key)
    if is_open is not None:
        statement = statement.where(table.c.open == int(is_open))
    if grid is not None:
        statement = statement.where(table.c.grid == grid)
    if account is not None:
        statement = statement.where(table.c.account == account)
    return statement


def select_runs(names: Mapping[str, str | None]) -> Select[Any]:
    """Select the sums of each run's charges."""
    table = schema.entries
    group = [table.c[name] for name in ("run", "grid", "account", "currency")]
    statement = select(
        *group,
        func.max(table.c.label).label("label"),
        func.min(table.c.start).label("start"),
        func.max(table.c.end).label("end"),
        func.sum(table.c.seconds).label("seconds"),
        func.sum(table.c.amount).label("amount"),
        func.max(table.c.estimated).label("estimated"),
        func.group_concat(table.c.site.distinct()).label("sites"),
    ).where(table.c.event == "charge", table.c.run != "")
    for name, value in names.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    return statement.group_by(*group).order_by(func.min(table.c.seq))


def account(balance: Balance) -> Account:
    """Return the record of a balance."""
    return Account(
        name=balance.account,
        currency=balance.currency,
        cap=None if balance.cap is None else from_nano(balance.cap),
        charged=from_nano(balance.charged),
        held=from_nano(balance.held),
        adjusted=from_nano(balance.adjusted),
        period=balance.period,
    )


def hold(row: Row) -> Hold:
    """Return the record of a row of ``holds``."""
    return Hold(
        amount=from_nano(row["amount"]),
        charged=from_nano(row["charged"]),
        open=bool(row["open"]),
        **{name: row[name] for name in _WHERE},
    )


def charge(row: Row) -> Charge:
    """Return the record of an entry that is a charge."""
    return Charge(
        time=_time(row["time"]),
        amount=from_nano(row["amount"]),
        seconds=from_nano(row["seconds"]),
        start=_time(row["start"]),
        end=_time(row["end"]),
        estimated=bool(row["estimated"]),
        **{name: row[name] for name in _CHARGE},
    )


def adjustment(row: Row) -> Adjustment:
    """Return the record of an entry that is an adjustment."""
    return Adjustment(
        time=_time(row["time"]),
        amount=from_nano(row["amount"]),
        reason=row["note"],
        **{name: row[name] for name in ("seq", "account", "currency", "period", "grid", "site")},
    )


def run_total(row: Row) -> RunTotal:
    """Return the record of a row of :func:`select_runs`."""
    return RunTotal(
        start=_time(row["start"]),
        end=_time(row["end"]),
        seconds=_sum(row["seconds"]),
        amount=_sum(row["amount"]),
        sites=tuple(sorted(site for site in (row["sites"] or "").split(",") if site)),
        estimated=bool(row["estimated"]),
        **{name: row[name] for name in ("run", "label", "grid", "account", "currency")},
    )


def _sum(nano: int) -> Decimal:
    return from_nano(int(nano))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
