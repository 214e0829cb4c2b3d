"""The façade on real processes: all of Dask works, and the bill is the ledger."""

from __future__ import annotations

import stat
from concurrent.futures import CancelledError
from decimal import Decimal

import pytest

import gridnb
from gridnb.errors import HubError, RequestError
from gridnb.hub.find import hubs
from gridnb.hub.places import Place
from gridnb.ledger import Ledger
from gridnb.metering import rating
from gridnb.providers.guard import read_record
from tests import grids
from tests.grids import until


@pytest.fixture(scope="module")
def grid():
    with gridnb.Grid("demo", "5 GD", "facade") as grid:
        grid.request(sites=["alpha", "beta"], cores=4, optimize="time").wait()
        yield grid


def test_all_of_dask_works(grid: gridnb.Grid) -> None:
    import dask
    import dask.array as da
    import distributed
    from distributed import get_client, get_worker, worker_client

    client = grid.client
    assert isinstance(client, distributed.Client)
    assert isinstance(client.cluster, distributed.deploy.Cluster)
    assert da.ones((100, 100), chunks=25).sum().compute() == 10_000
    assert client.gather(client.map(lambda x: x + 1, range(20))) == list(range(1, 21))
    data = client.scatter([1, 2, 3], broadcast=True)
    assert client.submit(sum, data).result() == 6

    def nested(n: int) -> int:
        with worker_client() as inner:
            return sum(inner.gather(inner.map(lambda x: x * x, range(n))))

    assert client.submit(nested, 5).result() == 30
    assert client.submit(lambda: get_worker().name).result().startswith(("alpha", "beta"))
    assert client.submit(lambda: get_client().submit(len, "four").result()).result() == 4

    class Counter:
        n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

    counter = client.submit(Counter, actor=True).result()
    assert [counter.add().result() for _ in range(2)] == [1, 2]
    with dask.annotate(priority=5):
        assert client.submit(sum, [4]).result() == 4
    assert client.run(lambda: 1).keys() == client.scheduler_info(n_workers=-1)["workers"].keys()
    assert "http://127.0.0.1:" in client.cluster.dashboard_link


def test_workers_know_their_site(grid: gridnb.Grid) -> None:
    workers = grid.client.scheduler_info(n_workers=-1)["workers"].values()
    sites = {worker["name"].rpartition("-")[0] for worker in workers}
    assert sites == {"alpha", "beta"} or sites == {"alpha"}


def test_jobs(grid: gridnb.Grid) -> None:
    import time

    def work(x: int) -> int:
        print("working on", x)
        return x * 2

    jobs = [grid.submit(work, x) for x in range(6)]
    assert [job.result(60) for job in jobs] == [0, 2, 4, 6, 8, 10]
    assert jobs[3].output == "working on 3\n"
    assert jobs[3].status == "done"
    assert jobs[3].cost.currency == "GD"

    numbers = [1, 2]
    later = grid.submit(sum, numbers)
    numbers.append(100)
    assert later.result(60) == 3
    with pytest.raises(gridnb.GridError, match="args"):
        grid.submit(sum, (n for n in range(3)))

    def fail() -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        grid.submit(fail).result(60)
    long = grid.submit(time.sleep, 300)
    until(lambda: long.status == "running")
    assert long.cancel()
    with pytest.raises(CancelledError):
        long.result(60)
    assert long.status == "cancelled"


def test_bad_input_is_one_line_and_spends_nothing(grid: gridnb.Grid) -> None:
    before = grid.status()["leases"]
    for request, words in (
        ({"cores": 0}, "cores"),
        ({"coers": 2}, "cores"),
        ({"sites": "alhpa"}, "alpha"),
        ({"cores": 4000}, "at most"),
        ({"max_cost": "5"}, "GD"),
    ):
        with pytest.raises(gridnb.GridError, match=words) as caught:
            grid.request(**request)
        assert "\n" not in str(caught.value)
    assert len(grid.status()["leases"]) == len(before) == 1
    with pytest.raises(RequestError, match="EUR"):
        gridnb.Grid("demo", "5 EUR", "other")
    with pytest.raises(HubError, match="no grid nowhere"):
        gridnb.Grid.attach("nowhere")


def test_secrets_are_for_their_owner_alone(grid: gridnb.Grid) -> None:
    assert stat.S_IMODE(grid.directory.stat().st_mode) == 0o700
    for path in grid.directory.glob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    keys = [path.read_text() for path in grid.directory.glob("*.key")]
    assert len(keys) == 3
    bodies = ["".join(key.splitlines()[1:-1])[:40] for key in keys]
    import psutil

    texts = [path.read_text(errors="replace") for path in Place.of(grid.id).records.glob("*")]
    texts.append((grid.directory / "hub.log").read_text())
    for process in psutil.process_iter():
        try:
            if process.environ().get("GRIDNB_GRID") == grid.id:
                texts.append(" ".join(process.cmdline()) + str(process.environ()))
        except psutil.Error:
            continue
    assert len(texts) > 6
    for body in bodies:
        assert not any(body in text for text in texts)


def test_attach_to_a_running_grid(grid: gridnb.Grid) -> None:
    assert grid.id in {hub.id for hub in hubs()}
    other = gridnb.Grid.attach(account="facade")
    try:
        assert other.id == grid.id
        assert other.client.submit(sum, [1, 2]).result() == 3
    finally:
        other.disconnect()


def test_the_bill_is_the_ledger_and_each_second_is_in_it() -> None:
    with gridnb.Grid(grids.catalog(price=7.0), "1 GD", "sums") as grid:
        grid.request(workers=2).wait()
        from gridnb.units import Money

        grid.client.gather(grid.client.map(lambda x: sum(range(x)), [100_000] * 50, pure=False))
        kept = grid.client.submit(lambda: b"x" * 1000)
        kept.result()
        grid.submit(sum, [1]).result(60)
        assert grid.spent + grid.held <= Money(Decimal(1), "GD")
        records = Place.of(grid.id).records
        paths = {path.stem: path for path in records.glob("here-*.json")}
        copies = {}
        grid.release()
        until(lambda: grid.held.amount == 0)
        for name, path in paths.items():
            copies[name] = read_record(str(path))
    bill = grid.bill()
    with Ledger() as ledger:
        charges = list(ledger.charges(grid=grid.id))
        account = ledger.account("sums", "GD")
        assert account is not None
        assert ledger.audit() == []
        assert not ledger.holds(grid=grid.id)
    assert bill.amount.sum() == sum(c.amount for c in charges) == account.charged > 0
    assert set(bill.kind) <= {"used", "kept", "idle", "overhead"}
    assert {"used", "idle", "overhead"} <= set(bill.kind)
    site = grid.catalog.site("here")
    for name, record in copies.items():
        assert record is not None
        assert record["ended"]
        up = Decimal(str(record["up"]))
        mine = bill[bill.worker == name]
        assert mine.seconds.sum() == rating.paid_seconds(up, site.rate_card)
        assert mine.amount.sum() == rating.amount(
            site, site.offers[0], rating.paid_seconds(up, site.rate_card)
        )


def test_a_deadline_ends_a_lease() -> None:
    with gridnb.Grid(grids.catalog(term="3s"), "1 GD", "deadline") as grid:
        lease = grid.request(workers=1, deadline="4s")
        lease.wait()
        until(lambda: lease.state == "ended")
        worker = next(iter(grid.status()["leases"]))
        assert "deadline" in worker["reason"]
        until(lambda: grid.held.amount == 0)


def test_when_the_budget_ends_the_lease_does_and_says_why() -> None:
    with gridnb.Grid(grids.catalog(term="4s", count=1), "0.012 GD", "spent") as grid:
        lease = grid.request(workers=1).wait()
        until(lambda: lease.state == "ended", timeout=60)
        described = next(iter(grid.status()["leases"]))
        assert "not renewed" in described["reason"]
        assert Decimal("0.004") < grid.spent.amount <= Decimal("0.012")
        until(lambda: grid.held.amount == 0)


def test_an_idle_paid_lease_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.config

    settings = {"gridnb.lease.idle": "1s", "gridnb.lease.idle-least": "1s"}
    with (
        dask.config.set(settings),
        gridnb.Grid(grids.catalog(), "1 GD", "idle") as grid,
    ):
        lease = grid.request(workers=1).wait()
        until(lambda: lease.state == "ended")
        assert next(iter(grid.status()["leases"]))["reason"] == "idle"
