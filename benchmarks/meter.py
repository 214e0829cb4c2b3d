"""Paid and used seconds, against records that the meter does not make.

Paid (before a site's rounding): the guards' processes, from their start time in /proc
to the moment they are gone. Used: when slots were held, from the log of transitions
that each Dask worker keeps for itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, row

WORKERS = 2


def _work(seconds: float, kind: str) -> None:
    began = time.monotonic()
    if kind == "busy":
        while time.monotonic() - began < seconds:
            pass
    else:
        time.sleep(seconds)


def idle(client: Any, scale: float) -> None:
    """No work at all."""
    time.sleep(6 * scale)


def busy(client: Any, scale: float) -> None:
    """Two long tasks that never let go of the interpreter."""
    client.gather(client.map(_work, [5 * scale] * 2, kind="busy", pure=False))


def short(client: Any, scale: float) -> None:
    """Many short tasks."""
    client.gather(client.map(_work, [0.03] * int(200 * scale), kind="sleep", pure=False))


def mixed(client: Any, scale: float) -> None:
    """Work on one worker of two, then none."""
    client.gather(client.map(_work, [3 * scale], kind="sleep", pure=False))
    time.sleep(2 * scale)


WORKLOADS: dict[str, Callable[[Any, float], None]] = {
    "idle": idle,
    "busy": busy,
    "many short tasks": short,
    "one of two busy": mixed,
}


def _held(dask_worker: Any) -> float:
    """Return the slot-seconds in a worker's own log: from `executing` to what follows it."""
    since: dict[Any, float] = {}
    total = 0.0
    for entry in dask_worker.state.log:
        if len(entry) < 6 or not isinstance(entry[-1], float):
            continue
        key, start, finish, when = entry[0], entry[1], entry[3], entry[-1]
        if finish == "executing":
            since[key] = when
        elif start == "executing" and key in since:
            total += when - since.pop(key)
    return total


class _Watch(threading.Thread):
    """Notes when processes are gone, on the clock that /proc has their start times on."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.began = {pid: _start(pid) for pid in pids}
        self.ended: dict[int, float] = {}
        self.start()

    def run(self) -> None:
        """Look until all are gone."""
        while len(self.ended) < len(self.began):
            for pid in self.began.keys() - self.ended.keys():
                if not Path(f"/proc/{pid}").exists():
                    self.ended[pid] = time.clock_gettime(time.CLOCK_BOOTTIME)
            time.sleep(0.002)

    def seconds(self) -> float:
        """Return the seconds that they ran, added up."""
        self.join(20)
        return sum(self.ended[pid] - self.began[pid] for pid in self.began)


def _start(pid: int) -> float:
    """Return when a process began, in seconds since boot (to a hundredth)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def once(work: Callable[[Any, float], None], scale: float) -> dict[str, float]:
    """Run a workload on two paid workers; returns what was metered and what others saw."""
    import gridnb
    from gridnb.hub.places import Place
    from gridnb.providers.guard import read_record

    with gridnb.Grid(_catalog(), "100 GD", "benchmark") as grid:
        grid.request(workers=WORKERS).wait()
        records = [read_record(str(p)) for p in Place.of(grid.id).records.glob("here-*.json")]
        pids = [e["pid"] for r in records if r for e in r["events"] if e["event"] == "started"]
        watch = _Watch(pids)
        work(grid.client, scale)
        held = sum(grid.client.run(_held).values())
    bill = grid.bill()
    unrounded = bill[bill.start < bill.end]
    return {
        "paid": float(unrounded.seconds.sum()),
        "paid seen": watch.seconds(),
        "used": float(bill[bill.kind == "used"].seconds.sum()),
        "used seen": held,
    }


def _catalog() -> Any:
    from gridnb import Catalog

    offer = {"name": "core", "cores": 1, "memory": "1 GiB", "count": WORKERS}
    card = {"core_hour": "1"}
    site = {"name": "here", "provider": "local", "rate_card": card, "offers": [offer]}
    return Catalog.of({"name": "metered", "sites": [site]})


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure each workload; `ratio` is metered / seen, wanted within 1 % of 1."""
    scale = 0.3 if quick else 1.0
    found = []
    for name, work in WORKLOADS.items():
        results = [once(work, scale) for _ in range(repeats)]
        for what in ("paid", "used"):
            seen = [result[f"{what} seen"] for result in results]
            if all(seen):
                metered = [result[what] for result in results]
                peer = "/proc" if what == "paid" else "the workers' own log"
                found.append(row(name, what, "s", metered, seen, peer))
    return found
