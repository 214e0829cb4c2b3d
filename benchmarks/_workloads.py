"""Work as users of Dask write it, for measuring where it runs and what crosses between sites.

What tasks take is mostly sleep, so that a machine of few cores can play many workers.
Each call of :attr:`Workload.build` makes the collection anew; its result is small.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask import delayed

from benchmarks import _placement, _tables

SITES = 3


@dataclass(frozen=True)
class Workload:
    """One case.

    Attributes
    ----------
    build
        Makes the collection, from what is held at the sites (see `tables`).
    tables
        Whether it reads the tables of TPC-H, which are put to the sites first.
    best
        Returns the bytes that the best possible placement moves, over three equal sites.
    quick
        Whether it is in a quick run.
    narrow
        Whether it is measured on the slow links, too.
    """

    name: str
    build: Callable[[Any], Any]
    tables: bool = False
    best: Callable[[], int] | None = None
    quick: bool = False
    narrow: bool = False


def _slow(block: Any, seconds: float) -> Any:
    time.sleep(seconds)
    return block


def _random(shape: tuple[int, ...], chunks: Any, seconds: float) -> Any:
    """An array that takes a time a block to make, as one that is read does."""
    made = da.random.default_rng(1).random(shape, chunks=chunks)
    return made.map_blocks(_slow, seconds, dtype=float)


def reduction(_: Any) -> Any:
    """Map, then a tree of sums: blocks of 2 MB become one."""
    return _random((96, 250_000), (1, 250_000), 0.05).sum(axis=0, split_every=2).mean()


def _best_reduction() -> int:
    # A site that makes blocks and is not the last one has to send at least one sum.
    return (SITES - 1) * 250_000 * 8


def _double(block: Any) -> Any:
    return block * 2


def windows_1d(_: Any) -> Any:
    """Overlapping windows along a line."""
    line = _random((96 * 250_000,), 250_000, 0.05)
    return line.map_overlap(_double, depth=50_000, boundary="none").sum()


def _best_windows_1d() -> int:
    return _placement.line(SITES, 50_000 * 8)


def windows_2d(_: Any) -> Any:
    """Overlapping windows in a plane of 10 × 10 blocks."""
    plane = _random((5000, 5000), 500, 0.05)
    return plane.map_overlap(_double, depth=100, boundary="none").sum()


def _best_windows_2d() -> int:
    return _placement.plane(10, SITES, side=100 * 500 * 8, corner=100 * 100 * 8)


def _begin(number: int) -> Any:
    time.sleep(0.02)
    return np.full(125_000, float(number))


def _step(left: Any, own: Any, right: Any) -> Any:
    time.sleep(0.02)
    return (left + own + right) / 3


def _total(values: list[Any]) -> float:
    return float(sum(np.sum(value) for value in values))


def stencil(_: Any, cells: int = 24, steps: int = 20) -> Any:
    """A line of cells; each step needs both neighbours' last values of 1 MB."""
    begin, step, sums = delayed(_begin), delayed(_step), delayed(np.sum)
    now = [begin(n) for n in range(cells)]
    for _step_number in range(steps):
        last = cells - 1
        now = [step(now[max(n - 1, 0)], now[n], now[min(n + 1, last)]) for n in range(cells)]
    return delayed(_total)([sums(each) for each in now])


def _best_stencil() -> int:
    return 20 * _placement.line(SITES, 125_000 * 8)


def _frame(number: int, rows: int, groups: int) -> pd.DataFrame:
    time.sleep(0.05)
    random = np.random.default_rng(number)
    values = {name: random.random(rows) for name in ("v", "w")}
    return pd.DataFrame({"k": random.integers(0, groups, rows), **values})


def _other_frame(number: int, rows: int, groups: int) -> pd.DataFrame:
    return _frame(1000 + number, rows, groups).rename(columns={"v": "v2", "w": "w2"})


def groupby(_: Any) -> Any:
    """Group by 20,000 keys, aggregate in a tree."""
    frame = dd.from_map(_frame, list(range(60)), rows=60_000, groups=20_000)
    return frame.groupby("k").agg({"v": "sum", "w": "mean"}, split_every=4, split_out=1).v.sum()


def join(_: Any) -> Any:
    """Join two tables on a key, by a shuffle of both."""
    sizes = {"rows": 80_000, "groups": 1_000_000}
    left = dd.from_map(_frame, list(range(30)), **sizes)
    right = dd.from_map(_other_frame, list(range(30)), **sizes)
    return left.merge(right, on="k").v.sum()


def matmul(_: Any) -> Any:
    """An array times its transpose, in 6 × 6 blocks."""
    x = _random((3000, 3000), 500, 0.03)
    return (x @ x.T).sum()


def transpose(_: Any) -> Any:
    """An array plus its transpose, in 10 × 10 blocks."""
    x = _random((5000, 5000), 500, 0.05)
    return (x + x.T).sum()


def anomaly(_: Any) -> Any:
    """Deviations from a mean over all blocks: a reduction, then a broadcast."""
    x = _random((72, 250_000), (1, 250_000), 0.05)
    return ((x - x.mean(axis=0)) ** 2).sum()


def _load(number: int) -> Any:
    time.sleep(0.05)
    return np.random.default_rng(number).random(500_000)


def _use(value: Any, seconds: float) -> float:
    time.sleep(seconds)
    return float(value.sum())


def independent(_: Any) -> Any:
    """Ninety inputs of 4 MB, each with work of its own: nothing has to move."""
    load, use = delayed(_load), delayed(_use)
    return delayed(sum)([use(load(n), 0.1) for n in range(90)])


def _uneven(block: Any, block_info: Any = None) -> Any:
    number = block_info[0]["chunk-location"][0]
    time.sleep(0.25 if number < 32 else 0.03)
    return block


def skewed(_: Any) -> Any:
    """A reduction in which a third of the blocks takes eight times as long."""
    x = da.random.default_rng(1).random((96, 250_000), chunks=(1, 250_000))
    return x.map_blocks(_uneven, dtype=float).sum(axis=0, split_every=4).mean()


def _large() -> Any:
    return np.arange(2_000_000, dtype=float)


def _pick(large: Any, number: int) -> float:
    time.sleep(0.1)
    return float(large[number])


def broadcast(_: Any) -> Any:
    """One object of 16 MB that sixty tasks need."""
    large, pick = delayed(_large)(), delayed(_pick)
    return delayed(sum)([pick(large, n) for n in range(60)])


def _twice(value: Any) -> Any:
    time.sleep(0.05)
    return value * 2


def four(_: Any) -> Any:
    """Four tasks in all but their inputs: fewer than there are workers."""
    load, twice = delayed(_load), delayed(_twice)
    return delayed(_total)([twice(load(n)) for n in range(4)])


WORKLOADS = (
    Workload("map + tree reduction", reduction, best=_best_reduction, quick=True, narrow=True),
    Workload("windows, 1-d", windows_1d, best=_best_windows_1d, narrow=True),
    Workload("windows, 2-d", windows_2d, best=_best_windows_2d, narrow=True),
    Workload("stencil, 20 steps", stencil, best=_best_stencil, quick=True, narrow=True),
    Workload("groupby-aggregate", groupby),
    Workload("join by shuffle", join, narrow=True),
    Workload("x @ x.T", matmul),
    Workload("x + x.T", transpose),
    Workload("anomaly", anomaly),
    Workload("TPC-H q1", _tables.q1, tables=True),
    Workload("TPC-H q3", _tables.q3, tables=True),
    Workload("TPC-H q5", _tables.q5, tables=True),
    Workload("independent inputs", independent),
    Workload("skewed durations", skewed),
    Workload("a broadcast", broadcast, quick=True),
    Workload("four tasks", four),
)
