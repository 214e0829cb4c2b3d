"""The audit finds a change of any column of any row, and what is missing or too much."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection

from gridnb.ledger import Ledger, audit, schema
from gridnb.ledger.batch import Batch

TABLES = [table.name for table in schema.metadata.sorted_tables]


@pytest.fixture
def history(ledger: Ledger, order: Any, line: Any) -> Ledger:
    ledger.open_account("nb", "GD", Decimal(10))
    ledger.open_account("free", "GD")
    ledger.hold("nb", "GD", [order("h1", "4"), order("h2", "1")])
    ledger.charge([line("c1", "h1", "1.5"), line("c2", "h2", "0", kind="idle", run="")])
    ledger.release(["h1"])
    ledger.adjust("nb", "GD", Decimal(1), "invoice")
    ledger.reset("free", "GD")
    return ledger


def others(value: object) -> list[object]:
    if isinstance(value, int):
        return [value + 1, -value - 1, "x"]
    return [f"{value}x", 7] if value is not None else [5 * 10**9]


def change(connection: Connection, statement: str, *values: Any) -> None:
    """Do it as somebody would who wants it not to be seen."""
    connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    for name in schema.TRIGGERS:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    connection.exec_driver_sql(statement, values)
    for definition in schema.TRIGGERS.values():
        connection.exec_driver_sql(definition)


def rows(connection: Connection, table: str) -> Iterator[dict[str, Any]]:
    for row in connection.exec_driver_sql(f"SELECT rowid AS id_, * FROM {table}").mappings():
        yield dict(row)


def found(history: Ledger, statement: str, *values: Any) -> list[str]:
    with history._store._engine.connect() as connection:
        change(connection, statement, *values)
        findings = audit.findings(connection, None)
        connection.rollback()
    return findings


@pytest.mark.parametrize("table", TABLES)
def test_any_column_of_any_row(history: Ledger, table: str) -> None:
    with history._store.read() as connection:
        there = list(rows(connection, table))
    assert there
    for row in there:
        where = row.pop("id_")
        for column, value in row.items():
            for other in others(value):
                if column in {"id", "seq"} and other == "x":
                    continue  # SQLite itself refuses it
                if (table, column) == ("entries", "seq"):
                    other = 1000  # the next number is taken
                statement = f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?'
                assert found(history, statement, other, where), (table, row, column, other)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_missing_or_too_much(history: Ledger, table: str) -> None:
    with history._store.read() as connection:
        there = list(rows(connection, table))
    for row in there:
        where = row.pop("id_")
        assert found(history, f"DELETE FROM {table} WHERE rowid = ?", where)
        key = next(iter(row))
        copy = row | {key: 999 if isinstance(row[key], int) else "copy"}
        if table == "entries":
            copy["key"] = "copy"
        names, marks = ", ".join(f'"{name}"' for name in copy), ", ".join("?" * len(copy))
        assert found(history, f"INSERT INTO {table} ({names}) VALUES ({marks})", *copy.values())


def test_an_entry_that_was_hashed_anew(history: Ledger) -> None:
    with history._store.read() as connection:
        last = list(rows(connection, "entries"))
        previous = last[-2]["hash"]
    values = {name: value for name, value in last[-1].items() if name not in {"id_", "hash"}}
    values["note"] = "nothing happened"
    forged = schema.link(previous, values.values())
    statement = "UPDATE entries SET note = ?, hash = ? WHERE seq = ?"
    findings = found(history, statement, values["note"], forged, values["seq"])
    assert findings == ["head: it does not name entry 10 as the last; entries were cut or added"]


def test_a_trigger_that_was_taken_away(history: Ledger) -> None:
    with closing(sqlite3.connect(history.path)) as connection:
        connection.execute("DROP TRIGGER entries_no_update")
    assert history.audit() == [
        "trigger entries_no_update: it is not the one that keeps entries from being changed"
    ]
    with closing(sqlite3.connect(history.path)) as connection:
        connection.execute(schema.TRIGGERS["entries_no_update"])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET amount = 0",
        "DELETE FROM entries",
        "DELETE FROM holds",
        "DELETE FROM accounts",
        "DELETE FROM head",
    ],
)
def test_the_file_itself_is_append_only(history: Ledger, statement: str) -> None:
    with (
        closing(sqlite3.connect(history.path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


def test_the_file_itself_refuses_to_pass_a_cap(history: Ledger) -> None:
    with (
        closing(sqlite3.connect(history.path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="cap"),
    ):
        connection.execute("UPDATE accounts SET held = 10000000000 WHERE account = 'nb'")


def test_an_entry_that_should_never_have_been_made(history: Ledger) -> None:
    order = {"key": "h9", "amount": 10**10}
    with history._store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        batch = Batch(connection, "2026-03-01T12:00:00.000000+00:00")
        batch._add("hold", batch.balance("nb", "GD"), **order)
        batch.flush()
        findings = audit.findings(connection, None)
        connection.rollback()
    assert findings == ["entry 11: charged + held is above the cap"]


def test_holds_of_grids_that_are_gone(history: Ledger) -> None:
    assert history.audit(live=["g"]) == []
    (finding,) = history.audit(live=[])
    assert finding == "hold h2: open, and its grid g is not running; gridnb reap settles it"
