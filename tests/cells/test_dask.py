"""Dask work in a cell uses the whole grid and is tagged with its run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from gridnb.cells.call import CellConnection, Run
from tests.cells.notes import Notebook
from tests.cells.site import Sink, cell_process


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        yield cluster


@pytest.fixture
def connection(cluster: Any, tmp_path: Path) -> Iterator[CellConnection]:
    with cell_process(tmp_path, scheduler=cluster.scheduler_address) as site:
        yield site.connect()


BODY = """
from distributed import get_client
import dask

@dask.delayed
def double(x):
    return 2 * x

future = get_client().submit(lambda x: x + offset, 1, key="mine")
total = sum(dask.compute(*[double(i) for i in range(5)]))
future.result(), total
"""


def test_first_run_waits_for_the_client_and_its_tasks_are_tagged(
    cluster: Any, connection: CellConnection
) -> None:
    tags: dict[str, Any] = {}

    class Plugin:
        def update_graph(self, scheduler: Any, **named: Any) -> None:
            for key, task in scheduler.tasks.items():
                tags[str(key)] = task.annotations

    cluster.scheduler.plugins["seen"] = Plugin()
    outcome = connection.run(Run("run-9", BODY, {"offset": 10}), sink=Sink())
    del cluster.scheduler.plugins["seen"]
    assert outcome.error is None, outcome.rendered
    assert outcome.value == (11, 20)
    assert len(tags) == 6
    assert all(found and found["gridnb_run"] == "run-9" for found in tags.values())


HIDDEN = """
module = __import__("distri" + "buted")
getattr(module.client, "default_" + "client")().submit(abs, -3).result()
"""


def test_first_run_waits_for_the_client_though_it_does_not_name_dask(
    connection: CellConnection,
) -> None:
    outcome = connection.run(Run("run-1", HIDDEN, {}), sink=Sink())
    assert outcome.error is None, outcome.rendered
    assert outcome.value == 3


@pytest.fixture
def notebook(cluster: Any, connection: CellConnection) -> Iterator[Notebook]:
    """Cells of a notebook that has a client of its own."""
    with Client(cluster, set_as_default=True):
        yield Notebook(connection)


def test_futures_and_persisted_collections_travel_both_ways(notebook: Notebook) -> None:
    body = (
        "import dask.array as da\nfrom distributed import get_client\n"
        "future = get_client().submit(abs, -5)\nx = da.ones(10, chunks=5).persist()"
    )
    outcome = notebook.grid(body)
    assert outcome.error is None, outcome.rendered
    notebook.grid("1")
    notebook.grid("2")
    assert notebook.names["future"].result(20) == 5
    assert notebook.names["x"].sum().compute() == 10
    outcome = notebook.grid("future.result() + x.sum().compute()")
    assert outcome.value == 15
    assert outcome.rebound == []


def test_collection_is_rebound_only_when_it_stands_for_something_else(notebook: Notebook) -> None:
    frame = dd.from_pandas(pd.DataFrame({"a": range(10)}), npartitions=2)
    notebook.names["frame"] = frame
    outcome = notebook.grid("int(frame.a.sum().compute())")
    assert outcome.value == 45
    assert notebook.names["frame"] is frame
    assert outcome.rebound == []
    assert notebook.grid("frame['b'] = frame.a * 2").rebound == ["frame"]
    assert notebook.names["frame"].b.sum().compute() == 90


def test_interrupt_cancels_the_dask_work(cluster: Any, connection: CellConnection) -> None:
    body = """
from distributed import get_client
import time
futures = get_client().map(time.sleep, [5 + i / 100 for i in range(20)], pure=False)
print("on", flush=True)
[f.result() for f in futures]
"""

    class Pressing(Sink):
        def stream(self, name: str, text: str) -> None:
            threading.Timer(0.1, connection.interrupt).start()

    outcome = connection.run(Run("run-10", body, {}), sink=Pressing())
    assert outcome.error_name == "KeyboardInterrupt"
    deadline = time.monotonic() + 10
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cluster.scheduler.tasks


def interrupted(connection: CellConnection, body: str) -> Any:
    class Pressing(Sink):
        def stream(self, name: str, text: str) -> None:
            threading.Timer(0.1, connection.interrupt).start()

    return connection.run(Run("run-11", body, {}), sink=Pressing())


TASKS = """
from distributed import get_client
import time
futures = get_client().map({work}, range(2), pure=False)
while not any(get_client().processing().values()):
    time.sleep(0.02)
time.sleep(0.3)
print("on", flush=True)
[f.result() for f in futures]
"""


def test_interrupt_ends_python_code_in_tasks(cluster: Any, connection: CellConnection) -> None:
    work = "lambda n: [time.sleep(0.01) for _ in range(6000)]"
    outcome = interrupted(connection, TASKS.format(work=work))
    assert outcome.error_name == "KeyboardInterrupt"
    assert outcome.told == []
    # The worker's threads are free: something else is computed at once, not in a minute.
    body = "from distributed import get_client\nget_client().submit(abs, -4).result(20)"
    assert connection.run(Run("run-12", body, {}), sink=Sink()).value == 4


def test_interrupt_names_tasks_in_c_code(connection: CellConnection) -> None:
    outcome = interrupted(connection, TASKS.format(work="time.sleep").replace("range(2)", "[4, 5]"))
    assert outcome.error_name == "KeyboardInterrupt"
    assert len(outcome.told) == 1
    assert "cannot be interrupted: sleep on" in outcome.told[0]


def test_scheduler_that_cannot_be_reached(tmp_path: Path) -> None:
    # Nobody listens on this port of the loopback interface.
    with cell_process(
        tmp_path,
        scheduler="tcp://127.0.0.1:9",
        env={"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
    ) as site:
        connection = site.connect()
        assert connection.run(Run("r", "1", {}), sink=Sink()).value == 1
        with pytest.raises(
            Exception, match="Dask scheduler at tcp://127.0.0.1:9 cannot be reached"
        ):
            connection.run(Run("r", "import dask", {}), sink=Sink())
