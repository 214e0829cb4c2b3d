"""Scheduling: what a task costs the scheduler itself, from 100 to 10,000 workers over 100 sites.

The schedulers are real, their workers are simulated (:mod:`benchmarks._simulated`): what is
counted is CPU time in the scheduler, for taking a graph and for each task that ends. The peer
is Dask's scheduler with the same workers and the same graph, in the same run.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
from distributed import Scheduler

from benchmarks._simulated import Cluster, Model, played
from benchmarks.harness import Row, in_turn, row
from gridnb.cluster.scheduler import GridScheduler

SITES = 100
#: Workers, and chunks of the array; each chunk is a task, and more follow from it.
SIZES = ((100, 4_000), (1_000, 8_000), (10_000, 20_000))
QUICK = ((100, 1_500), (1_000, 3_000), (10_000, 5_000))

Found = dict[str, float]


def _same(x: Any) -> Any:
    return x


def _tree(chunks: int) -> Any:
    x = da.ones(chunks, chunks=1).map_blocks(_same, dtype=float)
    return x.sum(split_every=4)


def _windows(chunks: int) -> Any:
    x = da.ones(chunks, chunks=1).map_blocks(_same, dtype=float)
    x = x.map_overlap(_same, depth=1, boundary="none", trim=False, dtype=float)
    return x.sum(split_every=4)


GRAPHS: dict[str, Callable[[int], Any]] = {"tree": _tree, "windows": _windows}


def run(repeats: int, quick: bool) -> list[Row]:
    """Play each graph at each size; if quick, smaller graphs, once."""
    logging.getLogger("distributed.scheduler").setLevel(logging.ERROR)
    rows = []
    for name, graph in GRAPHS.items():
        for workers, chunks in QUICK if quick else SIZES:
            rows += _rows(name, graph, workers, chunks, 1 if quick else min(repeats, 3))
    return rows


def _rows(
    name: str, graph: Callable[[int], Any], workers: int, chunks: int, repeats: int
) -> list[Row]:
    chunks = chunks // 3 if name == "windows" else chunks  # as many tasks as the tree
    ours, theirs = in_turn(
        repeats,
        lambda: _measure(GridScheduler, graph(chunks), workers),
        lambda: _measure(Scheduler, graph(chunks), workers),
    )
    case = f"{name}, {workers:,} workers"
    return [
        row(case, metric, "us", _all(ours, metric), _all(theirs, metric), "Dask's scheduler")
        for metric in ("cost of a task", "of that, on arrival")
    ]


def _all(found: list[Found], metric: str) -> list[float]:
    return [each[metric] for each in found]


def _measure(kind: Callable[..., Scheduler], graph: Any, workers: int) -> Found:
    """Return microseconds of CPU a task."""

    def work() -> Found:
        cluster = Cluster(kind, Model())
        order = list(range(workers))
        cluster.random.shuffle(order)  # as they would come, not site by site
        for n in order:
            cluster.join(f"s{n % SITES}-{n}", 2)
        gc.collect()
        gc.disable()
        try:
            cluster.spent = 0.0
            wanted = cluster.submit([graph])
            arrival = cluster.spent
            cluster.run(wanted)
        finally:
            gc.enable()
        tasks = len(cluster.ran)
        return {
            "cost of a task": cluster.spent / tasks * 1e6,
            "of that, on arrival": arrival / tasks * 1e6,
        }

    with dask.config.set({"distributed.scheduler.validate": False}):
        found: Found = played(work, stealing=False)
    return found
