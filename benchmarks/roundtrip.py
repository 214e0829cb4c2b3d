"""A trivial warm ``%%grid`` cell in a real kernel: until the notebook has its reply.

Holds, meter, charges and the line under the cell are on. Peers, each in a kernel of
its own that stands beside: a plain cell, ``%%px`` of ipyparallel on one engine and on
two, and ``client.submit(...).result()`` on a LocalCluster.
"""

from __future__ import annotations

import importlib.util
import statistics

from benchmarks._kernels import Kernel, kernel
from benchmarks.harness import Row, in_turn, row

GRID = """
%load_ext gridnb
%grid connect demo --budget "50 GD" --account benchmark
%grid request --sites alpha --cores 2
"""
PX = """
import ipyparallel as ipp
cluster = ipp.Cluster(n={n})
view = cluster.start_and_connect_sync()
view.activate()
"""
DASK = """
from distributed import Client, LocalCluster
client = Client(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0"))
"""

#: The cell that is timed, by name; each gets a different number, so that nothing is cached.
CELLS = {
    "plain cell": "1 + {}",
    "%%grid": "%%grid\n1 + {}",
    "%%px, 1 engine": "%%px\n1 + {}",
    "%%px, 2 engines": "%%px\n1 + {}",
    "client.submit": "client.submit(lambda: 1 + {}, pure=False).result()",
}


class _Cell:
    """Runs one kind of cell again and again."""

    def __init__(self, kernel: Kernel, name: str, batch: int) -> None:
        self.kernel, self.text, self.batch, self.count = kernel, CELLS[name], batch, 0

    def __call__(self) -> float:
        """Return the median milliseconds of a batch."""
        times = []
        for _ in range(self.batch):
            self.count += 1
            times.append(self.kernel.run(self.text.format(self.count))[1] * 1000)
        return statistics.median(times)


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure batches of all kinds in turn."""
    batch = 20 if quick else 60
    engines = importlib.util.find_spec("ipyparallel") is not None
    with kernel() as plain, kernel() as grid, kernel() as one, kernel() as two, kernel() as dask:
        grid.run(GRID)
        dask.run(DASK)
        cells = {
            "%%grid": _Cell(grid, "%%grid", batch),
            "plain cell": _Cell(plain, "plain cell", batch),
            "client.submit": _Cell(dask, "client.submit", batch),
        }
        if engines:
            one.run(PX.format(n=1))
            two.run(PX.format(n=2))
            cells["%%px, 1 engine"] = _Cell(one, "%%px, 1 engine", batch)
            cells["%%px, 2 engines"] = _Cell(two, "%%px, 2 engines", batch)
        for cell in cells.values():
            cell()
        values = dict(zip(cells, in_turn(repeats, *cells.values()), strict=True))
        grid.run("%grid release")
        for each in (one, two):
            if engines:
                each.run("cluster.stop_cluster_sync()")
    ours = values.pop("%%grid")
    return [row("1 + n", "reply", "ms", ours, theirs, name) for name, theirs in values.items()]
