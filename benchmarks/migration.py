"""Moving a site's work to another one, under load, and what else one could do.

Two sites with a link of 20 MB/s between them; the first holds results and works on a graph. gridnb
migrates it. The peers are Dask's own `retire_workers` after workers at the other site have come,
and stopping: the first site's workers are released and the same is computed again at the other.
What had finished may not be computed again by a migration, and no answer may be wrong: that is
checked, not measured.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gridnb
from benchmarks._faults import note
from benchmarks.harness import Row, in_turn, row
from gridnb.catalog import Catalog

BLOCKS, TASKS, SECONDS = 24, 48, 0.1
SIZE = 250_000  # bytes of a block
PATIENCE = 120.0


@dataclass(frozen=True)
class Found:
    """What one way took: seconds until the site was empty and until the answer, bytes, reruns."""

    empty: float
    answer: float
    nbytes: float
    again: float


def run(repeats: int, quick: bool) -> list[Row]:
    """Migrate and do without, in turn."""
    times = 1 if quick else max(1, repeats // 3)
    ours, retired, stopped = in_turn(
        times, lambda: trial(migrate), lambda: trial(retire), lambda: trial(stop)
    )
    if wrong := [each for each in ours if each.again]:
        raise AssertionError(f"a migration has computed again what had finished: {wrong}")
    rows = []
    for peer, found in (("retire_workers", retired), ("stop and run again", stopped)):
        rows += [
            row("under load", "site empty", "s", *_both(ours, found, "empty"), peer),
            row("under load", "answer", "s", *_both(ours, found, "answer"), peer),
            row("under load", "between sites", "MB", *_both(ours, found, "nbytes"), peer),
            row("under load", "finished, run again", "tasks", *_both(ours, found, "again"), peer),
        ]
    return rows


def _both(ours: list[Found], theirs: list[Found], name: str) -> tuple[list[float], list[float]]:
    return [getattr(each, name) for each in ours], [getattr(each, name) for each in theirs]


def catalog() -> Catalog:
    """Two sites of two workers, and a link of 20 MB/s."""
    sites = [
        {
            "name": name,
            "provider": "simulated",
            "owner": name,
            "region": name,
            "rate_card": {"core_hour": "3.6"},
            "term": "60s",
            "offers": [{"name": "core", "cores": 1, "memory": "1 GiB", "count": 2}],
        }
        for name in ("one", "two")
    ]
    link = {"latency": "5ms", "bandwidth": "20 MB/s"}
    return Catalog.of({"name": "migration", "sites": sites, "default_link": link})


# the ways


def migrate(grid: gridnb.Grid) -> None:
    """As gridnb does it."""
    grid.migrate("one", "two").wait(timeout=PATIENCE)


def retire(grid: gridnb.Grid) -> None:
    """New workers, then Dask's own call for the old ones."""
    client: Any = grid.client
    grid.scale({"two": 2})
    client.wait_for_workers(4, timeout=PATIENCE)
    client.retire_workers(names=["one-1", "one-2"], close_workers=True)
    _until_empty(grid)


def stop(grid: gridnb.Grid) -> None:
    """End the old workers; Dask computes again at new ones what is gone."""
    grid.scale({"two": 2})
    grid.client.wait_for_workers(4, timeout=PATIENCE)
    lease = next(each["id"] for each in grid.status()["leases"])
    grid.release(lease)
    _until_empty(grid)


def _until_empty(grid: gridnb.Grid) -> None:
    until = time.monotonic() + PATIENCE
    while any(worker["site"] == "one" for worker in grid.status()["workers"]):
        if time.monotonic() > until:
            raise TimeoutError(f"site one still has workers after {PATIENCE:g} s")
        time.sleep(0.05)


# the work


def _block(number: int, log: str) -> bytes:
    note(log, f"block {number}")
    time.sleep(0.05)
    return bytes([number]) * SIZE


def _use(number: int, block: bytes, log: str) -> int:
    time.sleep(SECONDS)
    note(log, f"task {number}")
    return number * block[0]


RIGHT = sum(number * (number % BLOCKS) for number in range(TASKS))


def trial(way: Callable[[gridnb.Grid], None]) -> Found:
    """Run the work once; a quarter of its tasks are done when the site is to be left."""
    with tempfile.TemporaryDirectory() as directory:
        log = str(Path(directory) / "log")
        account = f"benchmark migration {uuid.uuid4().hex[:6]}"
        with gridnb.Grid(catalog(), "10 GD", account) as grid:
            client: Any = grid.client
            grid.request(workers=2, sites="one").wait(timeout=PATIENCE)
            blocks = client.map(_block, range(BLOCKS), log=log, pure=False)
            client.gather(blocks)
            spread = [blocks[number % BLOCKS] for number in range(TASKS)]
            tasks = client.map(_use, range(TASKS), spread, log=log, pure=False)
            total = client.submit(sum, tasks)
            while sum(task.done() for task in tasks) < TASKS / 4:
                time.sleep(0.02)
            finished = _lines(log)
            began = time.monotonic()
            way(grid)
            empty = time.monotonic() - began
            right = total.result(timeout=PATIENCE) == RIGHT
            answer = time.monotonic() - began
            held = [bytes(each[:1])[0] for each in client.gather(blocks)]
            links = grid.status()["links"]
        after = _lines(log)
    if not right or held != list(range(BLOCKS)):
        raise AssertionError(f"a wrong answer after {way.__name__}")
    again = sum(after[line] - 1 for line in finished)
    crossed = sum(link["bytes"] for link in links) / 1e6
    return Found(empty, answer, crossed, float(again))


def _lines(log: str) -> Counter[str]:
    return Counter(Path(log).read_text().splitlines())
