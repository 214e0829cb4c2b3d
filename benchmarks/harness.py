"""Measure gridnb and a peer in turn, and say it as a table or as one JSON object."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import psutil
from rich.console import Console
from rich.table import Table

T = TypeVar("T")

_WIDTH = 120  # of a table that goes to a file

#: Measures once, and returns what it found in the row's unit.
Measure = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """The medians of one comparison; what `metric` and `unit` mean is the same for both.

    `gridnb_all` and `peer_all` are what the medians are of, in the order of measuring.
    """

    case: str
    metric: str
    unit: str
    gridnb: float
    peer: float
    peer_name: str
    ratio: float
    repeats: int
    gridnb_all: tuple[float, ...] = field(default=(), repr=False)
    peer_all: tuple[float, ...] = field(default=(), repr=False)


def row(
    case: str,
    metric: str,
    unit: str,
    gridnb: Sequence[float],
    peer: Sequence[float],
    peer_name: str,
) -> Row:
    """Return the row of values that have been measured in turn; `ratio` is gridnb / peer."""
    ours, theirs = statistics.median(gridnb), statistics.median(peer)
    return Row(
        case=case,
        metric=metric,
        unit=unit,
        gridnb=ours,
        peer=theirs,
        peer_name=peer_name,
        ratio=_ratio(ours, theirs),
        repeats=len(gridnb),
        gridnb_all=tuple(gridnb),
        peer_all=tuple(peer),
    )


def _ratio(ours: float, theirs: float) -> float:
    """Return ours / theirs; nothing beside nothing is the same."""
    if theirs:
        return ours / theirs
    return math.inf if ours else 1.0


def in_turn(repeats: int, *measures: Callable[[], T]) -> tuple[list[T], ...]:
    """Call each measure `repeats` times, A B then B A: a drift of the machine hits all alike."""
    found: tuple[list[T], ...] = tuple([] for _ in measures)
    for turn in range(repeats):
        pairs = list(zip(measures, found, strict=True))
        for measure, values in pairs if turn % 2 == 0 else reversed(pairs):
            values.append(measure())
    return found


def compare(
    case: str,
    metric: str,
    unit: str,
    *,
    gridnb: Measure,
    peer: Measure,
    peer_name: str,
    repeats: int,
) -> Row:
    """Measure both in turn, `repeats` times each."""
    ours, theirs = in_turn(repeats, gridnb, peer)
    return row(case, metric, unit, ours, theirs, peer_name)


def machine() -> dict[str, object]:
    """Return what the figures depend on; nothing that names the machine or its user."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def as_json(name: str, rows: Sequence[Row]) -> str:
    """Return one object in one line."""
    found = [
        {key: _short(value) for key, value in asdict(each).items() if not key.endswith("_all")}
        for each in rows
    ]
    return json.dumps({"benchmark": name, "machine": machine(), "rows": found})


def _short(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None  # JSON has no infinity


def show(name: str, title: str, rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    table = Table(title=f"{name}: {title}", title_justify="left")
    table.add_column("case", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for heading in ("gridnb", "peer", "ratio", "repeats"):
        table.add_column(heading, justify="right")
    table.add_column("peer is", overflow="fold")
    for each in rows:
        table.add_row(
            each.case,
            f"{each.metric}, {each.unit}",
            _with_spread(each.gridnb, each.gridnb_all),
            _with_spread(each.peer, each.peer_all),
            f"{each.ratio:.3g}",
            str(each.repeats),
            each.peer_name,
        )
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(table)
    about = machine()
    console.print(f"medians (lowest – highest); {', '.join(f'{k} {v}' for k, v in about.items())}")


def _with_spread(median: float, values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{median:.4g}"
    return f"{median:.4g} ({min(values):.3g} – {max(values):.3g})"
