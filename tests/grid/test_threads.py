"""Tasks and jobs leave each other their cores."""

from __future__ import annotations

import pytest

import gridnb
from tests import grids

pytest.importorskip("threadpoolctl")


def threads() -> set[int]:
    import numpy  # noqa: F401 - its libraries are asked
    import threadpoolctl

    return {each["num_threads"] for each in threadpoolctl.threadpool_info()}


def test_libraries_of_numpy_use_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with gridnb.Grid(grids.catalog(), "1 GD", "threads") as grid:
        grid.request(workers=1).wait()
        assert grid.client.submit(threads).result(30) == {1}
        assert grid.submit(threads).result(30) == {1}


def test_a_user_may_ask_for_more(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with gridnb.Grid(grids.catalog(), "1 GD", "threads") as grid:
        grid.request(workers=1).wait()
        assert 2 in grid.client.submit(threads).result(30)
