from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnb.ledger import KINDS, Charge, ChargeLine, HoldOrder, Ledger
from gridnb.metering.bill import COLUMNS, bill, by

D = Decimal
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AMOUNTS = st.decimals(0, 10, places=9)


def charge(amount: str | Decimal, number: int = 1, **more: Any) -> Charge:
    values: dict[str, Any] = {
        "key": f"c{number}",
        "hold": "h",
        "amount": D(amount),
        "kind": "used",
        "seconds": D(2),
        "site": "alpha",
        "owner": "Alpine Compute",
        "run": "r1",
        "label": "cell 1",
        "lease": "l",
        "worker": "w",
        "start": NOON,
        "end": NOON + timedelta(seconds=2),
        "seq": number,
        "time": NOON,
        "account": "nb",
        "currency": "GD",
        "period": 1,
    }
    return Charge(**(values | more))


def test_a_row_a_charge() -> None:
    frame = bill([charge("0.1"), charge("0.2", 2, kind="idle", run="", estimated=True)])
    assert tuple(frame.columns) == COLUMNS
    assert frame.loc[1, "amount"] == D("0.2")
    assert frame["run"].tolist() == ["r1", ""]
    assert frame["estimated"].tolist() == [False, True]
    assert frame.loc[0, "end"] - frame.loc[0, "start"] == timedelta(seconds=2)
    assert str(frame["start"].dtype) == "datetime64[us, UTC]"


def test_a_bill_without_charges_has_its_columns() -> None:
    frame = bill([])
    assert tuple(frame.columns) == COLUMNS
    assert frame["amount"].sum() == 0
    for columns in (["site"], ["site", "run"]):
        sums = by(frame, *columns)
        assert len(sums) == 0
        assert list(sums.index.names) == columns
        assert sums["total"].sum() == 0


def test_sums_by_site_and_kind() -> None:
    frame = bill(
        [
            charge("0.1", 1),
            charge("0.2", 2, kind="idle", run=""),
            charge("0.4", 3, site="beta", kind="egress", seconds=D(0), estimated=True),
            charge("0.8", 4),
        ]
    )
    sums = by(frame, "site")
    assert sums.index.tolist() == ["alpha", "beta"]
    assert list(sums.columns) == ["currency", *KINDS, "total", "seconds", "estimated"]
    assert sums.loc["alpha"].tolist() == [
        *("GD", D("0.9"), D(0), D("0.2"), D(0), D(0), D("1.1"), D(6), False),
    ]
    assert sums.loc["beta", "egress"] == sums.loc["beta", "total"] == D("0.4")
    assert sums["estimated"].tolist() == [False, True]
    both = by(frame, "run", "site")
    assert both.index.tolist() == [("r1", "alpha"), ("", "alpha"), ("r1", "beta")]
    assert both["total"].tolist() == [D("0.9"), D("0.2"), D("0.4")]


def test_two_currencies_are_never_added_up() -> None:
    sums = by(bill([charge("1"), charge("2", 2, currency="USD")]), "site")
    assert sums.index.tolist() == ["alpha", "alpha"]
    assert sums["currency"].tolist() == ["GD", "USD"]
    assert sums["total"].tolist() == [1, 2]


@pytest.mark.parametrize("columns", [[], ["sites"]])
def test_by_what_is_no_column(columns: list[str]) -> None:
    with pytest.raises(ValueError, match="sum up by one of time, start"):
        by(bill([]), *columns)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(AMOUNTS, st.sampled_from(KINDS), st.sampled_from(["", "r1", "r2"])), max_size=30
    )
)
def test_the_sum_of_the_bill_is_the_sum_of_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[Decimal, Any, str]]
) -> None:
    path: Path = tmp_path_factory.mktemp("bill") / "ledger.db"
    with Ledger(path) as ledger:
        ledger.open_account("nb", "GD", D(300))
        ledger.hold("nb", "GD", [HoldOrder(key="h", amount=D(300))])
        ledger.charge(
            ChargeLine(
                key=f"c{i}", hold="h", amount=amount, kind=kind, run=run, start=NOON, end=NOON
            )
            for i, (amount, kind, run) in enumerate(lines)
        )
        account = ledger.account("nb", "GD")
        assert account is not None
        frame = bill(ledger.charges())
        assert frame["amount"].sum() == account.charged
        for column in ("site", "run", "kind"):
            sums = by(frame, column)
            assert sums["total"].sum() == account.charged
            assert sums[list(KINDS)].to_numpy().sum() == account.charged
        runs = sum(total.amount for total in ledger.runs())
        assert runs + frame["amount"][frame["run"] == ""].sum() == account.charged


def test_pandas_is_imported_when_a_bill_is_made() -> None:
    code = "import sys, gridnb.metering.bill; assert not {'pandas', 'sqlalchemy'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
