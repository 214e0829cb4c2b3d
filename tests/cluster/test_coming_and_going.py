"""Whatever workers come, go and are lost: all work gets done, none of it more often than needed."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import dask
from dask import delayed
from dask._task_spec import Task, TaskRef
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks._simulated import Cluster, Model, SimWorker, played
from gridnb.cluster.placement import SiteScheduler

SITES = "abcd"


def _same(*x: Any) -> Any:
    return x


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Task]:
    """Roots in one group, and layers of tasks that need a few of what is before them."""
    width = draw(st.integers(1, 40))
    graph: dict[str, Task] = {f"root-{i}": Task(f"root-{i}", _same, i) for i in range(width)}
    for layer in range(draw(st.integers(0, 3))):
        before = list(graph)
        for i in range(draw(st.integers(1, 20))):
            picks = draw(st.lists(st.sampled_from(before), min_size=1, max_size=3, unique=True))
            key = f"layer{layer}-{i}"
            graph[key] = Task(key, _same, *map(TaskRef, picks))
    return graph


happenings = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["join", "leave", "lose", "pause", "resume", "graph", "time"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


class _Story:
    """One cluster, and what has happened to it."""

    def __init__(self, seed: int) -> None:
        model = Model(lambda key: 0.02 + crc32(str(key).encode()) % 7 * 0.05, lambda _: 200_000)
        self.cluster = Cluster(SiteScheduler, model, seed)
        self.scheduler = self.cluster.scheduler
        self.losses = 0
        self.wanted: set[Any] = set()
        self.joined = 0

    def join(self, site: int) -> None:
        self.joined += 1
        self.cluster.join(f"{SITES[site]}-{self.joined}", 1 + self.joined % 2)

    def _one(self, number: int) -> SimWorker | None:
        there = sorted(self.cluster.workers.values(), key=lambda w: w.name)
        return there[number % len(there)] if there else None

    async def leave(self, number: int, *, expected: bool) -> None:
        worker = self._one(number)
        if worker is not None:
            self.losses += 1
            await self.cluster.leave(worker, expected=expected)

    def pause(self, number: int, status: str) -> None:
        worker = self._one(number)
        if worker is not None:
            self.scheduler.handle_worker_status_change(status, worker.address, status)

    def give(self, graph: dict[str, Task], number: int) -> None:
        name = f"again{number}"
        again = {
            f"{name}-{key}": Task(
                f"{name}-{key}", _same, *(TaskRef(f"{name}-{n}") for n in task.dependencies)
            )
            for key, task in graph.items()
        }
        sites = None if number else {"sites": ["a", "b"]}
        self.wanted |= self.cluster.give(again, set(again), annotations=sites)

    async def happen(self, what: str, number: int, graph: dict[str, Task]) -> None:
        if what == "join":
            self.join(number)
        elif what in ("leave", "lose"):
            await self.leave(number, expected=what == "leave")
        elif what in ("pause", "resume"):
            self.pause(number, "paused" if what == "pause" else "running")
        elif what == "time":
            self.cluster.tick(self.cluster.now + number)
        elif f"again{number}-root-0" not in self.scheduler.tasks:
            self.give(graph, number)

    def check(self) -> None:
        """What must hold at each moment; a worker freed by a theft waits for the next look."""
        scheduler = self.scheduler
        scheduler.look_around()
        queued = {ts for ts in scheduler.tasks.values() if ts.state == "queued"}
        assert queued == set(scheduler.queues)
        for site in scheduler.sites.by_name.values():
            running = {ws for ws in scheduler.running if scheduler.sites.of[ws.address] is site}
            assert set(site.running) == running
            assert site.idle <= running
            assert abs(site.capacity - sum(ws.nthreads for ws in running)) < 1e-9
            assert not (site.idle and site.queue), "a free worker stands beside its queue"
            assert site.running or not site.queue or not scheduler.running


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(graph=graphs(), story=happenings, first=st.lists(st.integers(0, 3), max_size=5))
def test_all_work_gets_done(
    graph: dict[str, Task], story: list[tuple[int, str, int]], first: list[int]
) -> None:
    async def play() -> _Story:
        told = _Story(seed=1)
        for site in first:
            told.join(site)
        told.wanted |= told.cluster.give(dict(graph), set(graph))
        for steps, what, number in story:
            for _ in range(steps):
                told.cluster.step()
            await told.happen(what, number, graph)
            told.check()
        for number in range(len(told.cluster.workers)):
            told.pause(number, "running")
        for site in (0, 3):  # where the confined work may run, and elsewhere
            told.join(site)
        told.cluster.run(told.wanted, limit=1e4)
        told.check()
        return told

    config = {
        "distributed.scheduler.validate": True,
        "distributed.scheduler.allowed-failures": 100,
    }
    with dask.config.set(config):
        told = played(play)
    for key, times in told.cluster.ran.items():
        assert times <= 1 + told.losses, f"{key} ran {times} times"
    at = {
        key: {told.scheduler.sites.of[ws.address].name for ws in ts.who_has}
        for key, ts in told.scheduler.tasks.items()
        if ts.annotations and "sites" in ts.annotations and ts.who_has
    }
    assert all(sites <= {"a", "b"} for sites in at.values())


def test_a_lost_site_hands_its_queue_to_the_others() -> None:
    async def play() -> tuple[Cluster, int]:
        cluster = Cluster(SiteScheduler, Model(lambda _: 1.0))
        workers = [cluster.join(f"{site}-1", 1) for site in "abc"]
        wanted = cluster.submit([delayed(list)([delayed(_same)(i) for i in range(60)])])
        for _ in range(12):
            cluster.step()
        waiting = len(cluster.scheduler.sites.by_name["b"].queue)
        await cluster.leave(workers[1])
        assert not cluster.scheduler.sites.by_name["b"].queue
        cluster.run(wanted)
        return cluster, waiting

    cluster, waiting = played(play)
    assert waiting > 10
    assert max(cluster.ran.values()) <= 2


def test_a_site_that_keeps_losing_workers_is_given_nothing_new_for_a_while() -> None:
    async def play() -> list[set[str]]:
        cluster = Cluster(SiteScheduler)
        for name in ("a-1", "b-1", "b-2", "b-3"):
            cluster.join(name, 2)
        for worker in [w for w in cluster.workers.values() if w.name in ("b-1", "b-2")]:
            await cluster.leave(worker)
        used = []
        for moment, wait in enumerate((0.0, 100.0)):
            cluster.now += wait
            graph = {f"x{moment}-{i}": Task(f"x{moment}-{i}", _same, i) for i in range(40)}
            wanted = cluster.give(graph, set(graph))
            used.append({cluster.scheduler.planned[key].name for key in graph})
            cluster.run(wanted)
        return used

    sick, well = played(play)
    assert sick == {"a"}
    assert well == {"a", "b"}


def test_who_waits_for_a_result_that_does_not_come_gets_it_elsewhere() -> None:
    async def play() -> tuple[float, Cluster]:
        cluster = Cluster(SiteScheduler, Model(lambda _: 0.1, lambda _: 50 << 20))
        home = cluster.join("a-1", 1)
        near = [cluster.join(f"b-{n}", 1) for n in (1, 2)]
        graph = {"big-1": Task("big-1", _same, 1)}
        cluster.run(cluster.give(graph, set(graph), annotations={"workers": [home.name]}))
        use = {f"use-{n}": Task(f"use-{n}", _same, TaskRef("big-1")) for n in (1, 2)}
        wanted = set()
        for n, worker in enumerate(near, 1):
            part = {f"use-{n}": use[f"use-{n}"]}
            cluster.scheduler.client_desires_keys(["big-1"], "client")
            wanted |= cluster.give(part, set(part), annotations={"workers": [worker.name]})
        while not any(near[1].lost):
            assert cluster.step()
        await cluster.leave(near[0])
        wanted.discard("use-1")
        return cluster.run(wanted, limit=60), cluster

    seconds, cluster = played(play)
    assert seconds < 10
    assert cluster.scheduler.tasks["use-2"].state == "memory"
