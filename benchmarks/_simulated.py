"""A cluster of simulated workers: a real scheduler's state machine, on a clock of its own.

No process is started and no task is run. A worker here does what a worker of
Dask says it does: it fetches inputs over the links of its site, runs as many
tasks as it has threads, and tells the scheduler. So a graph that takes minutes
on a hundred sites is played through in less than a second, every time alike.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dask
import dask.order
from dask.base import collections_to_expr
from dask.core import flatten
from distributed import Scheduler
from distributed.core import Status
from distributed.scheduler import ClientState, WorkerState
from distributed.spans import SpanMetadata

LOOK = 0.2  # seconds between a scheduler's looks at its workers
LATENCY = 0.001  # seconds for a message between scheduler and worker


@dataclass
class Model:
    """How long tasks take (seconds at speed 1), how large results are, how fast links are."""

    duration: Callable[[Any], float] = lambda _key: 0.1
    nbytes: Callable[[Any], int] = lambda _key: 1_000_000
    bandwidth: float = 25e6
    latency: float = 0.02


class _Comm:
    """Stands for the stream to a worker."""

    def __init__(self, worker: SimWorker) -> None:
        self.worker = worker

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.worker.cluster.later(LATENCY, self.worker.receive, message)

    def closed(self) -> bool:
        return False

    def abort(self) -> None:
        self.worker.alive = False


@dataclass
class _Task:
    key: Any
    run_id: int
    priority: tuple[float, ...]
    nbytes: dict[Any, int]
    missing: set[Any] = field(default_factory=set)
    running: bool = False


class SimWorker:
    """A worker with its tasks and data."""

    def __init__(self, cluster: Cluster, name: str, nthreads: int, speed: float) -> None:
        self.cluster, self.name, self.nthreads, self.speed = cluster, name, nthreads, speed
        number = next(cluster.numbers)
        self.address = f"tcp://10.{number // 62500}.{number // 250 % 250}.{number % 250}:1234"
        self.site = name.rpartition("-")[0]
        self.alive = True
        self.data: set[Any] = set()
        self.tasks: dict[Any, _Task] = {}
        self.ready: list[tuple[tuple[float, ...], int, _Task]] = []
        self.running = 0
        self.flying: set[Any] = set()
        self.lost: set[Any] = set()

    def receive(self, message: dict[str, Any]) -> None:
        """Handle what the scheduler says."""
        if self.alive:
            getattr(self, "_" + message["op"].replace("-", "_"))(**message)

    def _compute_task(
        self, key: Any, run_id: int, priority: Any, who_has: Any, nbytes: Any, **_: Any
    ) -> None:
        if key in self.data:  # it has run here before
            self.cluster.finished(self, key, run_id, 0.0)
            return
        task = self.tasks[key] = _Task(key, run_id, priority, nbytes)
        for need, holders in who_has.items():
            if need not in self.data:
                task.missing.add(need)
                self._get(need, holders)
        self._check(task)

    def _get(self, need: Any, holders: Any) -> None:
        if need in self.flying:
            return
        there = [w for a in holders if (w := self.cluster.workers.get(a)) and need in w.data]
        if not there:
            if need not in self.lost:
                self.lost.add(need)
                self.cluster.later(1.0, self._find, need)
            return
        self.lost.discard(need)
        self.flying.add(need)
        source = self.cluster.random.choice(sorted(there, key=lambda w: w.name))
        self.cluster.later(self.cluster.transfer(source, self, need), self._got, need)

    def _got(self, need: Any) -> None:
        self.flying.discard(need)
        if not self.alive or not any(need in t.missing for t in self.tasks.values()):
            return
        self.data.add(need)
        begun = time.thread_time()
        self.cluster.scheduler.add_keys(worker=self.address, keys=[need], stimulus_id="got")
        self.cluster.spent += time.thread_time() - begun
        for task in list(self.tasks.values()):
            if need in task.missing:
                task.missing.discard(need)
                self._check(task)

    def _find(self, need: Any) -> None:
        if not self.alive or need not in self.lost:
            return
        self.lost.discard(need)
        if any(need in task.missing for task in self.tasks.values()):
            self.lost.add(need)
            self.cluster.scheduler.handle_request_refresh_who_has(
                [need], self.address, stimulus_id="find"
            )
            self.cluster.later(1.0, self._find, need)

    def _refresh_who_has(self, who_has: dict[Any, Any], **_: Any) -> None:
        for need, holders in who_has.items():
            if any(need in task.missing for task in self.tasks.values()):
                self._get(need, holders)

    def _check(self, task: _Task) -> None:
        if not task.missing and not task.running:
            number = next(self.cluster.numbers)
            heapq.heappush(self.ready, (task.priority, number, task))
            self._fill()

    def _fill(self) -> None:
        while self.ready and self.running < self.nthreads:
            task = heapq.heappop(self.ready)[2]
            if self.tasks.get(task.key) is task and not task.running and not task.missing:
                task.running = True
                self.running += 1
                takes = self.cluster.model.duration(task.key) / self.speed
                self.cluster.later(takes, self._done, task, takes)

    def _done(self, task: _Task, took: float) -> None:
        if not self.alive:
            return
        self.running -= 1
        if self.tasks.get(task.key) is task:
            del self.tasks[task.key]
            self.data.add(task.key)
            self.cluster.finished(self, task.key, task.run_id, took)
        self._fill()

    def _free_keys(self, keys: Any, **_: Any) -> None:
        for key in keys:
            self.data.discard(key)
            self.tasks.pop(key, None)
            self.lost.discard(key)

    def _remove_replicas(self, keys: Any, **_: Any) -> None:
        self.data.difference_update(keys)

    def _steal_request(self, key: Any, stimulus_id: str, **_: Any) -> None:
        state: str | None
        task = self.tasks.get(key)
        if task is not None:
            state = "executing" if task.running else "ready"
        else:
            state = "memory" if key in self.data else None
        if state == "ready":
            del self.tasks[key]
        self.cluster.scheduler.extensions["stealing"].move_task_confirm(
            key=key, state=state, stimulus_id=stimulus_id, worker=self.address
        )

    def _remove_worker(self, **_: Any) -> None:
        """Another worker is gone."""

    def _close(self, **_: Any) -> None:
        self.alive = False


class Cluster:
    """A scheduler with simulated workers; `now` is its clock. To be made in an event loop."""

    def __init__(
        self, kind: Callable[..., Scheduler], model: Model | None = None, seed: int = 0
    ) -> None:
        self.model = model or Model()
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self.workers: dict[str, SimWorker] = {}
        self.ran: Counter[Any] = Counter()
        self.crossed: Counter[tuple[Any, str]] = Counter()
        self.bytes = 0
        self.spent = 0.0  # seconds of CPU in the scheduler, for graphs and what workers tell
        self._busy: dict[tuple[str, str], float] = defaultdict(float)
        self._last: dict[str, float] = {"balance": 0.0, "look": 0.0}
        quiet = type(kind.__name__, (kind,), {"start_http_server": lambda *_, **__: None})
        self.scheduler = quiet(
            dashboard=False, dashboard_address=None, port=0, host="127.0.0.1", protocol="tcp"
        )
        if hasattr(self.scheduler, "clock"):
            self.scheduler.clock = self.scheduler.fetches.clock = lambda: self.now
        self.scheduler.clients["client"] = ClientState("client")

    def later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> None:
        """Call something when the clock is so much further."""
        heapq.heappush(self.events, (self.now + seconds, next(self.numbers), call, arguments))

    # workers

    def join(self, name: str, nthreads: int = 2, speed: float = 1.0) -> SimWorker:
        """Add a worker; its site is what stands before the last dash of its name."""
        worker = SimWorker(self, name, nthreads, speed)
        self.workers[worker.address] = worker
        s = self.scheduler
        ws = WorkerState(
            address=worker.address,
            status=Status.running,
            pid=1,
            name=name,
            nthreads=nthreads,
            memory_limit=0,
            local_directory="/",
            nanny=None,
            server_id=name,
            scheduler=s,
        )
        host = worker.address.removeprefix("tcp://").partition(":")[0]
        s.host_info[host] = {"addresses": {worker.address}, "nthreads": nthreads}
        s.workers[worker.address] = ws
        s.running.add(ws)
        s.total_nthreads += nthreads
        s.aliases[name] = worker.address
        s.stream_comms[worker.address] = _Comm(worker)
        s.check_idle_saturated(ws)
        for plugin in list(s.plugins.values()):
            plugin.add_worker(scheduler=s, worker=worker.address)
        s.transitions(s.bulk_schedule_unrunnable_after_adding_worker(ws), "join")
        s.stimulus_queue_slots_maybe_opened(stimulus_id="join")
        return worker

    async def leave(self, worker: SimWorker, *, expected: bool = False) -> None:
        """Lose a worker with all that it has."""
        worker.alive = False
        worker.data.clear()
        del self.workers[worker.address]
        await self.scheduler.remove_worker(
            worker.address, stimulus_id="leave", expected=expected, close=False
        )

    def transfer(self, source: SimWorker, target: SimWorker, key: Any) -> float:
        """Return the seconds that a result takes; transfers of a link follow each other."""
        size = self.model.nbytes(key)
        if source.site == target.site:
            return 0.0005 + size / 1e9
        self.crossed[key, target.site] += 1
        self.bytes += size
        way = (source.site, target.site)
        self._busy[way] = max(self._busy[way], self.now) + size / self.model.bandwidth
        return self._busy[way] + self.model.latency - self.now

    def finished(self, worker: SimWorker, key: Any, run_id: int, took: float) -> None:
        """Tell the scheduler that a task has run."""
        self.ran[key] += 1
        begun = time.thread_time()
        self.scheduler.handle_task_finished(
            key=key,
            worker=worker.address,
            stimulus_id="finished",
            run_id=run_id,
            metadata={},
            nbytes=self.model.nbytes(key),
            type=b"",
            typename="object",
            startstops=[{"action": "compute", "start": self.now - took, "stop": self.now}],
            thread=1,
        )
        self.spent += time.thread_time() - begun

    # work

    def submit(
        self, collections: list[Any], *, annotations: Any = None, actors: Any = None
    ) -> set[Any]:
        """Give a graph to the scheduler, as a client does; returns the keys that are wanted."""
        expr = collections_to_expr(collections).optimize()
        graph = dict(expr.__dask_graph__())
        wanted = set(flatten(expr.__dask_keys__()))
        return self.give(graph, wanted, annotations=annotations, actors=actors)

    def give(
        self,
        graph: dict[Any, Any],
        wanted: set[Any],
        *,
        annotations: Any = None,
        actors: Any = None,
    ) -> set[Any]:
        """Give tasks to the scheduler."""
        ordered = dask.order.order(graph)
        begun = time.thread_time()
        self.scheduler._create_taskstate_from_graph(
            start=time.time(),
            dsk=graph,
            keys=wanted,
            ordered=ordered,
            client="client",
            annotations_by_type={},
            global_annotations=annotations,
            stimulus_id="graph",
            submitting_task=None,
            span_metadata=SpanMetadata(collections=[]),
            actors=actors,
        )
        self.spent += time.thread_time() - begun
        return wanted

    def step(self) -> bool:
        """Let the next thing happen; False if nothing is to come."""
        if not self.events:
            return False
        if self.events[0][0] > self.now + LOOK:  # a scheduler looks around meanwhile
            self.now += LOOK
            self._look()
            return True
        self.now, _, call, arguments = heapq.heappop(self.events)
        call(*arguments)
        self._look()
        return True

    def _look(self) -> None:
        """Do what a scheduler does from time to time."""
        stealing = self.scheduler.extensions.get("stealing")
        if stealing is not None and self.now - self._last["balance"] >= 0.1:
            self._last["balance"] = self.now
            stealing.balance()
        if hasattr(self.scheduler, "look_around") and self.now - self._last["look"] >= LOOK:
            self._last["look"] = self.now
            self.scheduler.look_around()

    def tick(self, until: float) -> None:
        """Let time pass though nothing happens, as far as the scheduler looks by itself."""
        self.later(max(until - self.now, 0.0), lambda: None)

    def done(self, wanted: set[Any]) -> bool:
        """Whether all of it is in memory."""
        tasks = self.scheduler.tasks
        return all(key in tasks and tasks[key].state == "memory" for key in wanted)

    def run(self, wanted: set[Any], limit: float = 1e5) -> float:
        """Play until all is in memory; returns the seconds it took.

        Raises
        ------
        RuntimeError
            If it never will be, or not by `limit`.
        """
        begun = self.now
        while not self.done(wanted):
            moved = self.step()
            if not moved and self.scheduler.queued and self.now - begun < limit:
                self.tick(self.now + 0.2)
            elif not moved or self.now - begun > limit:
                states = Counter(ts.state for ts in self.scheduler.tasks.values())
                raise RuntimeError(f"nothing moves after {self.now - begun:g} s: {states}")
        return self.now - begun


def played(work: Callable[[], Any], *, stealing: bool = True) -> Any:
    """Run something that makes clusters in an event loop, as schedulers want one."""

    async def main() -> Any:
        with dask.config.set({"distributed.scheduler.work-stealing": stealing}):
            found = work()
            return await found if asyncio.iscoroutine(found) else found

    return asyncio.run(main())
