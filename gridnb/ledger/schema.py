"""The tables of a ledger.

``entries`` is the ledger: append-only, each row hashed together with the one
before. The others are kept beside it in the same transaction, so that a balance
is one row; :mod:`gridnb.ledger.audit` derives them anew and compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

__all__ = [
    "APPLICATION",
    "GENESIS",
    "TRIGGERS",
    "VERSION",
    "accounts",
    "entries",
    "head",
    "holds",
    "link",
    "metadata",
]

#: ``PRAGMA application_id`` of a ledger: the letters "grid".
APPLICATION = 0x67726964
#: ``PRAGMA user_version``: raised with each change of the tables.
VERSION = 1
#: The hash before the first entry.
GENESIS = "0" * 64

metadata = MetaData()

# SQLite makes only INTEGER PRIMARY KEY the row's own number.
_Nano = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, String, nullable=False, primary_key=key)


def _number(name: str, *, key: bool = False, nullable: bool = False) -> Column[int]:
    return Column(name, _Nano, nullable=nullable, primary_key=key, autoincrement=False)


#: All that ever happened. ``event`` is open, cap, period, hold, charge, release or adjust.
entries = Table(
    "entries",
    metadata,
    _number("seq", key=True),
    _text("time"),
    _text("event"),
    _text("key"),
    _text("account"),
    _text("currency"),
    _number("period"),
    _number("amount"),
    _text("hold"),
    _text("kind"),
    _number("seconds"),
    _text("grid"),
    _text("lease"),
    _text("worker"),
    _text("site"),
    _text("owner"),
    _text("run"),
    _text("label"),
    _text("start"),
    _text("end"),
    _number("estimated"),
    _text("note"),
    _text("hash"),
    UniqueConstraint("event", "key"),
    Index("entries_grid", "grid", "event"),
)

#: What each account stands at. The database itself refuses to pass a cap.
accounts = Table(
    "accounts",
    metadata,
    _text("account", key=True),
    _text("currency", key=True),
    _number("period"),
    _number("cap", nullable=True),
    _number("charged"),
    _number("held"),
    _number("adjusted"),
    CheckConstraint("charged >= 0 AND held >= 0"),
    CheckConstraint("charged + held <= coalesce(cap, 0)", name="cap"),
)

#: What each hold stands at.
holds = Table(
    "holds",
    metadata,
    _text("key", key=True),
    _text("account"),
    _text("currency"),
    _number("amount"),
    _number("charged"),
    _number("released"),
    _number("open"),
    _text("grid"),
    _text("lease"),
    _text("worker"),
    _text("site"),
    CheckConstraint("charged >= 0 AND released >= 0 AND charged + released <= amount"),
)
Index("holds_open", holds.c.grid, sqlite_where=holds.c.open == 1)

#: One row: number and hash of the last entry, so that a cut end is noticed.
head = Table("head", metadata, _number("id", key=True), _number("seq"), _text("hash"))


def _never(table: str, verb: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a ledger is append-only'); END"
    )


#: Name to definition of what keeps rows from being changed.
TRIGGERS = {
    f"{table}_no_{verb.lower()}": _never(table, verb)
    for table, verb in (
        ("entries", "UPDATE"),
        ("entries", "DELETE"),
        ("accounts", "DELETE"),
        ("holds", "DELETE"),
        ("head", "DELETE"),
    )
}


def link(previous: str, values: Iterable[object]) -> str:
    """Return the hash of an entry: of the hash before it and all its other columns, in order."""
    # JSON quotes and separates, so that no two rows have the same text.
    text = json.dumps([previous, *values], separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
