"""``with grid:`` makes its client Dask's default; afterwards all is as it was."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import dask.config
import pytest
from distributed import Client, LocalCluster, default_client, get_client

import gridnb
from gridnb.errors import HubError
from tests.grids import catalog

FREE = catalog(price=0)


@pytest.fixture(scope="module")
def local(_module_processes: None) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_a_client_from_before_is_the_default_again(local: Client) -> None:
    grid = gridnb.Grid(FREE, account="before")
    with Client(local.cluster) as newer:  # the newest client is Dask's default
        assert default_client() is newer
        with grid as entered:
            assert entered is grid
            assert default_client() is get_client() is Client.current() is grid.client
            assert in_thread(default_client) is grid.client
        assert default_client() is newer
        assert grid.closed
    assert dask.config.get("scheduler") == "dask.distributed"


def in_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_grids_in_grids(local: Client) -> None:
    with gridnb.Grid(FREE, account="outer") as outer:
        with gridnb.Grid(FREE, account="inner") as inner:
            assert default_client() is inner.client
            with outer.client.as_current():
                assert default_client() is Client.current() is outer.client
        assert default_client() is outer.client
    assert Client.current().status == "running"


def test_after_an_error_and_after_an_early_end(local: Client) -> None:
    before = Client.current()
    with pytest.raises(ZeroDivisionError), gridnb.Grid(FREE, account="error"):
        1 / 0  # noqa: B018 - it is to fail
    assert Client.current() is before
    with gridnb.Grid(FREE, account="early") as grid:
        grid.close()
        assert grid.closed
    assert Client.current() is before
    with pytest.raises(HubError, match="this connection is closed"):
        grid.__enter__()


def test_nothing_is_left_of_it() -> None:
    code = """
import dask, gridnb
from tests.grids import catalog
if __name__ == "__main__":
    with gridnb.Grid(catalog(price=0), account="alone"):
        assert dask.config.get("scheduler") == "dask.distributed"
    print(dask.config.get("scheduler", None), dask.delayed(sum)([1, 2]).compute())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "None 3\n"
