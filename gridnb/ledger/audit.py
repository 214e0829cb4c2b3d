"""Whether a ledger is what its entries say: hashes, sums, invariants, guards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Table, select

from gridnb.ledger import schema
from gridnb.ledger.books import Books

__all__ = ["findings"]


def findings(connection: Connection, live: Collection[str] | None) -> list[str]:
    """Return what is wrong, a line each; see :meth:`gridnb.ledger.Ledger.audit`."""
    books = Books()
    return [
        *_storage(connection),
        *_entries(connection, books),
        *_compare(connection, schema.accounts, ("account", "currency"), books.balances.values()),
        *_compare(connection, schema.holds, ("key",), books.holds.values()),
        *_orphans(books, live),
    ]


def _storage(connection: Connection) -> Iterator[str]:
    for (message,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if message != "ok":
            yield f"file: {message}"
    statement = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    there = {row.name: row.sql for row in connection.exec_driver_sql(statement)}
    for name in sorted(schema.TRIGGERS.keys() | there.keys()):
        if there.get(name) != schema.TRIGGERS.get(name):
            yield f"trigger {name}: it is not the one that keeps entries from being changed"


def _entries(connection: Connection, books: Books) -> Iterator[str]:
    """Check the chain and apply every entry to ``books``."""
    expected, previous = 0, schema.GENESIS
    for row in connection.execute(select(schema.entries).order_by(schema.entries.c.seq)):
        expected += 1
        if row.seq != expected:
            yield f"entry {expected}: missing; the next one is {row.seq}"
            expected = row.seq
        if row.hash != schema.link(previous, row[:-1]):
            yield f"entry {row.seq}: its hash does not match what it says or what was before it"
        previous = row.hash
        yield from _apply(books, row._mapping)
    rows = [tuple(row) for row in connection.execute(select(schema.head))]
    if rows != [(1, expected, previous)]:
        yield f"head: it does not name entry {expected} as the last; entries were cut or added"


def _apply(books: Books, entry: Any) -> Iterator[str]:
    try:
        books.apply(entry)
        broken = books.broken(entry)
    except KeyError as error:
        yield f"entry {entry['seq']}: it names {error}, which does not exist"
    except TypeError as error:
        yield f"entry {entry['seq']}: a value is of the wrong kind: {error}"
    else:
        if broken:
            yield f"entry {entry['seq']}: {broken}"


def _compare(
    connection: Connection, table: Table, key: tuple[str, ...], derived: Iterable[Any]
) -> Iterator[str]:
    """Compare a table, column by column, with what the entries say."""
    names = {tuple(getattr(state, name) for name in key): state for state in derived}
    for row in connection.execute(select(table)).mappings():
        state = names.pop(tuple(row[name] for name in key), None)
        where = f"{table.name} {' '.join(str(row[name]) for name in key)}"
        if state is None:
            yield f"{where}: no entry says that it exists"
            continue
        for field in fields(state):
            there, said = row[field.name], getattr(state, field.name)
            if there != said:
                yield f"{where}: {field.name} is {there!r} and the entries say {said!r}"
    for name in names:
        yield f"{table.name} {' '.join(map(str, name))}: missing, and the entries say it exists"


def _orphans(books: Books, live: Collection[str] | None) -> Iterator[str]:
    if live is None:
        return
    for hold in books.holds.values():
        if hold.open and hold.grid not in live:
            yield (
                f"hold {hold.key}: open, and its grid {hold.grid or '(none)'} is not running; "
                "gridnb reap settles it"
            )
