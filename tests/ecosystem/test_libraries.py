"""joblib, scikit-learn, xarray and futures through Dask: they work, and are metered."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterator
from decimal import Decimal

import dask
import joblib
import numpy
import pytest
import xarray
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import gridnb
from tests.grids import catalog, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def grid(_module_processes: None) -> Iterator[gridnb.Grid]:
    with gridnb.Grid(catalog(), "5 GD", "libraries") as made:
        made.request(cores=2).wait()
        yield made


@pytest.fixture
def used(grid: gridnb.Grid) -> Iterator[None]:
    """What the test does is used time on the workers, charged to this client."""

    def now() -> Decimal:
        runs = grid.status(bill=True)["runs"]
        mine = [run for run in runs if run["id"] == f"client:{grid.client.id}"]
        return sum((Decimal(run["used"]) for run in mine), Decimal(0))

    before = now()
    yield
    until(lambda: now() > before)
    bill = grid.bill()
    mine = bill[(bill["run"] == f"client:{grid.client.id}") & (bill["kind"] == "used")]
    assert mine["amount"].sum() > 0


def square(n: int) -> int:
    import time

    time.sleep(0.05)
    return n * n


@pytest.mark.usefixtures("used")
def test_joblib(grid: gridnb.Grid) -> None:
    work = [joblib.delayed(square)(n) for n in range(20)]
    with joblib.parallel_config(backend="dask"):
        assert joblib.Parallel()(work) == [n * n for n in range(20)]
    with joblib.parallel_backend("dask"):
        assert joblib.Parallel(n_jobs=2)(work) == [n * n for n in range(20)]


@pytest.mark.usefixtures("used")
def test_a_search_of_scikit_learn(grid: gridnb.Grid) -> None:
    x, y = make_classification(n_samples=400, n_features=8, random_state=0)

    def search() -> GridSearchCV:
        return GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1, 10]}, cv=3).fit(x, y)

    with joblib.parallel_config(backend="dask", scatter=[x, y]):
        there = search()
    here = search()
    assert there.best_params_ == here.best_params_
    numpy.testing.assert_array_equal(
        there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"]
    )


@pytest.mark.usefixtures("used")
def test_xarray_over_dask(grid: gridnb.Grid) -> None:
    values = numpy.arange(40_000.0).reshape(20, 40, 50)
    data = xarray.DataArray(values, dims=("time", "lat", "lon"))
    chunked = data.chunk({"time": 5})
    anomaly = (chunked - chunked.mean("time")).std(("lat", "lon"))
    expected = (data - data.mean("time")).std(("lat", "lon"))
    xarray.testing.assert_allclose(anomaly.compute(), expected)
    xarray.testing.assert_allclose(anomaly.persist().load(), expected)
    mapped = xarray.apply_ufunc(numpy.square, chunked, dask="parallelized", output_dtypes=[float])
    xarray.testing.assert_allclose(mapped.sum().compute(), (data**2).sum())


@pytest.mark.usefixtures("used")
def test_executor(grid: gridnb.Grid) -> None:
    with grid.client.get_executor(pure=False) as executor:
        futures = [executor.submit(square, n) for n in range(6)]
        assert {f.result() for f in concurrent.futures.as_completed(futures)} == {
            n * n for n in range(6)
        }
        assert list(executor.map(square, range(4))) == [0, 1, 4, 9]


@pytest.mark.usefixtures("used")
def test_futures_of_dask_are_awaited(grid: gridnb.Grid) -> None:
    async def go() -> int:
        return await asyncio.to_thread(grid.client.submit(square, 9).result)

    assert asyncio.run(go()) == 81


@pytest.mark.usefixtures("used")
def test_plain_dask_uses_the_default_client(grid: gridnb.Grid) -> None:
    assert dask.delayed(square)(5).compute() == 25
