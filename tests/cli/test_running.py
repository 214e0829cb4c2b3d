"""Commands on a grid that runs, is lost, or is tried out: real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from gridnb import Grid
from gridnb.ledger import Ledger
from gridnb.strays import of_grid
from tests.grids import catalog, until

pytestmark = pytest.mark.slow


def gridnb(*words, code=0, env=None):
    """Run the command line in a process of its own; returns what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "gridnb.cli", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "COLUMNS": "80", **(env or {})},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code in (0, 1) else done.stderr


def plain(*words, code=0):
    return json.loads(gridnb(*words, "--json", code=code))


def test_a_grid_is_seen_released_billed_and_ended():
    grid = Grid(catalog(), budget="1 GD", account="cli", name="mine")
    try:
        lease = grid.request(workers=1).wait()
        assert grid.client.submit(sum, [1, 2]).result() == 3

        [status] = plain("status", "mine")["grids"]
        assert status["grid"]["id"] == grid.id
        assert [each["state"] for each in status["workers"]] == ["running"]
        shown = gridnb("status")
        assert lease.id in shown and "left of 1.00 GD" in shown
        assert max(map(len, shown.splitlines())) <= 80

        assert "no grid 'yours' runs" in gridnb("status", "yours", code=2)
        assert "there is no lease" in gridnb("release", f"{grid.id}-l9", code=2)
        [released] = plain("release", lease.id)["released"]
        assert released["leases"] == [lease.id] and not released["ended"]
        until(lambda: not grid.status()["workers"])

        [released] = plain("release", grid.id, "--end")["released"]
        assert released["leases"] == [] and released["ended"]
    finally:
        grid.disconnect()
        grid._process.wait(60)
    assert of_grid(grid.id) == []
    assert plain("status")["grids"] == []
    _adds_up(grid.id)


def _adds_up(grid):
    bill = plain("bill", "--grid", grid)
    with Ledger() as ledger:
        account = ledger.account("cli", "GD")
        charges = list(ledger.charges(grid=grid))
    total = sum((charge.amount for charge in charges), Decimal(0))
    assert total == account.charged > 0
    assert Decimal(bill["totals"]["GD"]) == total
    for by in ("site", "run", "kind", "charge"):
        rows = plain("bill", "--account", "cli", "--by", by)["rows"]
        assert sum(Decimal(row["amount" if by == "charge" else "total"]) for row in rows) == total
    assert "total" in gridnb("bill", "--by", "run")
    assert plain("audit")["findings"] == []


def test_a_lost_grid_is_reaped():
    grid = Grid(catalog(), budget="1 GD", account="reaped")
    try:
        grid.request(workers=1).wait()
        os.kill(grid.status()["grid"]["pid"], signal.SIGKILL)
    finally:
        grid.disconnect()
        grid._process.wait(60)
    until(lambda: grid.id in plain("status")["lost"])
    assert "gridnb reap" in gridnb("status")
    done = plain("reap")
    assert any(grid.id in line for line in done["settled"])
    until(lambda: not of_grid(grid.id))
    with Ledger() as ledger:
        assert ledger.holds(open=True, grid=grid.id) == []
        assert ledger.audit() == []
    assert gridnb("reap") == "Nothing was left behind.\n"


def test_a_process_without_a_grid_is_ended():
    stray = subprocess.Popen(["sleep", "100"], env={**os.environ, "GRIDNB_GRID": "g0000lost"})
    other = {**os.environ, "GRIDNB_GRID": "g0000lost", "XDG_DATA_HOME": "/elsewhere"}
    foreign = subprocess.Popen(["sleep", "100"], env=other)
    try:
        [line] = plain("reap")["ended"]
        assert str(stray.pid) in line
        assert stray.wait(10) == -signal.SIGKILL
        assert foreign.poll() is None
    finally:
        for each in (stray, foreign):
            each.kill()
            each.wait()


def test_a_hub_that_is_stopped_is_told():
    grid = Grid("here", account="stopped")
    pid = grid.status()["grid"]["pid"]
    try:
        os.kill(pid, signal.SIGSTOP)
        status = plain("status", code=1)
        assert status["grids"] == [] and f"kill {pid}" in status["silent"][0]
    finally:
        os.kill(pid, signal.SIGCONT)
        grid.close()


def test_the_doctor_finds_nothing_wrong():
    found = plain("doctor")
    assert found["ok"]
    assert [each["name"] for each in found["checks"]][-5:] == [
        "hub",
        "worker",
        "task",
        "cell",
        "end",
    ]


def test_the_doctor_says_what_is_wrong(tmp_path):
    wrong = {"DASK_GRIDNB__LEDGER": str(tmp_path), "DASK_GRIDNB__CATLOG": "demo"}
    out = gridnb("doctor", code=1, env=wrong)
    assert "did you mean 'catalog'?" in " ".join(out.split())
    assert "✓ certificates" in out
    assert "✗ hub              not tried: it needs what settings says" in out
    assert max(map(len, out.splitlines())) <= 80
