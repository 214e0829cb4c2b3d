"""Workers that go unasked: work is rerun, capacity bought again, sick sites are avoided."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal

import dask
import psutil
import pytest

import gridnb
from tests import grids
from tests.grids import strike, sum_is_right, until

PRICES = {"cheap": 3.6, "middle": 7.2, "dear": 36.0}


def _sites(grid: gridnb.Grid) -> list[str]:
    return sorted(w["site"] for w in grid.status()["workers"] if w["state"] == "running")


def _texts(grid: gridnb.Grid) -> str:
    return "\n".join(each["text"] for each in grid.status()["events"])


def _slow(x: int) -> int:
    time.sleep(0.1)
    return x * x


def test_a_lost_site_is_bought_again_at_the_next_best_within_the_same_lease() -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "lost site") as grid:
        lease = grid.request(workers=2).wait()
        assert _sites(grid) == ["cheap", "cheap"]
        futures = grid.client.map(_slow, range(60), pure=False)
        until(lambda: sum(f.done() for f in futures) > 5)
        guards = strike(grid, "cheap")
        assert len(guards) == 2
        assert grid.client.gather(futures) == [x * x for x in range(60)]
        until(lambda: _sites(grid) == ["middle", "middle"])
        assert lease.state == "active"
        [shown] = [each for each in grid.status()["leases"] if each["id"] == lease.id]
        assert [(line["site"], line["count"]) for line in shown["lines"]] == [("middle", 2)]
        assert "bought again for lease l1: 2 × middle" in _texts(grid)
        quote = grid.quote(cores=1)
        assert quote.sites == ("middle",) or quote.sites == ("dear",)
        why = {each.site: each.reason for each in quote.refused}
        assert "lost workers" in why["cheap"] and "avoided for" in why["cheap"]
        [health] = [s["health"] for s in grid.status()["sites"] if s["name"] == "cheap"]
        assert health["lost"] == 2 and health["avoided_for"] > 0
        lease.release()
        until(lambda: not grid.status()["workers"])
        time.sleep(1)
        assert not grid.status()["workers"]
    assert not grids.alive(grids.below(guards))
    sum_is_right(grid)


def test_what_is_bought_again_fits_into_what_remains_of_the_lease() -> None:
    # A term of 30 s at cheap costs 0.03 GD; the cap pays for it, but then not for one at dear.
    prices = {"cheap": 3.6, "dear": 7.2}
    with gridnb.Grid(grids.several(prices), "1 GD", "remains") as grid:
        lease = grid.request(workers=1, max_cost="0.07 GD").wait()
        job = grid.client.submit(time.sleep, 30)
        time.sleep(6)  # more than 0.006 GD are spent
        strike(grid, "cheap")
        until(lambda: "not bought again" in _texts(grid) or "bought again" in _texts(grid))
        held = grid.status()["budget"]
        assert Decimal(held["charged"]) + Decimal(held["held"]) <= Decimal("0.07")
        del job
        lease.release()
    assert sum_is_right(grid).charged <= Decimal("0.07")


@pytest.mark.parametrize("how", ["released", "off", "idle"])
def test_it_is_not_bought_again(how: str) -> None:
    settings = {"gridnb.lease.rebuy": how != "off"}
    with (
        dask.config.set(settings),
        gridnb.Grid(grids.several(PRICES), "1 GD", f"not {how}") as grid,
    ):
        lease = grid.request(workers=1).wait()
        if how == "idle":
            time.sleep(6)
            strike(grid, "cheap")
        else:
            work = grid.client.submit(time.sleep, 20)
            until(lambda: any(grid.client.processing().values()))
            strike(grid, "cheap")
            if how == "released":
                lease.release()
            del work
        time.sleep(3)
        assert not grid.status()["workers"]
        assert lease.state == "ended"
    sum_is_right(grid)


def test_a_flapping_site_is_no_reason_to_buy_for_ever() -> None:
    catalog = grids.several({"only": 3.6}, count=1, term="20s")
    with gridnb.Grid(catalog, "1 GD", "flapping") as grid:
        grid.request(workers=1).wait()
        work = grid.client.submit(time.sleep, 60)
        killed: set[int] = set()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            up = [w for w in grid.status()["workers"] if w["state"] == "running" and w["pid"]]
            if up:
                killed.update(strike(grid, "only"))
            time.sleep(0.3)
        # At once after the first and the second loss (those within a second are one), then not
        # before the site's pause is over.
        assert 2 <= len(killed) <= 6
        assert "lost workers" in grid.status()["sites"][0]["health"]["why"]
        del work
    sum_is_right(grid)


def test_a_stopped_site_counts_as_lost_and_nothing_of_it_stays() -> None:
    with (
        dask.config.set({"gridnb.hub.silence": "3s"}),
        gridnb.Grid(grids.several(PRICES), "1 GD", "stopped site") as grid,
    ):
        grid.request(workers=2).wait()
        futures = grid.client.map(_slow, range(60), pure=False)
        until(lambda: sum(f.done() for f in futures) > 5)
        stopped = strike(grid, "cheap", signal.SIGSTOP)
        processes = grids.below(stopped)
        assert grid.client.gather(futures, errors="raise") == [x * x for x in range(60)]
        assert "no word from its guard" in _texts(grid)
        until(lambda: not grids.alive(processes))
    sum_is_right(grid)


def test_a_stopped_hub_takes_no_silence_for_a_loss() -> None:
    with (
        dask.config.set({"gridnb.hub.silence": "3s"}),
        gridnb.Grid(grids.several(PRICES, term="60s"), "1 GD", "stopped hub") as grid,
    ):
        grid.request(workers=2).wait()
        names = {w["name"] for w in grid.status()["workers"]}
        pid = grid.status()["grid"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)
        time.sleep(2)
        assert {w["name"] for w in grid.status()["workers"]} == names
        assert grid.client.submit(_slow, 3).result() == 9
    sum_is_right(grid)


def test_a_killed_worker_comes_back_within_its_term_and_counts_for_nothing() -> None:
    with gridnb.Grid(grids.several(PRICES), "1 GD", "killed worker") as grid:
        grid.request(workers=2).wait()
        futures = grid.client.map(_slow, range(40), pure=False)
        until(lambda: sum(f.done() for f in futures) > 5)
        [first, _] = grid.status()["workers"]
        psutil.Process(first["pid"]).kill()
        assert grid.client.gather(futures) == [x * x for x in range(40)]
        until(lambda: _sites(grid) == ["cheap", "cheap"])
        assert {w["name"] for w in grid.status()["workers"]} == {"cheap-1", "cheap-2"}
        assert not grid.status()["events"]
    sum_is_right(grid)
