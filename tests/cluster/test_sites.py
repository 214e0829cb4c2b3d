"""Work on two simulated sites through a grid: every part of Dask, at the sites that were named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gridnb
from gridnb.catalog import Catalog
from gridnb.errors import RequestError


def _catalog() -> Catalog:
    def site(name: str, speed: float) -> dict[str, Any]:
        offer = {"name": "o", "cores": 1, "memory": "1 GiB", "count": 2, "speed": speed}
        return {"name": name, "provider": "simulated", "offers": [offer]}

    return Catalog.of(
        {
            "name": "two",
            "sites": [site("a", 1.0), site("b", 0.9)],
            "links": [{"between": ["a", "b"], "latency": "5ms", "bandwidth": "50 MB/s"}],
        }
    )


@pytest.fixture(scope="module")
def grid() -> Iterator[gridnb.Grid]:
    with gridnb.Grid(_catalog(), "5 GD", "sites") as grid:
        grid.request(workers=4).wait()
        yield grid


def _worker_name() -> Callable[..., str]:
    """A function that is sent by value and tells which worker runs it."""

    def name(*_: Any) -> str:
        from distributed import get_worker

        return str(get_worker().name)

    return name


def _site() -> Callable[..., str]:
    def site(*_: Any) -> str:
        from distributed import get_worker

        return str(get_worker().name).partition("-")[0]

    return site


def _names(grid: gridnb.Grid) -> dict[str, str]:
    """Names of the workers by address."""
    workers = grid.client.scheduler_info(n_workers=-1)["workers"]
    return {address: str(worker["name"]) for address, worker in workers.items()}


def _crossed(grid: gridnb.Grid) -> int:
    return sum(int(link["bytes"]) for link in grid.status()["links"])


def test_work_uses_both_sites(grid: gridnb.Grid) -> None:
    site = _site()

    def slowly(_: int) -> str:
        import time

        time.sleep(0.02)
        return site()

    found = grid.client.gather(grid.client.map(slowly, range(60), pure=False))
    assert set(found) == {"a", "b"}


@pytest.mark.parametrize("site", ["a", "b"])
def test_named_sites_are_kept(grid: gridnb.Grid, site: str) -> None:
    import dask
    import dask.array as da
    import dask.bag as db
    from dask import delayed

    client, where = grid.client, _site()
    assert client.submit(where, sites=site, pure=False).result() == site
    found = client.gather(client.map(where, range(40), sites=[site], pure=False))
    assert set(found) == {site}
    work = delayed(list)([delayed(where)(i) for i in range(20)])
    assert set(work.compute(sites=site)) == {site}
    bag = db.from_sequence(range(20), npartitions=10).map(where)
    assert set(client.compute(bag, sites=[site]).result()) == {site}
    with dask.annotate(sites=[site]):
        assert client.submit(where, pure=False).result() == site
    x = da.ones((40, 4), chunks=(1, 4)).map_blocks(lambda v: v + 1, dtype=float)
    x = x.persist(sites=site)
    assert float(x.sum().compute()) == 320
    held = {a for addresses in client.who_has(x).values() for a in addresses}
    names = {
        w["name"] for a, w in client.scheduler_info(n_workers=-1)["workers"].items() if a in held
    }
    assert {name.partition("-")[0] for name in names} == {site}


def test_dataframes_at_named_sites(grid: gridnb.Grid) -> None:
    import dask.dataframe as dd
    import pandas as pd

    frame = pd.DataFrame({"k": list(range(50)) * 4, "v": range(200)})
    found = dd.from_pandas(frame, npartitions=8).groupby("k").v.sum().compute(sites="b")
    assert found.sort_index().equals(frame.groupby("k").v.sum())


def test_a_site_that_does_not_exist_is_an_error(grid: gridnb.Grid) -> None:
    with pytest.raises(RequestError, match="there is no site 'aa'; did you mean a"):
        grid.client.submit(_site(), sites="aa")
    with pytest.raises(RequestError, match="by name"):
        grid.client.submit(_site(), sites=7)


def test_an_annotation_that_dask_loses_is_an_error(grid: gridnb.Grid) -> None:
    import dask
    import dask.array as da
    from dask import delayed

    with dask.annotate(sites=["a"]):
        x = da.ones(40, chunks=10) + 1
        kept = delayed(_site())(1)
    with pytest.raises(RequestError, match="loses the annotation"):
        grid.client.compute(x.sum())
    with pytest.raises(RequestError, match="loses the annotation"):
        x.sum().compute()
    assert grid.client.compute(kept).result() == "a"


def test_a_shuffle_over_sites(grid: gridnb.Grid) -> None:
    import dask
    import dask.dataframe as dd
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 500, 20_000), "v": rng.random(20_000)})
    right = pd.DataFrame({"k": np.arange(500), "w": np.arange(500)})
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        joined = dd.from_pandas(left, npartitions=8).merge(
            dd.from_pandas(right, npartitions=4), on="k"
        )
        found = joined.w.sum().compute()
    assert found == left.merge(right, on="k").w.sum()


def test_a_rechunk_over_sites(grid: gridnb.Grid) -> None:
    import dask
    import dask.array as da

    with dask.config.set({"array.rechunk.method": "p2p"}):
        x = da.arange(10_000, chunks=500).reshape(100, 100).rechunk((10, 100)).rechunk((100, 10))
        assert int(x.sum(axis=0)[7].compute()) == sum(range(7, 10_000, 100))


def test_a_shuffle_at_one_site_does_not_cross(grid: gridnb.Grid) -> None:
    import dask
    import dask.dataframe as dd
    import pandas as pd

    frame = pd.DataFrame({"k": list(range(100)) * 50, "v": [1.0] * 5000})
    before = _crossed(grid)
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        moved = dd.from_pandas(frame, npartitions=6).shuffle("k").v.sum().compute(sites=["a"])
    assert moved == 5000
    assert _crossed(grid) - before < 20_000  # greetings, no data


def test_the_rest_of_dask(grid: gridnb.Grid) -> None:
    from distributed import worker_client

    client = grid.client

    def nested(n: int) -> int:
        with worker_client() as inner:
            return sum(inner.gather(inner.map(lambda x: x * x, range(n))))

    assert client.gather(client.map(nested, range(12))) == [
        sum(x * x for x in range(n)) for n in range(12)
    ]

    class Counter:
        n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

    counters = [client.submit(Counter, actor=True, pure=False).result() for _ in range(4)]
    assert [counter.add().result() for counter in counters] == [1] * 4
    slow = client.map(lambda x: x, range(200), priority=-10)
    assert client.submit(lambda: 1, priority=10, pure=False).result() == 1
    assert client.gather(slow) == list(range(200))
    name = next(iter(_names(grid).values()))
    there = client.map(_worker_name(), range(10), workers=name, pure=False)
    assert set(client.gather(there)) == {name}


def test_resources_are_kept_to(grid: gridnb.Grid) -> None:
    client = grid.client
    address, name = next(iter(_names(grid).items()))

    async def offer(dask_worker: Any) -> None:
        await dask_worker.set_resources(LICENCE=1)

    client.run(offer, workers=[address])
    where = _worker_name()
    found = [client.submit(where, resources={"LICENCE": 1}, pure=False) for _ in range(5)]
    assert {each.result(20) for each in found} == {name}
