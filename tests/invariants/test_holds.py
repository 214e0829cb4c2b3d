"""No worker without a hold, whichever way it is asked for; the cap holds between grids."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

import gridnb
from gridnb.cluster.worker import security
from gridnb.errors import BudgetError, BudgetExceeded, RequestError
from gridnb.hub import certificates
from gridnb.ledger import Ledger
from tests import grids
from tests.grids import until

_ROOT = Path(__file__).parents[2]


def _held_for(grid: gridnb.Grid) -> set[str]:
    with Ledger() as ledger:
        return {hold.worker for hold in ledger.holds(grid=grid.id)}


def _up(grid: gridnb.Grid) -> set[str]:
    return {str(worker["name"]) for worker in grid.status()["workers"]}


def _check(grid: gridnb.Grid, count: int) -> None:
    """So many workers are up, and each has money set aside."""
    until(lambda: len(grid.client.scheduler_info(n_workers=-1)["workers"]) == count)
    until(lambda: len(_up(grid)) == count)
    assert _up(grid) <= _held_for(grid)


def test_each_way_to_a_worker_holds_first() -> None:
    with gridnb.Grid(grids.catalog(count=4), "1 GD", "ways") as grid:
        _check(grid, 0)
        grid.request(workers=1).wait()
        _check(grid, 1)
        grid.client.cluster.scale(3)
        _check(grid, 3)
        grid.scale({"here": 2})
        _check(grid, 2)
        before = {worker["name"]: worker["term_left"] for worker in grid.status()["workers"]}
        grid.client.restart()
        _check(grid, 2)
        after = {worker["name"]: worker["term_left"] for worker in grid.status()["workers"]}
        assert before.keys() == after.keys()
        os.kill(grid.status()["workers"][0]["pid"], 9)
        _check(grid, 2)
        grid.client.cluster.adapt(minimum=3, maximum=3, interval="100ms")
        _check(grid, 3)
        grid.client.cluster.adapt(minimum=1, maximum=1, interval="100ms", wait_count=1)
        _check(grid, 1)
        grid.client.cluster._adaptive.stop()
    assert _held_for(grid) == set()


def test_a_respawned_worker_keeps_its_end() -> None:
    with gridnb.Grid(grids.catalog(term="60s"), "1 GD", "respawn") as grid:
        grid.request(workers=1).wait()
        first = grid.status()["workers"][0]
        os.kill(first["pid"], 9)
        again = until(
            lambda: next(
                (
                    worker
                    for worker in grid.status()["workers"]
                    if worker["pid"] != first["pid"] and worker["address"]
                ),
                None,
            )
        )
        assert again["name"] == first["name"]
        assert again["term_left"] <= first["term_left"]
        assert grid.client.submit(lambda: 1).result() == 1


def test_a_worker_that_nobody_pays_for_is_not_let_in() -> None:
    from distributed import Worker

    with gridnb.Grid(grids.catalog(), "1 GD", "rogue") as grid:
        tls = certificates.paths(grid.directory, "worker")

        async def join() -> None:
            address = grid.cluster.scheduler_address
            worker = Worker(address, name="rogue", security=security(tls.as_dict()), nthreads=1)
            try:
                await worker
            finally:
                await worker.close()

        with pytest.raises(Exception, match="failed to start") as failure:
            asyncio.run(join())
        assert "no lease of grid" in str(failure.value.__cause__)
        assert grid.client.scheduler_info()["workers"] == {}


def test_without_money_nothing_starts() -> None:
    with gridnb.Grid(grids.catalog(), None, "nothing") as grid:
        with pytest.raises(BudgetError, match="budget"):
            grid.request(workers=1)
        assert _up(grid) == set()
    with gridnb.Grid(grids.catalog(), "0.001 GD", "little") as grid:
        with pytest.raises((BudgetExceeded, RequestError), match="GD"):
            grid.request(workers=1)
        with pytest.raises((BudgetExceeded, RequestError), match="GD"):
            grid.scale(2)
        assert _up(grid) == set()
        assert grid.spent.amount == grid.held.amount == 0


_SPENDER = """
import sys, gridnb, time
from tests.grids import catalog
grid = gridnb.Grid(catalog(term="4s", count=4), None, "shared")
print("ready", flush=True)
sys.stdin.readline()
won = 0
for _ in range(6):
    try:
        grid.request(workers=1)
        won += 1
    except gridnb.GridError:
        pass
    time.sleep(0.3)
time.sleep(4)
print("won", won, flush=True)
grid.close()
"""


def test_grids_that_share_a_budget_never_pass_its_cap() -> None:
    cap = Decimal("0.025")
    seen: list[tuple[Decimal, Decimal]] = []
    over = threading.Event()
    with Ledger() as ledger:
        ledger.open_account("shared", "GD", cap)

    def watch() -> None:
        with Ledger() as ledger:
            while not over.is_set():
                found = ledger.account("shared", "GD")
                assert found is not None
                seen.append((found.charged, found.held))
                time.sleep(0.002)

    spenders = [
        subprocess.Popen(
            [sys.executable, "-c", _SPENDER],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for spender in spenders:
        assert spender.stdout is not None
        assert spender.stdout.readline() == "ready\n"
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        outcomes = [spender.communicate("go\n", timeout=60)[0] for spender in spenders]
    finally:
        over.set()
        watcher.join()
    won = [int(outcome.split()[1]) for outcome in outcomes]
    assert 0 < sum(won) < 12
    assert max(charged + held for charged, held in seen) <= cap
    assert max(charged + held for charged, held in seen) > cap / 2
    final = grids.account("shared")
    assert final.held == 0
    with Ledger() as ledger:
        assert final.charged == sum(charge.amount for charge in ledger.charges(account="shared"))
        assert ledger.audit() == []
