"""The ledger as everybody uses it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Select, select

from gridnb.errors import LedgerError
from gridnb.ledger import audit, query, schema
from gridnb.ledger.batch import Batch
from gridnb.ledger.books import Balance
from gridnb.ledger.records import (
    Account,
    Adjustment,
    Charge,
    ChargeLine,
    Hold,
    HoldOrder,
    RunTotal,
    time_text,
    to_nano,
)
from gridnb.ledger.store import Store, ledger_path

__all__ = ["Ledger"]

_CURRENCY = re.compile(r"[A-Z]{2,3}")


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Budgets, holds and charges of one user or team, in one file.

    Every method that writes is one transaction: when it returns, all of it is on disk;
    when it raises, nothing of it is. Writers of several processes take turns, readers never
    wait. Threads may share a ledger; a process that was forked opens its own.

    Parameters
    ----------
    url
        A path or ``sqlite:///PATH``; see :func:`~gridnb.ledger.store.ledger_path`.
    clock
        Returns the time, aware of its zone, under which entries are recorded.

    Raises
    ------
    LedgerError
        If the file cannot be made or is no ledger of this version. Every method raises it
        when the file cannot be read or written.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._store = Store(ledger_path(url))
        self._clock = clock

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; using the ledger again opens it again."""
        self._store.close()

    # Accounts

    def open_account(self, name: str, currency: str, cap: Decimal | None = None) -> Account:
        """Create or find an account; a ``cap`` that differs from its present one is recorded.

        An account without cap can pay for what is free, and nothing else.

        Raises
        ------
        BudgetExceeded
            If more than ``cap`` is charged or held already.
        """
        if not name or not _CURRENCY.fullmatch(currency):
            raise LedgerError(
                f"account {name!r} in {currency!r}: give a name, and a currency like 'GD'"
            )
        nano = None if cap is None else to_nano(cap, f"cap of account {name!r}")
        if nano is not None and nano < 0:
            raise LedgerError(f"cap of account {name!r}: {cap} is negative; give at least 0")
        found = self.account(name, currency)
        if found is not None and cap in (None, found.cap):
            return found
        with self._batch() as batch:
            balance = batch.find_balance(name, currency) or batch.open_account(name, currency)
            if nano is not None and nano != balance.cap:
                batch.set_cap(balance, nano)
        return query.account(balance)

    def account(self, name: str, currency: str) -> Account | None:
        """Return an account as it stands, or ``None``."""
        for found in self._accounts(schema.accounts.c.account == name):
            if found.currency == currency:
                return found
        return None

    def accounts(self) -> list[Account]:
        """Return all accounts, by name."""
        return self._accounts()

    def _accounts(self, *conditions: Any) -> list[Account]:
        table = schema.accounts
        statement = select(table).where(*conditions).order_by(table.c.account, table.c.currency)
        return [query.account(Balance(**row)) for row in self._rows(statement)]

    def reset(self, name: str, currency: str) -> Account:
        """Begin a new period, in which nothing is charged yet; open holds stay held."""
        with self._batch() as batch:
            balance = batch.balance(name, currency)
            batch.new_period(balance)
        return query.account(balance)

    # Money moves

    def hold(self, account: str, currency: str, orders: Iterable[HoldOrder]) -> list[Hold]:
        """Set money aside for all of the orders or for none; a key held already changes nothing.

        Raises
        ------
        BudgetExceeded
            If the cap does not allow it.
        BudgetError
            If the account has no cap and an amount is not 0.
        LedgerError
            If a key was used with another amount or account, or its hold has been released.
        """
        orders = list(orders)
        with self._batch() as batch:
            batch.hold(batch.balance(account, currency), orders)
            held = batch.load_holds(order.key for order in orders)
        return [query.hold(vars(held[order.key])) for order in orders]

    def charge(self, lines: Iterable[ChargeLine]) -> None:
        """Charge all of the lines or none; a key charged already changes nothing.

        Raises
        ------
        LedgerError
            If a hold is unknown, released or has less than its lines need, or if a key was used
            with another hold, kind, amount or number of seconds.
        """
        self.settle(lines, ())

    def release(self, keys: Iterable[str]) -> None:
        """Give back what these holds still have, and close them; released ones stay as they are."""
        self.settle((), keys)

    def settle(self, lines: Iterable[ChargeLine], releases: Iterable[str]) -> None:
        """Charge the lines, then release the holds of these keys, in one transaction."""
        lines, releases = list(lines), list(releases)
        if not lines and not releases:
            return
        with self._batch() as batch:
            batch.charge(lines)
            batch.release(releases)

    def adjust(
        self,
        account: str,
        currency: str,
        amount: Decimal,
        reason: str,
        *,
        key: str = "",
        grid: str = "",
        site: str = "",
    ) -> Account:
        """Record what a provider reported later: more than was charged, or, below 0, a credit.

        It is apart from charges. What is more blocks new holds, also past the cap; a credit makes
        up for earlier adjustments, but no room for more. A ``key`` that was used changes nothing.
        """
        nano = to_nano(amount, f"adjustment of account {account!r}")
        with self._batch() as batch:
            balance = batch.balance(account, currency)
            batch.adjust(balance, nano, key, note=reason, grid=grid, site=site)
        return query.account(balance)

    @contextmanager
    def _batch(self) -> Iterator[Batch]:
        with self._store.write() as connection:
            # Asked for in the transaction, so that entries are in the order of their times.
            batch = Batch(connection, time_text(self._clock(), "the ledger's clock"))
            yield batch
            batch.flush()

    # What is there

    def holds(
        self,
        *,
        open: bool | None = True,  # noqa: A002 - a hold is open
        grid: str | None = None,
        account: str | None = None,
    ) -> list[Hold]:
        """Return holds, by key: open ones, with ``open=False`` released ones, with ``None`` all."""
        return [query.hold(row) for row in self._rows(query.select_holds(open, grid, account))]

    def charges(
        self,
        *,
        account: str | None = None,
        currency: str | None = None,
        grid: str | None = None,
        run: str | None = None,
        period: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
    ) -> Iterator[Charge]:
        """Give charges in the order in which they were written.

        ``since`` and ``until`` bound their start (the first inclusive, the second not, so that
        months add up); ``after`` is the ``seq`` of the last charge already seen.
        """
        names = {
            "account": account,
            "currency": currency,
            "grid": grid,
            "run": run,
            "period": period,
        }
        statement = query.select_entries("charge", names, after)
        start = schema.entries.c.start
        if since is not None:
            statement = statement.where(start >= time_text(since, "since"))
        if until is not None:
            statement = statement.where(start < time_text(until, "until"))
        return map(query.charge, self._rows(statement))

    def adjustments(
        self, *, account: str | None = None, currency: str | None = None, grid: str | None = None
    ) -> list[Adjustment]:
        """Return adjustments in the order in which they were written."""
        names = {"account": account, "currency": currency, "grid": grid}
        return [query.adjustment(row) for row in self._rows(query.select_entries("adjust", names))]

    def runs(
        self,
        *,
        account: str | None = None,
        currency: str | None = None,
        grid: str | None = None,
        run: str | None = None,
    ) -> list[RunTotal]:
        """Return what each run cost, by its first charge."""
        names = {"account": account, "currency": currency, "grid": grid, "run": run}
        return [query.run_total(row) for row in self._rows(query.select_runs(names))]

    def audit(self, *, live: Collection[str] | None = None) -> list[str]:
        """Return what is wrong, a line each; nothing when the ledger is sound.

        Checked are the hash of every entry, every balance and hold against the entries, the
        invariants after every entry, and what guards the tables. With ``live``, the ids of grids
        that are running, open holds of others are reported.
        """
        with self._store.read() as connection:
            return audit.findings(connection, live)

    def _rows(self, statement: Select[Any]) -> list[Any]:
        # Read at once: a reader that pauses would keep the write-ahead log from being cut.
        with self._store.read() as connection:
            return list(connection.execute(statement).mappings())
