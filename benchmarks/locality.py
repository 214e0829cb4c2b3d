"""Bytes between sites, time and egress cost of sixteen workloads, beside Dask's own scheduler.

Three sites of two workers, processes on this machine, each ordered pair of sites with a
modelled link of 25 MB/s and 20 ms; those that move most also on 5 MB/s. Peers: Dask as it
comes, and with ``worker-saturation: inf``, on the same workers and links; all have to give
the same result. Where it can be said, bytes are also set beside those of the best possible
placement (see `benchmarks._placement`), which shares the work equally among the sites.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _sites, _tables
from benchmarks._workloads import SITES, WORKLOADS, Workload
from benchmarks.harness import Row, row

WORKERS = 2
LATENCY = "20ms"
WIDE, NARROW = "25 MB/s", "5 MB/s"
KINDS = (_sites.GRIDNB, _sites.PLAIN, _sites.INF)
MOST = 3  # repeats: each is sixteen workloads three times over
_PATIENCE = 180.0  # seconds for a workload


@dataclass(frozen=True)
class Measured:
    """One run of a workload: bytes between sites, their cost in GD, seconds, and the result."""

    bytes: int
    cost: float
    seconds: float
    result: Any


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure each workload in turn on all schedulers; a quick run has three, once."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    _sites.quiet()
    chosen = [each for each in WORKLOADS if each.quick or not quick]
    repeats = 1 if quick else min(repeats, MOST)
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gridnb-tables-") as directory:
        files = _tables.make(Path(directory)) if any(each.tables for each in chosen) else {}
        for bandwidth in (WIDE,) if quick else (WIDE, NARROW):
            for each in chosen:
                if bandwidth == WIDE or each.narrow:
                    found += _rows(each, bandwidth, files, repeats)
    return found


def _rows(
    work: Workload, bandwidth: str, files: Mapping[str, Sequence[str]], repeats: int
) -> list[Row]:
    runs: dict[str, list[Measured]] = {kind.name: [] for kind in KINDS}
    for repeat in range(repeats):
        turn = KINDS if repeat % 2 == 0 else KINDS[::-1]
        for kind in turn:
            runs[kind.name].append(_measure(work, kind, bandwidth, files, repeat))
    _same(work, [each for some in runs.values() for each in some])
    case = work.name if bandwidth == WIDE else f"{work.name}, {bandwidth}"
    if work.tables and _tables.made_by() != "tpchgen-cli":
        case += " (tables made with numpy)"
    ours = runs[_sites.GRIDNB.name]
    found = []
    for metric, unit, field, scale in (
        ("between sites", "MB", "bytes", 1e-6),
        ("makespan", "s", "seconds", 1.0),
        ("egress", "mGD", "cost", 1e3),
    ):
        mine = [getattr(each, field) * scale for each in ours]
        for peer in KINDS[1:]:
            theirs = [getattr(each, field) * scale for each in runs[peer.name]]
            found.append(row(case, metric, unit, mine, theirs, peer.name))
        if field == "bytes" and work.best is not None:
            best = [work.best() * scale] * len(mine)
            found.append(row(case, metric, unit, mine, best, "the best possible placement"))
    return found


def _measure(
    work: Workload,
    kind: _sites.Kind,
    bandwidth: str,
    files: Mapping[str, Sequence[str]],
    seed: int,
) -> Measured:
    known = _sites.catalog(SITES, WORKERS, bandwidth=bandwidth, latency=LATENCY)
    with _sites.cluster(kind, known, seed) as up, up.client.as_current():
        tables = _tables.put(up.client, files, up.sites) if work.tables else None
        collection = work.build(tables)
        moved, cost = up.traffic()
        began = time.monotonic()
        result = up.client.compute(collection).result(timeout=_PATIENCE)
        seconds = time.monotonic() - began
        now, paid = up.traffic()
        return Measured(now - moved, paid - cost, seconds, result)


def _same(work: Workload, runs: Sequence[Measured]) -> None:
    """Fail if the schedulers did not find the same."""
    first = np.asarray(runs[0].result, dtype=float)
    for each in runs[1:]:
        np.testing.assert_allclose(
            np.asarray(each.result, dtype=float), first, rtol=1e-9, err_msg=work.name
        )
