"""Entries that are written together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from gridnb.errors import BudgetError, BudgetExceeded, LedgerError
from gridnb.ledger import schema
from gridnb.ledger.books import Balance, Books, HoldState
from gridnb.ledger.records import (
    KINDS,
    ChargeLine,
    HoldOrder,
    from_nano,
    time_text,
    to_nano,
)
from gridnb.units import Money

__all__ = ["Batch"]

_COLUMNS = tuple(column.name for column in schema.entries.columns)
_BLANK: dict[str, Any] = {
    column.name: "" if column.type.python_type is str else 0 for column in schema.entries.columns
}
_TEXTS = ("grid", "lease", "worker", "site", "owner", "run", "label", "note")
# SQLite takes 32,766 parameters in one statement.
_CHUNK = 10_000


def _update(table: Table, *keys: str) -> Any:
    """One statement that every transaction uses, so that it is compiled once."""
    statement = update(table)
    for key in keys:
        statement = statement.where(table.c[key] == bindparam(f"{key}_"))
    return statement


_UPDATE_HOLD = _update(schema.holds, "key").values(
    {name: bindparam(name) for name in ("charged", "released", "open")}
)
_UPDATE_ACCOUNT = _update(schema.accounts, "account", "currency").values(
    {name: bindparam(name) for name in ("period", "cap", "charged", "held", "adjusted")}
)
_HEAD = select(schema.head.c.seq, schema.head.c.hash)
_HOLDS = select(schema.holds).where(schema.holds.c.key.in_(bindparam("keys", expanding=True)))
_ACCOUNT = select(schema.accounts).where(
    schema.accounts.c.account == bindparam("account"),
    schema.accounts.c.currency == bindparam("currency"),
)
_KNOWN = select(schema.entries).where(
    schema.entries.c.event == bindparam("event"),
    schema.entries.c.key.in_(bindparam("keys", expanding=True)),
)


class Batch:
    """What one transaction writes: entries first in memory, all of them checked, then at once."""

    def __init__(self, connection: Connection, time: str) -> None:
        self._connection = connection
        self._time = time
        self._seq, self._hash = connection.execute(_HEAD).one()
        self._books = Books()
        self._entries: list[dict[str, Any]] = []
        self._stored: set[str] = set()
        self._new_accounts: set[tuple[str, str]] = set()

    # What is there already

    def find_balance(self, account: str, currency: str) -> Balance | None:
        """Return the account, also for later writes, or ``None``."""
        name = account, currency
        if name not in self._books.balances:
            parameters = {"account": account, "currency": currency}
            row = self._connection.execute(_ACCOUNT, parameters).one_or_none()
            if row is None:
                return None
            self._books.balances[name] = Balance(**row._mapping)
        return self._books.balances[name]

    def balance(self, account: str, currency: str) -> Balance:
        """Return the account, which has to exist."""
        balance = self.find_balance(account, currency)
        if balance is None:
            raise LedgerError(f"there is no account {account!r} in {currency}; open it first")
        return balance

    def load_holds(self, keys: Iterable[str]) -> dict[str, HoldState]:
        """Return those of the holds that exist."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._books.holds]
        for row in self._rows(_HOLDS, missing):
            self._books.holds[row["key"]] = HoldState(**row)
            self._stored.add(row["key"])
        return self._books.holds

    def known(self, event: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return entries of this kind that were written before, by key."""
        return {row["key"]: row for row in self._rows(_KNOWN, list(keys), event=event)}

    def _rows(self, statement: Any, keys: list[str], **more: str) -> Iterable[Any]:
        for first in range(0, len(keys), _CHUNK):
            parameters = {"keys": keys[first : first + _CHUNK], **more}
            yield from self._connection.execute(statement, parameters).mappings()

    # What is added

    def open_account(self, account: str, currency: str) -> Balance:
        """Add an account."""
        self._new_accounts.add((account, currency))
        self._add("open", Balance(account, currency))
        return self._books.balances[account, currency]

    def set_cap(self, balance: Balance, cap: int) -> None:
        """Set the cap, which what is charged and held must not be above already."""
        spent = balance.charged + balance.held
        if spent > cap:
            raise BudgetExceeded(
                f"account {balance.account!r}: {_money(spent, balance)} are charged or held, more "
                f"than a cap of {_money(cap, balance)}; set a higher one, or begin a new period",
                needed=from_nano(spent),
                left=from_nano(cap),
            )
        self._add("cap", balance, amount=cap)

    def new_period(self, balance: Balance) -> None:
        """Begin a new period; open holds go with it."""
        self._add("period", replace(balance, period=balance.period + 1))

    def hold(self, balance: Balance, orders: Iterable[HoldOrder]) -> None:
        """Set aside money for those orders that are new."""
        orders = list(orders)
        known = self.load_holds(order.key for order in orders)
        needed = 0
        for order in orders:
            amount = _not_negative(order.amount, f"hold {order.key!r}")
            if order.key in known:
                _same_hold(known[order.key], balance, amount)
                continue
            needed += amount
            _allow(balance, amount, needed)
            texts = {name: getattr(order, name) for name in ("grid", "lease", "worker", "site")}
            self._add("hold", balance, key=order.key, amount=amount, **texts)

    def charge(self, lines: Iterable[ChargeLine]) -> None:
        """Charge those lines that are new."""
        lines = list(lines)
        known = self.known("charge", (line.key for line in lines))
        holds = self.load_holds(line.hold for line in lines)
        for line in lines:
            values = _values(line)
            if line.key in known:
                _same_charge(line, known[line.key], values)
                continue
            hold = _chargeable(holds, line, values["amount"])
            self._add("charge", self.balance(hold.account, hold.currency), **values)
            known[line.key] = values

    def release(self, keys: Iterable[str]) -> None:
        """Give back what open holds still have."""
        keys = list(dict.fromkeys(keys))
        holds = self.load_holds(keys)
        for key in keys:
            hold = holds.get(key)
            if hold is None:
                raise LedgerError(f"release: there is no hold {key!r}; nothing was written")
            if hold.open:
                balance = self.balance(hold.account, hold.currency)
                texts = {name: getattr(hold, name) for name in ("grid", "lease", "worker", "site")}
                self._add("release", balance, key=key, hold=key, amount=hold.left, **texts)

    def adjust(self, balance: Balance, amount: int, key: str, **texts: str) -> None:
        """Record what a provider said later, unless this key was recorded already."""
        known = self.known("adjust", [key] if key else [])
        if not known:
            self._add("adjust", balance, amount=amount, key=key, **texts)
        elif (known[key]["account"], known[key]["amount"]) != (balance.account, amount):
            raise LedgerError(f"adjustment {key!r} is in the ledger with another amount or account")

    def _add(self, event: str, balance: Balance, **values: Any) -> None:
        self._seq += 1
        entry = _BLANK | {
            "seq": self._seq,
            "time": self._time,
            "event": event,
            "account": balance.account,
            "currency": balance.currency,
            "period": balance.period,
        }
        entry |= values
        entry["key"] = entry["key"] or f"#{self._seq}"
        self._hash = schema.link(self._hash, [entry[name] for name in _COLUMNS[:-1]])
        entry["hash"] = self._hash
        self._books.apply(entry)
        self._entries.append(entry)

    # On disk

    def flush(self) -> None:
        """Write it all into the transaction."""
        if not self._entries:
            return
        run = self._connection.execute
        run(insert(schema.entries), self._entries)
        self._flush_holds(run)
        self._flush_accounts(run)
        run(update(schema.head), {"seq": self._seq, "hash": self._hash})

    def _flush_holds(self, run: Callable[..., Any]) -> None:
        touched = {entry["hold"] or entry["key"] for entry in self._entries}
        changed = [hold for key, hold in self._books.holds.items() if key in touched]
        new = [vars(hold) for hold in changed if hold.key not in self._stored]
        old = [{"key_": hold.key, **_moving(hold)} for hold in changed if hold.key in self._stored]
        if new:
            run(insert(schema.holds), new)
        if old:
            run(_UPDATE_HOLD, old)

    def _flush_accounts(self, run: Callable[..., Any]) -> None:
        touched = {(entry["account"], entry["currency"]) for entry in self._entries}
        for name in touched:
            values = vars(self._books.balances[name])
            if name in self._new_accounts:
                run(insert(schema.accounts), values)
            else:
                keys = {f"{key}_": values[key] for key in ("account", "currency")}
                moving = {key: value for key, value in values.items() if f"{key}_" not in keys}
                run(_UPDATE_ACCOUNT, keys | moving)


def _moving(hold: HoldState) -> dict[str, int]:
    return {"charged": hold.charged, "released": hold.released, "open": hold.open}


def _money(nano: int, balance: Balance) -> Money:
    return Money(from_nano(nano), balance.currency)


def _not_negative(amount: Any, what: str) -> int:
    nano = to_nano(amount, what)
    if nano < 0:
        raise LedgerError(f"{what}: {amount} is negative; nothing was written")
    return nano


def _allow(balance: Balance, amount: int, needed: int) -> None:
    """Refuse a hold that the cap does not allow; ``needed`` is that of the orders so far."""
    if not amount:
        return
    if balance.cap is None:
        raise BudgetError(
            f"account {balance.account!r} has no budget in {balance.currency} and this needs "
            f"{_money(needed, balance)}; set one, like budget='5 {balance.currency}'"
        )
    if amount > balance.left:
        left = balance.left + needed - amount
        adjusted = f" and {_money(balance.adjusted, balance)} adjusted" if balance.adjusted else ""
        raise BudgetExceeded(
            f"account {balance.account!r}: {_money(needed, balance)} are needed and "
            f"{_money(left, balance)} are left of {_money(balance.cap, balance)} "
            f"({_money(balance.charged, balance)} charged{adjusted}); raise the budget, ask for "
            "less, or release what is held",
            needed=from_nano(needed),
            left=from_nano(left),
        )


def _same_hold(hold: HoldState, balance: Balance, amount: int) -> None:
    there = hold.account, hold.currency, hold.amount
    if there != (balance.account, balance.currency, amount):
        raise LedgerError(
            f"hold {hold.key!r} is in the ledger for another account or amount; use a new key"
        )
    if not hold.open:
        # Whoever took this for a hold would begin a term that nothing pays for.
        raise LedgerError(f"hold {hold.key!r} was released already; use a new key")


def _values(line: ChargeLine) -> dict[str, Any]:
    what = f"charge {line.key!r}"
    if not line.key or line.kind not in KINDS:
        raise LedgerError(f"{what}: it needs a key, and a kind of {', '.join(KINDS)}")
    values: dict[str, Any] = {name: getattr(line, name) for name in _TEXTS}
    values["key"] = line.key
    values["hold"] = line.hold
    values["kind"] = line.kind
    values["amount"] = _not_negative(line.amount, what)
    values["seconds"] = _not_negative(round(line.seconds, 9), f"{what}, seconds")
    values["start"] = time_text(line.start, what)
    values["end"] = time_text(line.end, what)
    if values["end"] < values["start"]:
        raise LedgerError(f"{what}: it ends {line.end} before it starts {line.start}")
    values["estimated"] = int(line.estimated)
    return values


def _same_charge(line: ChargeLine, known: Any, values: dict[str, Any]) -> None:
    for name in ("hold", "kind", "amount", "seconds"):
        if known[name] != values[name]:
            raise LedgerError(
                f"charge {line.key!r} is in the ledger with another {name}; "
                "use a new key; nothing was written"
            )


def _chargeable(holds: dict[str, HoldState], line: ChargeLine, amount: int) -> HoldState:
    hold = holds.get(line.hold)
    if hold is None or not hold.open:
        state = "there is no such hold" if hold is None else "it was released already"
        raise LedgerError(
            f"charge {line.key!r} to hold {line.hold!r}: {state}; nothing was written"
        )
    if amount > hold.left:
        raise LedgerError(
            f"charge {line.key!r}: {line.amount} is more than the {from_nano(hold.left)} "
            f"{hold.currency} that hold {hold.key!r} still has; nothing was written"
        )
    return hold
