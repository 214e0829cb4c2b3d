"""A grid's links: seen, cut, restored and set while work runs over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import pandas as pd
import pytest

import gridnb
from gridnb.catalog import Catalog
from gridnb.errors import CatalogError, RequestError
from tests.grids import until

MB = 10**6


def _catalog() -> Catalog:
    def site(name: str, provider: str = "simulated") -> dict:
        return {
            "name": name,
            "provider": provider,
            "rate_card": {"egress_gib": "1"} if provider == "simulated" else {},
            "offers": [{"name": "o", "cores": 1, "memory": "1 GiB"}],
        }

    return Catalog.of(
        {
            "name": "three",
            "sites": [site("alpha"), site("beta"), site("here", "local")],
            "links": [{"between": ["alpha", "beta"], "latency": "5ms", "bandwidth": "50 MB/s"}],
        }
    )


@pytest.fixture(scope="module")
def grid(_module_processes: None) -> Iterator[gridnb.Grid]:
    with gridnb.Grid(_catalog(), "50 GD", "links") as made:
        made.request(workers=2, sites=["alpha", "beta"]).wait()
        yield made


def _worker(grid: gridnb.Grid, site: str) -> str:
    workers = grid.client.scheduler_info(n_workers=-1)["workers"]
    return next(a for a, w in workers.items() if w["name"].startswith(f"{site}-"))


def _move(grid: gridnb.Grid, size: int):
    """Make `size` bytes at alpha, and use them at beta."""
    data = grid.client.submit(bytes, size, workers=_worker(grid, "alpha"), pure=False)
    return grid.client.submit(
        len, data, workers=_worker(grid, "beta"), pure=False, allow_other_workers=False
    )


def test_a_link_counts_what_goes_over_it(grid: gridnb.Grid) -> None:
    link = grid.links["beta", "alpha"]  # in either order
    before, cost = link.bytes, link.cost
    assert _move(grid, 8 * MB).result(60) == 8 * MB
    assert 8 * MB <= link.bytes - before < 8.5 * MB
    paid = Decimal(link.bytes - before) / 2**30
    assert paid <= (link.cost - cost).amount < paid + Decimal("1e-6")
    assert 0 < link.utilisation <= 1
    assert (link.bandwidth, link.latency, link.is_cut) == (50 * MB, 0.005, False)
    assert repr(link) == "<Link beta – alpha>"


def test_all_links_are_a_table(grid: gridnb.Grid) -> None:
    assert list(grid.links) == [("alpha", "beta")]
    assert len(grid.links) == 1
    assert ("beta", "alpha") in grid.links
    assert ("alpha", "here") not in grid.links
    text = repr(grid.links)
    assert "alpha – beta" in text
    assert "50 MB/s" in text
    assert "simulated" in text
    assert "alpha – beta" in grid.links["beta", "alpha"]._repr_mimebundle_()["text/html"]


def test_a_link_is_set_while_it_carries(grid: gridnb.Grid) -> None:
    link = grid.links["alpha", "beta"]
    link.set(bandwidth="100 kB/s", latency="50ms")
    try:
        future = _move(grid, 20 * MB)
        with pytest.raises(TimeoutError):
            future.result(2)
        assert (link.bandwidth, link.latency) == (10**5, 0.05)
    finally:
        link.set(bandwidth="50 MB/s", latency=0.005)
    assert future.result(60) == 20 * MB


def test_nothing_goes_over_a_cut_link_until_it_is_restored(grid: gridnb.Grid) -> None:
    link = grid.links["alpha", "beta"]
    assert _move(grid, 10).result(60) == 10
    link.cut()
    try:
        assert link.is_cut
        assert "cut" in repr(link)
        moved = link.bytes
        future = _move(grid, MB)
        with pytest.raises(TimeoutError):
            future.result(2)
        assert link.bytes == moved
        shown = {(each["src"], each["dst"]): each["cut"] for each in grid.status()["links"]}
        assert shown == {("alpha", "beta"): True, ("beta", "alpha"): True}
    finally:
        link.restore()
    assert future.result(60) == MB


def test_a_cut_during_a_transfer_loses_no_result(grid: gridnb.Grid) -> None:
    link = grid.links["alpha", "beta"]
    link.set(bandwidth="5 MB/s")
    try:
        moved = link.bytes
        future = _move(grid, 10 * MB)
        until(lambda: link.bytes > moved + MB)
        link.cut()
        time.sleep(0.3)
    finally:
        link.restore()
        link.set(bandwidth="50 MB/s")
    assert future.result(60) == 10 * MB
    bill = grid.bill()
    sent = sum(Decimal(each["cost"]) for each in grid.status(bill=True)["links"])
    assert bill[bill.kind == "egress"].amount.sum() <= sent + Decimal("1e-6")


def test_shuffles_go_over_the_link(grid: gridnb.Grid) -> None:
    import dask
    import dask.dataframe as dd

    link = grid.links["alpha", "beta"]
    rows = 200_000

    def part(n: int) -> pd.DataFrame:
        return pd.DataFrame({"k": range(n, rows + n), "v": 1.0})

    with dask.config.set({"dataframe.shuffle.method": "p2p", "dataframe.convert-string": False}):
        frame = dd.from_map(part, range(6), meta=part(0).head(0)).shuffle("k", npartitions=6)
        before = link.bytes
        assert int(frame.v.sum().compute()) == 6 * rows
    moved = link.bytes - before
    every = 6 * rows * 16
    assert 0.25 * every < moved < every, "half of a uniform shuffle between two sites crosses"


@pytest.mark.parametrize(
    ("between", "error", "text"),
    [
        (("alpha", "bta"), CatalogError, "did you mean 'beta'?"),
        (("alpha", "alpha"), RequestError, "is one site; name two"),
        (("alpha", "here"), RequestError, "here is not simulated"),
        ("alpha", RequestError, "are not two sites"),
    ],
)
def test_what_is_no_link_is_told_in_a_line(grid: gridnb.Grid, between, error, text) -> None:
    with pytest.raises(error, match=".+") as told:
        grid.links[between]
    assert text in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"bandwidth": "fast"}, "bandwidth: 'fast' is not a bandwidth above 0"),
        ({"bandwidth": 0}, "bandwidth: 0 is not a bandwidth above 0"),
        ({"latency": "soon"}, "latency: 'soon' is not a time"),
        ({}, "give a bandwidth or a latency"),
    ],
)
def test_what_cannot_be_set_is_told_in_a_line(grid: gridnb.Grid, how, text) -> None:
    with pytest.raises(RequestError) as told:
        grid.links["alpha", "beta"].set(**how)
    assert text in str(told.value)
