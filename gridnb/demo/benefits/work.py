"""The work: two questions about all flights that left New York in 2013, in many pieces."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from dask.delayed import Delayed

    Array = np.ndarray[Any, Any]

__all__ = ["WAIT", "delays", "interval", "normal_equations", "solve"]

#: Seconds for which a piece of work waits for its data.
WAIT = 0.15

#: What a delay is explained by: each value of them has a column of its own.
_FACTORS = ("carrier", "origin", "hour")
_PARTS = 24


@cache
def delays() -> list[Array]:
    """Return the arrival delays in minutes, an array for each month."""
    from gridnb.demo.data import table

    flights = table("flights", ["month", "arr_delay"]).dropna().astype("int16")
    return [part.to_numpy() for _, part in flights.groupby("month")["arr_delay"]]


def interval(values: Array, draws: int, wait: float = WAIT) -> tuple[float, float, float]:
    """Return a mean and between what it lies with 95 %, by drawing the values anew (bootstrap)."""
    import numpy as np

    time.sleep(wait)
    random = np.random.default_rng(draws)
    means = [random.choice(values, len(values)).mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


@cache
def _halves() -> list[tuple[Array, Array]]:
    """Return 24 parts of the year: the columns in which each flight has a one, and its delay."""
    import numpy as np

    from gridnb.demo.data import table

    flights = table("flights", [*_FACTORS, "arr_delay"]).dropna()
    columns, offset = [], 0
    for name in _FACTORS:
        codes = flights[name].astype("category").cat.codes.to_numpy("int16")
        columns.append(codes + np.int16(offset))
        offset += int(codes.max()) + 1
    ones, late = np.column_stack(columns), flights["arr_delay"].to_numpy("int16")
    parts = zip(np.array_split(ones, _PARTS), np.array_split(late, _PARTS), strict=True)
    return [(part, delay) for part, delay in parts]


def _sums(ones: Array, late: Array, width: int, wait: float) -> tuple[Array, Array]:
    """Return what a part adds to the normal equations of the least squares."""
    import numpy as np

    time.sleep(wait)
    x = np.zeros((len(ones), width))
    x[np.arange(len(ones))[:, None], ones] = 1
    return x.T @ x, x.T @ late.astype(float)


def _add(*parts: tuple[Array, Array]) -> tuple[Array, Array]:
    grams, moments = zip(*parts, strict=True)
    return sum(grams), sum(moments)


def normal_equations(wait: float = WAIT) -> Delayed:
    """Return the graph of a least squares: the sums of 24 parts, added up by fours in a tree."""
    from dask.delayed import delayed

    width = 1 + max(int(ones.max()) for ones, _ in _halves())
    level: list[Delayed] = [delayed(_sums)(ones, late, width, wait) for ones, late in _halves()]
    while len(level) > 1:
        level = [delayed(_add)(*level[n : n + 4]) for n in range(0, len(level), 4)]
    return level[0]


def solve(gram: Array, moment: Array) -> Array:
    """Return how many minutes each airline, airport and hour adds to a delay."""
    import numpy as np

    found: Array = np.linalg.lstsq(gram, moment, rcond=None)[0]
    return found
