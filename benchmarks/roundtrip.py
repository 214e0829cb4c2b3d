"""A warm ``%%grid`` cell in a real kernel, against other ways to run it.

From the request to its last output and reply, as a notebook sees it: the cell's
hold, meter and result line are included. The peers of a trivial cell are a plain
cell, a task through the same grid's client, and a ``%%px`` cell on one engine; cells
that stream lines and that display a table and a picture stand beside plain ones.
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


#: Cells that put something out: the same text with and without the magic.
OUTPUT = (
    ("prints 1,000 lines", "for n in range(1000):\n    print(n, 'of a thousand lines')"),
    (
        "displays a table and a picture",
        "import pandas as pd\nfrom IPython.display import Image, display\n"
        "display(pd.DataFrame({'a': range(50), 'b': range(50)}))\n"
        "display(Image(data=b'\\x89PNG' + bytes(30_000), format='png'))",
    ),
)


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure a hundred cells for each repeat, or twenty if quick; each peer in a fresh kernel."""
    cells = repeats * (20 if quick else 100)
    trivial = [_beside(name, before, code, after, cells) for name, before, code, after in PEERS]
    return [*trivial, *_output(max(cells // 5, 10))]


def _output(cells: int) -> list[Row]:
    with kernel() as warm:
        warm.run(SETUP)
        try:
            warm.run("%%grid\nx + 1")
            return [
                _compare(warm, f"%%grid\n{code}", code, name, "plain cell", cells)
                for name, code in OUTPUT
            ]
        finally:
            warm.run("%grid close")


def _beside(name: str, before: str, code: str, after: str, cells: int) -> Row:
    with kernel() as warm:
        warm.run(SETUP)
        try:
            warm.run("%%grid\nx + 1")
            warm.run(before)
            found = _compare(warm, "%%grid\nx + 1", code, "trivial warm %%grid cell", name, cells)
            warm.run(after)
            return found
        finally:
            warm.run("%grid close")


def _compare(warm: Kernel, ours: str, theirs: str, case: str, peer: str, cells: int) -> Row:
    def timed(text: str) -> Callable[[], float]:
        return lambda: warm.run(text)[1] * 1000

    mine, other = timed(ours), timed(theirs)
    for _ in range(5):
        mine()
        other()
    return row(case, "reply", "ms", *in_turn(cells, mine, other), peer)
