"""No worker, and nothing that it started, outlives its paid term, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gridnb.hub.reap import reap
from gridnb.ledger import Ledger
from gridnb.providers.guard import read_record
from tests import grids
from tests.grids import until
from tests.invariants.driver import BODIES

_ROOT = Path(__file__).parents[2]
_SLACK = 2.0  # seconds that a hold pays for beyond the end


@pytest.mark.parametrize("where", ["task", "cell", "job"])
@pytest.mark.parametrize("how", list(BODIES))
@pytest.mark.parametrize("fault", ["kernel", "hub", "stopped hub"])
def test_nothing_outlives_its_term(fault: str, how: str, where: str, tmp_path: Path) -> None:
    account = f"{fault}-{how}-{where}"
    environment = {
        **os.environ,
        "DASK_GRIDNB__LEASE__IDLE": "2s",
        "DASK_GRIDNB__LEASE__IDLE_LEAST": "1s",
        "DASK_GRIDNB__HUB__LINGER": "2s",
    }
    kernel = subprocess.Popen(
        [sys.executable, "-m", "tests.invariants.driver", account, where, how, tmp_path / "flag"],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline().startswith("busy")
        hub = grids.hub_of(account)
        assert hub.pid is not None
        records = list(hub.records.glob("here-*.json"))
        ours = grids.below(grids.guards(hub.records))
        assert len(ours) >= (5 if how == "forks" else 2)
        if fault == "kernel":
            kernel.kill()
        elif fault == "hub":
            os.kill(hub.pid, signal.SIGKILL)
        else:
            os.kill(hub.pid, signal.SIGSTOP)
        try:
            # A job goes on without its kernel, as far as its account reaches.
            until(lambda: not grids.alive(ours), timeout=60)
            ends = [read_record(str(path)) for path in records if path.exists()]
        finally:
            kernel.kill()
            if fault == "stopped hub":
                os.kill(hub.pid, signal.SIGKILL)
    _check_records(ends)
    _check_money(account, hub.id)


def _check_records(ends: list[dict | None]) -> None:
    """Each guard wrote an end that is no later than the last term that it was told."""
    for record in ends:
        assert record is not None
        assert record["ended"]
        terms = [e["end"] for e in record["events"] if e["event"] in ("started", "renew")]
        last = next(e for e in record["events"] if e["event"] == "ended")
        assert last["clock"] <= terms[-1] + _SLACK


def _check_money(account: str, grid: str) -> None:
    """All holds are settled, each second once, the cap kept, the chain whole."""
    until(lambda: not _live(grid))
    reap()
    with Ledger() as ledger:
        found = ledger.account(account, "GD")
        charges = list(ledger.charges(account=account))
        assert not ledger.holds(account=account)
        assert not ledger.adjustments(account=account)
        assert ledger.audit() == []
    assert found is not None
    assert found.held == 0
    assert found.cap is not None
    assert found.charged == sum(charge.amount for charge in charges)
    assert 0 < found.charged <= found.cap
    keys = [charge.key for charge in charges]
    assert len(keys) == len(set(keys))


def _live(grid: str) -> bool:
    return any(hub.id == grid for hub in grids.hubs())
