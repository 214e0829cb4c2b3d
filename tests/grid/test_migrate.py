"""What works at one site moves to another: answers stay, nothing that had finished runs again."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridnb
from gridnb.catalog import Catalog
from gridnb.errors import CatalogError, GridError, HubError, RequestError
from gridnb.ledger import Ledger
from tests import grids
from tests.grids import sum_is_right, until

PRICES = {"alpha": 3.6, "beta": 7.2}


def _made(number: int, log: str, seconds: float = 0.05) -> np.ndarray:
    with Path(log).open("a") as file:
        file.write(f"{number}\n")
    time.sleep(seconds)
    return np.full(20_000, number)


def _runs(log: Path) -> Counter[int]:
    return Counter(map(int, log.read_text().split()))


def _sites(grid: gridnb.Grid) -> set[str]:
    return {w["site"] for w in grid.status()["workers"] if w["state"] == "running"}


def _priced_links() -> Catalog:
    """Two sites, one of which takes 100 GD a GiB for what leaves it."""
    plain = grids.several(PRICES, links={"bandwidth": "50 MB/s", "latency": "5ms"})
    told: dict[str, Any] = plain.model_dump(mode="json")
    told["sites"][0]["rate_card"]["egress_gib"] = "100"
    return Catalog.of(told)


def test_all_moves_and_nothing_that_had_finished_runs_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(_priced_links(), "20 GD", "moved") as grid:
        lease = grid.request(workers=2, sites="alpha").wait()
        done = grid.client.map(_made, range(20), log=str(log))
        grid.client.gather(done)
        running = grid.client.map(_made, range(20, 50), log=str(log), seconds=0.2)
        total = grid.client.submit(lambda parts: int(sum(each[0] for each in parts)), running)
        told: list[str] = []
        moved = grid.migrate("alpha", "beta").wait(
            timeout=60, progress=lambda now: told.append(str(now))
        )
        assert _sites(grid) == {"beta"}
        assert total.result(timeout=60) == sum(range(20, 50))
        assert [int(each[0]) for each in grid.client.gather(done)] == list(range(20))
        assert _runs(log) == Counter(range(50))
        assert moved.state == "done" and moved.results >= 20 and moved.nbytes >= 20 * 160_000
        assert moved.restarted == 0 and moved.egress.amount > 0
        assert any("workers up" in line for line in told) and "alpha → beta" in told[-1]
        assert lease.state == "active"
        assert grid.submit(pow, 2, 5).result(timeout=60) == 32
        assert lease.submit(pow, 2, 6).result(timeout=60) == 64
        run = next(run for run in grid.status()["runs"] if run["kind"] == "migration")
        assert run["label"] == "migrate alpha → beta" and run["state"] == "done"
    sum_is_right(grid)
    with Ledger() as ledger:
        labels = {each.label for each in ledger.charges(grid=grid.id) if each.kind == "egress"}
    assert "migrate alpha → beta" in labels


def test_work_that_takes_too_long_starts_again_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(grids.several(PRICES), "5 GD", "long") as grid:
        grid.request(workers=1, sites="alpha").wait()
        long = grid.client.submit(_made, 1, log=str(log), seconds=15)
        until(lambda: log.exists())
        moved = grid.migrate("alpha", "beta", limit=2).wait(timeout=60)
        assert moved.restarted == 1 and _sites(grid) == {"beta"}
        assert int(long.result(timeout=60)[0]) == 1
        assert _runs(log) == Counter({1: 2})
    sum_is_right(grid)


def test_what_cannot_be_done_costs_and_changes_nothing() -> None:
    prices = {**PRICES, "gamma": 7200, "tiny": 3.6}
    catalog = grids.several(prices).model_dump(mode="json")
    catalog["sites"][3]["offers"][0]["count"] = 1
    with gridnb.Grid(Catalog.of(catalog), "1 GD", "refused") as grid:
        lease = grid.request(workers=2, sites="alpha").wait()
        held = grid.held

        def refused(kind: type[GridError], text: str, *names: str) -> None:
            with pytest.raises(kind, match=text) as caught:
                grid.migrate(*names)
            assert "\n" not in str(caught.value)
            assert _sites(grid) == {"alpha"} and len(grid.status()["workers"]) == 2
            assert lease.state == "active"

        refused(CatalogError, "did you mean 'beta'", "alpha", "beat")
        refused(CatalogError, "'alhpa'", "alhpa", "beta")
        refused(RequestError, "name two sites", "alpha", "alpha")
        refused(RequestError, "no worker is up at beta; sites with some: alpha", "beta", "alpha")
        refused(RequestError, "the budget leaves 0.9. GD; raise the budget", "alpha", "gamma")
        refused(RequestError, "tiny cannot take the 2 workers of alpha", "alpha", "tiny")
        assert grid.held <= held
    sum_is_right(grid)


def test_data_stays_in_the_region_that_its_lease_names() -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "resident") as grid:
        grid.request(workers=1, regions="alpha").wait()
        with pytest.raises(RequestError, match="bound to alpha"):
            grid.migrate("alpha", "beta")
        assert _sites(grid) == {"alpha"}


class _Counter:
    def __init__(self) -> None:
        self.n = 0

    def add(self) -> int:
        self.n += 1
        return self.n


def test_what_cannot_move_is_named_and_can_be_given_up() -> None:
    with gridnb.Grid(grids.several(PRICES), "5 GD", "actor") as grid:
        grid.request(workers=1, sites="alpha").wait()
        actor = grid.client.submit(_Counter, actor=True, key="my-counter").result()
        assert actor.add().result() == 1
        with pytest.raises(RequestError, match="held back by actor my-counter"):
            grid.migrate("alpha", "beta")
        assert actor.add().result() == 2
        assert grid.migrate("alpha", "beta", force=True).wait(timeout=60).actors == 1
        assert _sites(grid) == {"beta"}


def test_a_task_that_is_bound_to_the_site_holds_it_back(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with gridnb.Grid(grids.several(PRICES), "5 GD", "bound") as grid:
        grid.request(workers=1, sites="alpha").wait()
        bound = [
            grid.client.submit(_made, n, log=log, seconds=1, sites=["alpha"]) for n in range(4)
        ]
        until(lambda: any(grid.client.processing().values()))
        with pytest.raises(RequestError, match="bound to it"):
            grid.migrate("alpha", "beta")
        grid.migrate("alpha", "beta", force=True).wait(timeout=60)
        assert [int(f.result(timeout=30)[0]) for f in bound] == list(range(4))
    sum_is_right(grid)


def _piece(number: int, log: str) -> int:
    with Path(log).open("a") as file:
        file.write(f"{number}\n")
    time.sleep(6)
    return number


def test_a_job_finishes_before_its_worker_goes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gridnb.Grid(grids.several(PRICES), "5 GD", "job") as grid:
        grid.request(workers=1, sites="alpha").wait()
        job = grid.submit(_piece, 7, str(log))
        until(lambda: log.exists())
        with pytest.raises(HubError, match="_piece still runs at alpha after 1 s"):
            grid.migrate("alpha", "beta", limit=1).wait(timeout=60)
        until(lambda: _sites(grid) == {"alpha"})
        again = grid.migrate("alpha", "beta")
        assert job.result(timeout=60) == 7
        again.wait(timeout=60)
        assert _runs(log) == Counter({7: 1}) and _sites(grid) == {"beta"}
    sum_is_right(grid)


@pytest.mark.parametrize("arrived", [0, 4, 8])
def test_when_the_other_site_dies_nothing_is_lost(tmp_path: Path, arrived: int) -> None:
    log = tmp_path / "log"
    slow = {"bandwidth": "400 kB/s", "latency": "5ms"}  # long enough for Dask to drop copies
    with gridnb.Grid(grids.several(PRICES, links=slow), "5 GD", f"dies {arrived}") as grid:
        grid.request(workers=2, sites="alpha").wait()
        done = grid.client.map(_made, range(30), log=str(log), pure=False)
        grid.client.gather(done)
        migration = grid.migrate("alpha", "beta")
        until(lambda: migration.progress.results >= arrived and migration.progress.up == 2)
        grids.strike(grid, "beta")
        with pytest.raises(HubError, match="was lost.*alpha keeps all it has"):
            migration.wait(timeout=60)
        assert [int(each[0]) for each in grid.client.gather(done)] == list(range(30))
        assert _runs(log) == Counter(range(30))
        more = grid.client.map(_made, range(30, 34), log=str(log), pure=False)
        assert [int(each[0]) for each in grid.client.gather(more)] == list(range(30, 34))
        assert "alpha" in _sites(grid)
    sum_is_right(grid)


def test_it_can_be_stopped_and_what_was_made_there_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = {"bandwidth": "20 MB/s", "latency": "5ms"}
    with gridnb.Grid(grids.several(PRICES, links=slow), "5 GD", "stopped") as grid:
        grid.request(workers=1, sites="alpha").wait()
        blocker = grid.client.submit(_made, 99, log=str(log), seconds=8)
        until(lambda: log.exists())
        migration = grid.migrate("alpha", "beta")
        until(lambda: migration.progress.state == "finishing")
        there = grid.client.map(_made, range(10), log=str(log), pure=False)
        grid.client.gather(there)  # made at beta: alpha takes nothing new
        migration.stop()
        with pytest.raises(HubError, match="it was stopped"):
            migration.wait(timeout=60)
        until(lambda: _sites(grid) == {"alpha"})
        assert [int(each[0]) for each in grid.client.gather(there)] == list(range(10))
        assert int(blocker.result(timeout=60)[0]) == 99
        assert _runs(log) == Counter([*range(10), 99])
    sum_is_right(grid)


def test_of_two_at_once_the_second_is_refused() -> None:
    with gridnb.Grid(grids.several({**PRICES, "gamma": 3.6}), "5 GD", "twice") as grid:
        grid.request(workers=1, sites="alpha").wait()
        first = grid.migrate("alpha", "beta")
        with pytest.raises(RequestError, match="alpha → beta is under way"):
            grid.migrate("beta", "gamma")
        first.wait(timeout=60)
        grid.migrate("beta", "gamma").wait(timeout=60)
        assert _sites(grid) == {"gamma"}
