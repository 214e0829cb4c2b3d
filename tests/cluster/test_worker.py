"""A worker is as fast as its site, and says what its slots were used for."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from gridnb.cluster import usage
from gridnb.cluster.usage import RUN, UsageMeter
from gridnb.cluster.worker import SiteThreadPoolExecutor


def test_a_slow_site_holds_its_threads(monkeypatch) -> None:
    slept: list[float] = []
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(
        "gridnb.cluster.worker.time",
        SimpleNamespace(perf_counter=lambda: next(clock), sleep=slept.append),
    )
    with SiteThreadPoolExecutor(1, 0.5) as pool:
        assert pool.submit(threading.current_thread).result() is not threading.main_thread()
    assert slept == [2.0]


def test_the_meter_counts_slots(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(usage, "clock", lambda: now[0])
    tasks = {key: SimpleNamespace(annotations={RUN: run}) for key, run in (("x", "r"), ("y", "s"))}
    tasks["z"] = SimpleNamespace(annotations=None)
    worker = SimpleNamespace(state=SimpleNamespace(tasks=tasks), data={}, handlers={})
    meter = UsageMeter(worker)

    def at(time: float, key: str, start: str, finish: str) -> None:
        now[0] = time
        meter.transition(key, start, finish)

    at(101, "x", "ready", "executing")
    at(102, "y", "ready", "executing")
    at(104, "x", "executing", "memory")
    worker.data["x"] = 1
    now[0] = 105
    sample = meter.heartbeat()
    assert sample["used"] == {"r": 3.0, "s": 3.0}
    assert sample["running"] == {"s": 1}
    assert sample["kept"] == 0.0
    at(106, "y", "executing", "error")
    at(110, "z", "ready", "executing")
    at(111, "z", "executing", "released")
    sample = meter.heartbeat()
    assert sample["used"] == {"r": 3.0, "s": 4.0, "": 1.0}
    assert sample["kept"] == 4.0
    assert sample["keeping"]
