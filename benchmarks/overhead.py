"""What metering, holds and guards cost: the throughput of work, against plain Dask.

The peer is ``LocalCluster`` with as many worker processes of one thread and with TLS,
as gridnb has it; and without TLS, as Dask comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.harness import Row, in_turn, row

WORKERS = 2


@contextmanager
def grid_client() -> Iterator[Any]:
    """A client of a grid of two free local workers."""
    import gridnb

    with gridnb.Grid("here") as grid:
        grid.request(workers=WORKERS).wait()
        yield grid.client


@contextmanager
def local_client(*, tls: bool) -> Iterator[Any]:
    """A client of a LocalCluster of the same shape."""
    from distributed import Client, LocalCluster
    from distributed.security import Security

    options: dict[str, Any] = {"security": Security.temporary()} if tls else {}
    if tls:
        options["protocol"] = "tls://"
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", **options
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def small_tasks(client: Any, count: int) -> float:
    """Return tasks a second of `count` small tasks."""

    def increment(x: int) -> int:
        return x + 1

    began = time.perf_counter()
    client.gather(client.map(increment, range(count), pure=False))
    return count / (time.perf_counter() - began)


def frames(client: Any, rows: int) -> float:
    """Return million rows a second of a DataFrame's group-by with a join."""
    import dask.dataframe as dd

    def make(i: int) -> Any:
        import numpy as np
        import pandas as pd

        draw = np.random.default_rng(i)
        return pd.DataFrame({"k": draw.integers(0, 100, rows), "v": draw.random(rows)})

    parts = 40
    frame = dd.from_map(make, list(range(parts)))
    means = frame.groupby("k").v.mean().rename("mean").reset_index()
    joined = frame.merge(means, on="k")
    query = (joined.v - joined["mean"]).abs().sum()
    began = time.perf_counter()
    client.compute(query).result()
    return parts * rows / (time.perf_counter() - began) / 1e6


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure all clusters at once, one working at a time, after a warm-up of each."""
    count, rows = (2_000, 20_000) if quick else (20_000, 200_000)
    found = []
    with (
        grid_client() as ours,
        local_client(tls=True) as tls,
        local_client(tls=False) as plain,
    ):
        clients = (ours, tls, plain)
        for case, unit, measure in (
            (f"{count:,} small tasks", "tasks/s", lambda c: small_tasks(c, count)),
            ("DataFrame join and group-by", "million rows/s", lambda c: frames(c, rows)),
        ):
            for client in clients:
                measure(client)
            values = in_turn(repeats, *(partial(measure, client) for client in clients))
            for name, theirs in (("LocalCluster with TLS", 1), ("LocalCluster", 2)):
                found.append(row(case, "throughput", unit, values[0], values[theirs], name))
    return found
