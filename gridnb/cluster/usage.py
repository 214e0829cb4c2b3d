"""What a worker's slots were used for: counted in the worker, sent with its heartbeat.

A slot is held by a run from the moment one of its tasks begins to execute until
the task leaves it, whatever comes of it. The counts are cumulative, so a lost
or repeated heartbeat changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from gridnb.cluster.private import Worker
from gridnb.providers.guard import clock

__all__ = ["RUN", "SAMPLE", "UsageMeter"]

#: The annotation that names the run a task belongs to.
RUN = "gridnb_run"
#: The call by which a hub asks for a sample, and the message with a worker's last one.
SAMPLE = "gridnb-sample"


class UsageMeter(WorkerPlugin):
    """Worker plugin and heartbeat extension in one: slot-seconds by run, and time data was kept."""

    name = "gridnb-usage"

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.used: dict[str, float] = defaultdict(float)
        self.executing: dict[Any, tuple[str, float]] = {}
        self.born = clock()
        self.kept = 0.0
        self._kept_at: float | None = None

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Note when a task takes a slot, and when it leaves it."""
        if finish == "executing":
            task = self.worker.state.tasks[key]
            run = (task.annotations or {}).get(RUN, "")
            self.executing[key] = (run, clock())
            self._settle_kept()
        elif key in self.executing:
            run, began = self.executing.pop(key)
            self.used[run] += clock() - began
            self._settle_kept()

    def _settle_kept(self) -> None:
        """Count time without work while data was held."""
        now = clock()
        if self._kept_at is not None:
            self.kept += now - self._kept_at
        keeping = not self.executing and len(self.worker.data) > 0
        self._kept_at = now if keeping else None

    def setup(self, worker: Worker) -> None:
        """Answer a hub that wants to know now."""
        worker.handlers[SAMPLE] = self.heartbeat

    def teardown(self, worker: Worker) -> None:
        """Send a last sample while the worker closes."""
        worker.batched_stream.send({"op": SAMPLE, "sample": self.heartbeat()})

    def heartbeat(self) -> dict[str, Any]:
        """Return the sample: time, slot-seconds and slots by run, seconds kept."""
        self._settle_kept()
        now = clock()
        used = dict(self.used)
        running: dict[str, int] = defaultdict(int)
        for run, began in self.executing.values():
            used[run] = used.get(run, 0.0) + now - began
            running[run] += 1
        keeping = self._kept_at is not None
        return {
            "t": now,
            "used": used,
            "running": dict(running),
            "kept": self.kept,
            "keeping": keeping,
            "born": self.born,
        }
