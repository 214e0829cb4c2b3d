"""From a fresh process, imports included, to a first result on two local workers.

Against ``LocalCluster(n_workers=2, threads_per_worker=1)`` with its client. Both
processes print a line when they have the result; what follows (closing) is not timed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import Row, compare

OURS = """
import gridnb
grid = gridnb.Grid("here")
grid.request(workers=2)
print(grid.client.submit(sum, [1, 2]).result(), flush=True)
grid.close()
"""

THEIRS = """
from distributed import Client, LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1)
    client = Client(cluster)
    print(client.submit(sum, [1, 2]).result(), flush=True)
    client.close()
    cluster.close()
"""


def first_result(code: str) -> float:
    """Return the seconds until a fresh process that runs `code` prints its first line."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(code)
        script.flush()
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, script.name], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            took = time.perf_counter() - began
        if line != "3\n" or process.returncode:
            raise RuntimeError(f"the measured process failed (exit code {process.returncode})")
    return took


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure; the first run of each fills caches and does not count."""
    first_result(OURS)
    first_result(THEIRS)
    return [
        compare(
            "2 local workers",
            "first result",
            "s",
            gridnb=lambda: first_result(OURS),
            peer=lambda: first_result(THEIRS),
            peer_name="LocalCluster",
            repeats=repeats,
        )
    ]
