"""A site that takes workers back says so before: they are emptied, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import gridnb
from gridnb.errors import RequestError
from tests import grids
from tests.grids import sum_is_right, until

PRICES = {"spot": 3.6, "solid": 7.2}


def _made(number: int, log: str, seconds: float = 0.05) -> np.ndarray:
    time.sleep(seconds)
    with Path(log).open("a") as file:
        file.write(f"{number}\n")
    return np.full(10_000, number)


def _runs(log: Path) -> list[int]:
    return sorted(map(int, log.read_text().split()))


def test_within_the_notice_results_move_and_nothing_is_computed_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(grids.several(PRICES), "1 GD", "notice") as grid:
        lease = grid.request(workers=2).wait()
        made = grid.client.map(_made, range(30), log=str(log))
        grid.client.gather(made)
        guards = grids.guards(grids.hub_of("notice").records)
        began = time.monotonic()
        assert grid.preempt("spot", notice="30 s") == ["spot-1", "spot-2"]
        until(lambda: {w["site"] for w in grid.status()["workers"]} == {"solid"})
        assert time.monotonic() - began < 25  # it ends when it is empty
        assert [int(each[0]) for each in grid.client.gather(made)] == list(range(30))
        assert _runs(log) == list(range(30))
        assert not grids.alive(grids.below(guards))
        assert lease.state == "active"
        assert lease.workers == ["spot-1", "spot-2"]
        told = "\n".join(each["text"] for each in grid.status()["events"])
        assert "30 results" in told and "moved" in told
    sum_is_right(grid)


def test_work_that_ends_in_time_ends_there_and_other_work_is_rerun(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(grids.several(PRICES), "1 GD", "running") as grid:
        grid.request(workers=2).wait()
        # Dask knows from these how long the others take.
        grid.client.gather(grid.client.map(_made, [100, 101], log=str(log), seconds=1))
        queued = grid.client.map(_made, range(12), log=str(log), seconds=1)
        until(lambda: sum(f.done() for f in queued) >= 2)
        grid.preempt("spot", notice="10 s")
        assert [int(each[0]) for each in grid.client.gather(queued)] == list(range(12))
        assert _runs(log) == [*range(12), 100, 101]
    sum_is_right(grid)


def test_at_the_end_of_the_notice_the_guard_ends_what_still_runs(tmp_path: Path) -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "over") as grid:
        grid.request(workers=2).wait()
        long = grid.client.submit(_made, 1, log=str(tmp_path / "log"), seconds=12)
        until(lambda: any(grid.client.processing().values()))
        processes = grids.below(grids.guards(grids.hub_of("over").records))
        began = time.monotonic()
        grid.preempt("spot", notice="5 s")
        until(lambda: not grids.alive(processes))
        assert time.monotonic() - began < 8
        assert int(long.result(timeout=60)[0]) == 1
    sum_is_right(grid)


def test_who_cannot_be_preempted_is_told() -> None:
    with gridnb.Grid(grids.catalog(), "1 GD", "real") as grid:
        with pytest.raises(RequestError, match="no worker is up"):
            grid.preempt("here")
        grid.request(workers=1).wait()
        with pytest.raises(RequestError, match="not simulated"):
            grid.preempt("here", notice=30)
