from __future__ import annotations

import dataclasses
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dask
import pytest

from gridnb.errors import BudgetError, BudgetExceeded, LedgerError
from gridnb.ledger import Ledger, ledger_path

D = Decimal


@pytest.fixture
def account(ledger: Ledger) -> Ledger:
    ledger.open_account("nb", "GD", D(10))
    return ledger


def state(ledger: Ledger, currency: str = "GD") -> tuple[Decimal, Decimal, Decimal | None]:
    found = ledger.account("nb", currency)
    assert found is not None
    return found.charged, found.held, found.left


def test_money_goes_from_left_to_held_to_charged_and_back(
    account: Ledger, order: Any, line: Any
) -> None:
    account.hold("nb", "GD", [order("h1", "4"), order("h2", "1")])
    assert state(account) == (0, 5, 5)
    account.charge([line("c1", "h1", "1.5"), line("c2", "h1", "0.25", kind="idle", run="")])
    assert state(account) == (D("1.75"), D("3.25"), 5)
    account.release(["h1"])
    assert state(account) == (D("1.75"), 1, D("7.25"))
    (hold,) = account.holds()
    assert (hold.key, hold.left, hold.open, hold.worker) == ("h2", 1, True, "w")
    (released,) = account.holds(open=False)
    assert (released.amount, released.charged, released.left) == (4, D("1.75"), 0)


def test_what_was_done_is_there_after_reopening(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    account.settle([line("c1", "h1", "1.000000001")], ["h1"])
    account.close()
    with Ledger(account.path) as again:
        assert state(again) == (D("1.000000001"), 0, D("8.999999999"))
        assert [charge.amount for charge in again.charges()] == [D("1.000000001")]


def test_orders_are_held_all_or_none(account: Ledger, order: Any) -> None:
    with pytest.raises(BudgetExceeded, match=r"11\.00 GD are needed and 10\.00 GD are left") as e:
        account.hold("nb", "GD", [order("h1", "6"), order("h2", "5")])
    assert (e.value.needed, e.value.left) == (11, 10)
    assert account.holds(open=None) == []
    assert state(account) == (0, 0, 10)


def test_a_hold_may_take_exactly_what_is_left(account: Ledger, order: Any) -> None:
    account.hold("nb", "GD", [order("h1", "9.999999999")])
    account.hold("nb", "GD", [order("h2", "0.000000001")])
    with pytest.raises(BudgetExceeded):
        account.hold("nb", "GD", [order("h3", "0.000000001")])


def test_an_account_without_cap_pays_only_for_what_is_free(
    ledger: Ledger, order: Any, line: Any
) -> None:
    ledger.open_account("nb", "GD")
    ledger.hold("nb", "GD", [order("h1", "0")])
    ledger.charge([line("c1", "h1", "0")])
    with pytest.raises(BudgetError, match=r"no budget in GD .* budget='5 GD'"):
        ledger.hold("nb", "GD", [order("h2", "1")])
    assert state(ledger) == (0, 0, None)


def test_the_same_keys_again_change_nothing(account: Ledger, order: Any, line: Any) -> None:
    for _ in range(2):
        account.hold("nb", "GD", [order("h1", "4"), order("h1", "4")])
        account.charge([line("c1", "h1", "1"), line("c1", "h1", "1")])
        assert state(account) == (1, 3, 6)
    for _ in range(2):
        account.settle([line("c1", "h1", "1")], ["h1", "h1"])
        assert state(account) == (1, 0, 9)
    for _ in range(2):
        account.adjust("nb", "GD", D(2), "invoice", key="a1")
        assert state(account) == (1, 0, 7)


@pytest.mark.parametrize(
    "change",
    [{"amount": D(2)}, {"hold": "h2"}, {"kind": "idle"}, {"seconds": D(3)}],
    ids=lambda change: next(iter(change)),
)
def test_a_charge_key_cannot_be_used_for_something_else(
    account: Ledger, order: Any, line: Any, change: dict[str, Any]
) -> None:
    account.hold("nb", "GD", [order("h1", "4"), order("h2", "4")])
    first = line("c1", "h1", "1")
    account.charge([first])
    with pytest.raises(LedgerError, match=f"another {next(iter(change))}"):
        account.charge([line("c2", "h1", "1"), dataclasses.replace(first, **change)])
    assert state(account) == (1, 7, 2)


def test_a_hold_key_cannot_be_used_for_something_else(account: Ledger, order: Any) -> None:
    account.open_account("other", "GD", D(10))
    account.hold("nb", "GD", [order("h1", "4")])
    with pytest.raises(LedgerError, match="another account or amount"):
        account.hold("nb", "GD", [order("h1", "3")])
    with pytest.raises(LedgerError, match="another account or amount"):
        account.hold("other", "GD", [order("h1", "4")])
    account.release(["h1"])
    with pytest.raises(LedgerError, match="released already; use a new key"):
        account.hold("nb", "GD", [order("h1", "4")])
    account.adjust("nb", "GD", D(1), "invoice", key="a1")
    with pytest.raises(LedgerError, match="another amount"):
        account.adjust("nb", "GD", D(2), "invoice", key="a1")


def test_a_charge_takes_no_more_than_its_hold_has(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "1")])
    lines = [line("c1", "h1", "0.6"), line("c2", "h1", "0.400000001")]
    with pytest.raises(LedgerError, match=r"more than the 0\.4\d+ GD that hold 'h1' still has"):
        account.charge(lines)
    assert list(account.charges()) == []
    assert state(account) == (0, 1, 9)


def test_only_an_open_hold_can_be_charged(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "1")])
    account.release(["h1"])
    with pytest.raises(LedgerError, match="released already"):
        account.charge([line("c1", "h1", "0")])
    with pytest.raises(LedgerError, match="no such hold"):
        account.charge([line("c1", "h9", "0")])
    with pytest.raises(LedgerError, match="no hold 'h9'"):
        account.release(["h9"])


def test_settling_is_one_transaction(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "1")])
    with pytest.raises(LedgerError, match="no hold 'h9'"):
        account.settle([line("c1", "h1", "1")], ["h1", "h9"])
    assert state(account) == (0, 1, 9)


def test_a_cap_is_changed_only_when_it_is_given(account: Ledger, order: Any) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    assert account.open_account("nb", "GD").cap == 10
    assert account.open_account("nb", "GD", D("4")).left == 0
    with pytest.raises(BudgetExceeded, match=r"4\.00 GD are charged or held, more than a cap of 3"):
        account.open_account("nb", "GD", D(3))
    assert account.open_account("nb", "GD", D(20)).left == 16


def test_a_new_period_forgets_what_was_charged_and_keeps_what_is_held(
    account: Ledger, order: Any, line: Any
) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    account.charge([line("c1", "h1", "1")])
    account.adjust("nb", "GD", D(2), "invoice")
    found = account.reset("nb", "GD")
    assert (found.period, found.charged, found.held, found.adjusted, found.left) == (2, 0, 3, 0, 7)
    account.charge([line("c2", "h1", "1")])
    assert state(account) == (1, 2, 7)
    assert [charge.key for charge in account.charges(period=1)] == ["c1"]
    assert [charge.key for charge in account.charges(period=2)] == ["c2"]


def test_an_adjustment_blocks_new_holds_and_a_credit_makes_no_room(
    account: Ledger, order: Any
) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    account.adjust("nb", "GD", D(8), "invoice of March", site="alpha")
    assert state(account) == (0, 4, -2)
    with pytest.raises(BudgetExceeded, match="8.00 GD adjusted"):
        account.hold("nb", "GD", [order("h2", "1")])
    account.adjust("nb", "GD", D(-9), "credit")
    assert state(account) == (0, 4, 6)
    first, second = account.adjustments(account="nb")
    assert (first.amount, first.reason, first.site, second.amount) == (
        8,
        "invoice of March",
        "alpha",
        -9,
    )


def test_currencies_are_accounts_apart(account: Ledger, order: Any) -> None:
    account.open_account("nb", "USD", D(1))
    account.hold("nb", "USD", [order("h1", "1")])
    assert state(account) == (0, 0, 10)
    assert state(account, "USD") == (0, 1, 0)
    assert [found.currency for found in account.accounts()] == ["GD", "USD"]
    assert account.account("nb", "EUR") is None
    with pytest.raises(LedgerError, match="no account 'nb' in EUR"):
        account.hold("nb", "EUR", [])


def test_a_charge_comes_back_as_it_was_given(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    berlin = timezone(timedelta(hours=1))
    given = line(
        "c1", "h1", "0.123456789", estimated=True, start=datetime(2026, 3, 1, 12, tzinfo=berlin)
    )
    account.charge([given])
    (charge,) = account.charges()
    for field in dataclasses.fields(given):
        assert getattr(charge, field.name) == getattr(given, field.name), field.name
    assert (charge.account, charge.currency, charge.period) == ("nb", "GD", 1)
    assert charge.start.tzinfo is UTC


def test_charges_are_found_by_what_they_say(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
    account.charge(
        line(f"c{i}", "h1", "0.1", run=f"r{i}", grid=f"g{i % 2}", start=day, end=day)
        for i, day in enumerate(days)
    )

    def keys(**which: Any) -> list[str]:
        return [charge.key for charge in account.charges(**which)]

    assert keys() == ["c0", "c1", "c2"]
    assert keys(run="r1") == ["c1"]
    assert keys(grid="g0") == ["c0", "c2"]
    assert keys(account="other") == []
    assert keys(since=days[1]) == ["c1", "c2"]
    assert keys(until=days[1]) == ["c0"]
    seen = [charge.seq for charge in account.charges()]
    assert keys(after=seen[1]) == ["c2"]
    assert [hold.key for hold in account.holds(grid="g")] == ["h1"]
    assert account.holds(grid="other") == []


def test_runs_are_summed_up(account: Ledger, order: Any, line: Any) -> None:
    account.hold("nb", "GD", [order("h1", "4")])
    later = datetime(2026, 3, 2, tzinfo=UTC)
    account.charge(
        [
            line("c1", "h1", "0.1"),
            line("c2", "h1", "0.2", site="beta", end=later, estimated=True),
            line("c3", "h1", "0.4", run="", kind="idle"),
            line("c4", "h1", "0.8", run="r2"),
        ]
    )
    first, second = account.runs()
    assert (first.run, first.amount, first.seconds) == ("r1", D("0.3"), 4)
    assert (first.sites, first.end, first.estimated) == (("alpha", "beta"), later, True)
    assert (second.run, second.amount) == ("r2", D("0.8"))
    assert account.runs(run="r2") == [second]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": D(-1)}, "negative"),
        ({"amount": 0.5}, "never float"),
        ({"amount": D("1e-10")}, "nine decimals"),
        ({"amount": D("1e10")}, "too large"),
        ({"amount": D("NaN")}, "too large"),
        ({"seconds": D(-1)}, "negative"),
        ({"kind": "lost"}, "a kind of used"),
        ({"key": ""}, "needs a key"),
        ({"start": datetime(2026, 3, 1)}, "no time zone"),  # noqa: DTZ001 - that is what is wrong
        ({"end": datetime(2025, 3, 1, tzinfo=UTC)}, "before it starts"),
    ],
)
def test_a_wrong_line_is_refused_and_nothing_is_written(
    account: Ledger, order: Any, line: Any, change: dict[str, Any], says: str
) -> None:
    account.hold("nb", "GD", [order("h1", "1")])
    wrong = dataclasses.replace(line("c2", "h1", "0.5"), **change)
    with pytest.raises(LedgerError, match=says) as raised:
        account.charge([line("c1", "h1", "0.5"), wrong])
    assert "\n" not in str(raised.value)
    assert list(account.charges()) == []


@pytest.mark.parametrize(("name", "currency"), [("", "GD"), ("nb", "$"), ("nb", "gd")])
def test_an_account_has_a_name_and_a_currency(ledger: Ledger, name: str, currency: str) -> None:
    with pytest.raises(LedgerError, match="give a name, and a currency like 'GD'"):
        ledger.open_account(name, currency)


def test_only_the_user_can_read_it(account: Ledger) -> None:
    files = sorted(account.path.parent.iterdir())
    assert [file.name for file in files] == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(account.path.parent.stat().st_mode) == 0o700


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ledger_path().parts[-2:] == ("gridnb", "ledger.db")
    with dask.config.set({"gridnb.ledger": str(tmp_path / "c.db")}):
        assert ledger_path() == tmp_path / "c.db"
        monkeypatch.setenv("GRIDNB_LEDGER", f"sqlite:///{tmp_path}/e.db")
        assert ledger_path() == tmp_path / "e.db"
        assert ledger_path(tmp_path / "u.db") == tmp_path / "u.db"


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:word@db/x", "sqlite://", "sqlite:///:memory:", "://x"]
)
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match="write a path, or 'sqlite:///PATH'") as raised:
        Ledger(url)
    assert "word" not in str(raised.value)


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.db", tmp_path / "empty.db"
    text.write_text("not a database, and long enough for a header " * 10)
    empty.touch()
    for path in (text, empty):
        before = path.read_bytes()
        with pytest.raises(LedgerError, match=path.name):
            Ledger(path)
        assert path.read_bytes() == before


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"cannot be made: .*GRIDNB_LEDGER"):
        Ledger(tmp_path / "file" / "ledger.db")


def test_a_ledger_of_another_version_is_refused(account: Ledger) -> None:
    with account._store.write() as connection:
        connection.exec_driver_sql("PRAGMA user_version=99")
    with pytest.raises(LedgerError, match="have version 99 and this gridnb knows 1"):
        Ledger(account.path)


def test_records_are_imported_without_sqlalchemy_and_the_ledger_without_its_orm() -> None:
    code = (
        "import sys, gridnb.ledger\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "gridnb.ledger.Ledger\n"
        "assert 'sqlalchemy.orm' not in sys.modules\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
