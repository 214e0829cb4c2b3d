"""Lost hubs are settled once, from the records; what lives is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import gridnb
from gridnb.hub.find import hubs
from gridnb.hub.reap import reap
from gridnb.ledger import Ledger
from tests import grids
from tests.grids import until

_ROOT = Path(__file__).parents[2]


def _kill_hub(grid: gridnb.Grid) -> None:
    hub = next(hub for hub in hubs() if hub.id == grid.id)
    assert hub.pid is not None
    grid.disconnect()
    os.kill(hub.pid, signal.SIGKILL)
    os.waitpid(hub.pid, 0)


def test_what_was_settled_is_not_charged_again() -> None:
    grid = gridnb.Grid(grids.catalog(), "1 GD", "settled once")
    first = grid.request(workers=1).wait()
    first.release()
    until(lambda: first.state == "ended" and grid.held.amount == 0)
    grid.request(workers=1).wait()
    _kill_hub(grid)
    done = reap()
    assert any("here-2 settled" in line for line in done)
    with Ledger() as ledger:
        account = ledger.account("settled once", "GD")
        charges = list(ledger.charges(grid=grid.id))
        assert ledger.adjustments(grid=grid.id) == []
        assert ledger.holds(grid=grid.id) == []
        assert ledger.audit() == []
    assert account is not None
    assert account.charged == sum(charge.amount for charge in charges)
    assert {charge.worker for charge in charges} == {"here-1", "here-2"}
    assert not any(charge.estimated for charge in charges)
    assert all(grid.id not in line for line in reap())


def _reap_elsewhere(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from gridnb.hub.reap import reap; print(reap())"],
        cwd=_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "XDG_DATA_HOME"])
def test_a_live_grid_is_left_alone_from_another_environment(variable: str, tmp_path: Path) -> None:
    """From a shell without the session's directories, or of somebody who shares the ledger."""
    with Ledger() as ledger:
        path = str(ledger.path)
    with gridnb.Grid(grids.catalog(), "1 GD", f"alive {variable}") as grid:
        grid.request(workers=1).wait()
        before = grid.status()["workers"][0]["pid"]
        assert _reap_elsewhere(**{variable: str(tmp_path), "GRIDNB_LEDGER": path}) == "[]"
        assert psutil.pid_exists(before)
        assert grid.client.submit(sum, [1, 2]).result() == 3
        with Ledger() as ledger:
            assert ledger.holds(grid=grid.id)


def test_holds_of_which_nothing_is_known_are_settled_when_asked() -> None:
    from decimal import Decimal

    from gridnb.ledger import HoldOrder

    with Ledger() as ledger:
        ledger.open_account("orphan", "GD", Decimal(1))
        order = HoldOrder(key="gone/w/1", amount=Decimal("0.5"), grid="gone", worker="w")
        ledger.hold("orphan", "GD", [order])
        assert not any("gone" in line for line in reap())
        assert ledger.holds(grid="gone")
        assert any("gone: 1 holds" in line for line in reap(orphans=True))
        account = ledger.account("orphan", "GD")
        (charge,) = ledger.charges(grid="gone")
    assert account is not None
    assert (account.charged, account.held) == (Decimal("0.5"), 0)
    assert charge.estimated
