"""A trivial warm ``%%grid`` cell in a real kernel, against other ways to run it.

From the request to its last output and reply, as a notebook sees it: the cell's
hold, meter and result line are included. The peers are a plain cell, a task
through the same grid's client, and a ``%%px`` cell on one engine.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks._kernels import Kernel, kernel
from benchmarks.harness import Row, in_turn, row

SETUP = """\
%load_ext gridnb
%grid connect demo --budget 1000 GD --account benchmark-roundtrip
%grid request --cores 1 --sites alpha
x = 1
f = lambda value: value + 1
"""
ENGINE = """\
import ipyparallel
engines = ipyparallel.Cluster(n=1, log_level=50).start_and_connect_sync()
engines[:].activate()
engines[:]["x"] = 1
"""


PEERS = (
    ("plain cell", "", "x + 1", ""),
    ("client.submit", "", "grid.client.submit(f, 1, pure=False).result()", ""),
    ("%%px", ENGINE, "%%px\nx + 1", "engines.cluster.stop_cluster_sync()"),
)


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure a hundred cells for each repeat, or twenty if quick; each peer in a fresh kernel."""
    cells = repeats * (20 if quick else 100)
    return [_beside(name, before, code, after, cells) for name, before, code, after in PEERS]


def _beside(name: str, before: str, code: str, after: str, cells: int) -> Row:
    with kernel() as warm:
        warm.run(SETUP)
        try:
            warm.run("%%grid\nx + 1")
            warm.run(before)
            found = _compare(warm, code, name, cells)
            warm.run(after)
            return found
        finally:
            warm.run("%grid close")


def _compare(warm: Kernel, code: str, name: str, cells: int) -> Row:
    def timed(text: str) -> Callable[[], float]:
        return lambda: warm.run(text)[1] * 1000

    ours, theirs = timed("%%grid\nx + 1"), timed(code)
    for _ in range(5):
        ours()
        theirs()
    mine, others = in_turn(cells, ours, theirs)
    return row("trivial warm %%grid cell", "reply", "ms", mine, others, name)
