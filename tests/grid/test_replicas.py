"""Results at two sites: copied as they finish, kept there, and not computed again after a loss."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import gridnb
from gridnb.errors import RequestError
from tests import grids
from tests.grids import strike, sum_is_right, until

PRICES = {"left": 3.6, "right": 3.6}


def _block(number: int, log: str) -> np.ndarray:
    with Path(log).open("a") as file:  # each run of it leaves a line
        file.write(f"{number}\n")
    return np.full(1000, number)


def _held_at(grid: gridnb.Grid, key: str) -> list[str]:
    client = grid.client
    holders = client.sync(client.scheduler.who_has, keys=[key])
    names = {w["address"]: w["site"] for w in grid.status()["workers"]}
    return sorted(names[address] for address in holders[key])


def test_a_quote_takes_as_many_sites_as_replicas() -> None:
    with gridnb.Grid(grids.several({"a": 1, "b": 2, "c": 3}), "1 GD", "spread") as grid:
        assert grid.quote(cores=2).sites == ("a",)
        assert grid.quote(cores=2, replicas=2).sites == ("a", "b")
        assert grid.quote(cores=1, replicas=3).sites == ("a", "b", "c")
        assert grid.quote(workers=3, replicas=2).workers == 3
        with pytest.raises(RequestError, match="replicas"):
            grid.quote(workers=2, replicas=2, sites="a")
        with pytest.raises(RequestError, match="replicas"):
            grid.quote(workers=1, replicas=2)


def test_what_a_client_wants_is_at_two_sites_and_outlives_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(grids.several(PRICES), "1 GD", "replicas") as grid:
        grid.request(cores=4, replicas=2).wait()
        began = time.monotonic()
        wanted = grid.client.map(_block, range(20), log=str(log))
        inner = grid.client.submit(lambda blocks: sum(b.sum() for b in blocks), wanted)
        assert inner.result() == 1000 * sum(range(20))
        until(lambda: grid.status()["replicas"]["protected"] == 21, timeout=5, every=0.1)
        assert time.monotonic() - began < 10
        shown = grid.status()["replicas"]
        assert shown["wanted"] == 21 and shown["sites"] == 2
        assert shown["protected_bytes"] == shown["wanted_bytes"] > 20 * 8000
        time.sleep(5)  # Dask's own policy would have dropped them in this time
        for future in wanted:
            assert _held_at(grid, future.key) == ["left", "right"]
        strike(grid, "left")
        blocks = grid.client.gather(wanted)
        assert [int(block[0]) for block in blocks] == list(range(20))
        assert sorted(map(int, log.read_text().split())) == list(range(20))
        # Bought again, and protected again there.
        until(lambda: grid.status()["replicas"]["protected"] == 21)
        del wanted, inner, blocks, future
        until(lambda: grid.status()["replicas"]["wanted"] == 0)
    sum_is_right(grid)


def test_what_nobody_asked_to_protect_has_one_copy() -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "plain") as grid:
        grid.request(workers=4).wait()
        made = grid.client.submit(np.ones, 1000)
        used = [grid.client.submit(np.sum, made, pure=False, workers=w, allow_other_workers=False)
                for w in grid.client.scheduler_info(n_workers=-1)["workers"]]  # fmt: skip
        assert grid.client.gather(used) == [1000] * 4
        until(lambda: len(_held_at(grid, made.key)) == 1, timeout=10)
        assert grid.status()["replicas"]["wanted"] == 0
    sum_is_right(grid)


def test_a_run_can_ask_for_itself() -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "one run") as grid:
        grid.request(workers=4).wait()
        grid.client.announce("this", "this", "running", replicas=2)
        grid.client.tag = "this"
        mine = grid.client.submit(np.ones, 10)
        grid.client.tag = None
        other = grid.client.submit(np.ones, 20)
        until(lambda: _held_at(grid, mine.key) == ["left", "right"], timeout=10)
        assert len(_held_at(grid, other.key)) == 1
        assert grid.status()["replicas"]["wanted"] == 1
    sum_is_right(grid)
