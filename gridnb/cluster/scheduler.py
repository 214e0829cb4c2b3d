"""The scheduler of a grid: Dask's own, which lets in only workers that a hold pays for.

It learns the site of each worker and the links between sites from the hub, counts a
slot in which a cell runs as taken, gives restarts to the guards, and answers the hub's
calls. Which worker gets which task is decided in :mod:`gridnb.cluster.placement`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

from distributed.core import Status
from distributed.diagnostics.plugin import SchedulerPlugin

from gridnb.cluster.placement import SiteScheduler
from gridnb.cluster.private import Scheduler, TaskState, WorkerState
from gridnb.cluster.replicas import Protection, take_over
from gridnb.cluster.sites import FAR, Link, Membership, Site
from gridnb.cluster.usage import RUN, SAMPLE, UsageMeter

__all__ = ["GridScheduler", "Keeper"]


class Keeper(Protocol):
    """What the scheduler needs from whoever keeps the leases."""

    def admits(self, worker: str) -> str | None:
        """Return why a worker may not join, or None if it may."""

    def site_of(self, worker: str) -> Membership:
        """Return the site of a worker, and how fast it is there."""

    def link(self, source: str, target: str) -> Link:
        """Return what moving data from one site to another costs now."""

    def joined(self, worker: str, address: str) -> None:
        """A worker is up."""

    def left(self, worker: str, address: str) -> None:
        """A worker is gone."""

    def retired(self, worker: str) -> None:
        """A worker was closed for good, by Dask's own call."""

    def sampled(self, worker: str, sample: dict[str, Any]) -> None:
        """A worker has sent its counts."""

    def seen_run(self, run: str, label: str) -> None:
        """Work of a run has arrived."""

    async def respawn(self, workers: list[str]) -> None:
        """End workers and start them again."""


class _Samples:
    """Receives what the workers' meters send with their heartbeats."""

    def __init__(self, scheduler: GridScheduler) -> None:
        self.scheduler = scheduler

    def heartbeat(self, ws: WorkerState, sample: dict[str, Any]) -> None:
        """Pass a sample on."""
        if self.scheduler.keeper is not None:
            self.scheduler.keeper.sampled(str(ws.name), sample)


class _Runs(SchedulerPlugin):
    """Gives each task a run: the one that its client named, or else the client itself."""

    name = "gridnb-runs"

    def __init__(self, scheduler: GridScheduler) -> None:
        self.scheduler = scheduler

    def update_graph(
        self, scheduler: Scheduler, *, client: str, tasks: list[Any], **_: Any
    ) -> None:
        """Tag the tasks of a new graph that are not tagged."""
        known = set()
        fallback = f"client:{client}"
        for key in tasks:
            ts = scheduler.tasks[key]
            if ts.run_spec is None:  # scattered data: nothing of it runs
                continue
            notes = ts.annotations
            if not notes:
                ts.annotations = {RUN: fallback}
                known.add(fallback)
            else:
                known.add(notes.setdefault(RUN, fallback))
        if self.scheduler.keeper is not None:
            for run in known:
                self.scheduler.keeper.seen_run(run, "Dask client" if run == fallback else "")

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Pass on that a worker is up."""
        self.scheduler.worker_joined(worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Pass on that a worker is gone."""
        self.scheduler.worker_left(worker)


class GridScheduler(SiteScheduler):
    """Dask's scheduler in the hub of a grid."""

    def __init__(self, **kwargs: Any) -> None:
        self.keeper: Keeper | None = None
        self.booked: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        super().__init__(**kwargs)
        self.sites.find_link = self._link
        self.extensions[UsageMeter.name] = _Samples(self)
        self.add_plugin(_Runs(self))
        self.protection = Protection(self)
        take_over(self, self.protection)
        #: Workers at sites that have failed lately: they get work when no others are free.
        self.avoided: frozenset[str] = frozenset()
        self.hear(**{SAMPLE: self._last_sample})

    def answer(self, **handlers: Callable[..., Any]) -> None:
        """Add calls that clients can make (as ``rpc.<name>``)."""
        self.handlers.update(handlers)

    def hear(self, **handlers: Callable[..., Any]) -> None:
        """Add one-way messages that clients can send."""
        self.stream_handlers.update(handlers)

    # the dashboard

    def start_http_server(self, routes: Any, *args: Any, **kwargs: Any) -> None:
        """Start none yet: its pages are open to all users of this machine."""
        self._routes = routes

    def open_dashboard(self) -> int:
        """Start Dask's dashboard, on loopback, if it does not run yet; returns its port.

        Raises
        ------
        ImportError
            Without bokeh.
        """
        if "dashboard" not in self.services:
            from distributed.dashboard.scheduler import connect

            start: Any = super().start_http_server  # has no annotations
            start(self._routes, "127.0.0.1:0")
            connect(self.http_application, self.http_server, self, prefix="")
        server: Any = self.http_server
        return int(server.port)

    # who may join

    async def add_worker(self, comm: Any, *, address: str, name: str, **kwargs: Any) -> None:
        """Let a worker in only if a lease holds money for it."""
        refusal = "this grid is not ready" if self.keeper is None else self.keeper.admits(name)
        if refusal:
            await comm.write({"status": "error", "message": refusal, "time": 0.0})
            await comm.close()
            return
        await super().add_worker(comm, address=address, name=name, **kwargs)

    def member(self, ws: WorkerState) -> Membership:
        """Return the site of a worker, as the keeper knows it."""
        if self.keeper is None:
            return super().member(ws)
        return self.keeper.site_of(str(ws.name))

    def _link(self, source: str, target: str) -> Link:
        return FAR if self.keeper is None else self.keeper.link(source, target)

    def worker_joined(self, address: str) -> None:
        """Tell the keeper that a worker is up."""
        self.sites.forget_links()  # with more workers a second of them is worth more
        name = self._names[address] = str(self.workers[address].name)
        if self.keeper is not None:
            self.keeper.joined(name, address)

    def worker_left(self, address: str) -> None:
        """Tell the keeper that a worker is gone."""
        name = self._names.pop(address, None)
        self.booked.pop(address, None)
        if self.booked:
            self.look_at_booked(list(self.booked))
        self.sites.forget_links()
        if name is not None and self.keeper is not None:
            self.keeper.left(name, address)

    # what workers were used for

    def _last_sample(self, sample: dict[str, Any], worker: str, **_: Any) -> None:
        if self.keeper is not None and worker in self._names:
            self.keeper.sampled(self._names[worker], sample)

    async def sample(self, patience: float) -> None:
        """Ask all workers for their counts; one that is too busy to answer keeps its last ones."""

        async def ask(address: str, name: str) -> None:
            try:
                async with asyncio.timeout(patience):
                    answer = await getattr(self.rpc(address), SAMPLE)()
            except (OSError, TimeoutError):
                return
            if self.keeper is not None:
                self.keeper.sampled(name, answer)

        await asyncio.gather(*(ask(a, n) for a, n in list(self._names.items())))

    # slots in which cells run

    def book(self, address: str, slots: int) -> None:
        """Count slots of a worker as taken by cells (negative: given back)."""
        self.booked[address] += slots
        if self.booked[address] <= 0:
            del self.booked[address]
        self.look_at_booked({address, *self.booked})

    def look_at_booked(self, addresses: Iterable[str]) -> None:
        """See anew which workers are spared tasks: that depends on the others, too."""
        for address in addresses:
            if (ws := self.workers.get(address)) is not None:
                self.check_idle_saturated(ws)
        self.look_around()

    def handle_worker_status_change(
        self, status: str | Status, worker: str | WorkerState, stimulus_id: str
    ) -> None:
        """See Dask's; while another worker is paused, one that is full of cells gets tasks."""
        super().handle_worker_status_change(status, worker, stimulus_id)
        if self.booked:
            self.look_at_booked(list(self.booked))

    def capacity(self, site: Site) -> float:
        """Return a site's threads, without those in which cells run unless they run in all."""
        taken = sum(self.booked.values())
        if not taken or taken >= self.total_nthreads:
            return site.capacity
        here = sum(n for a, n in self.booked.items() if self.sites.of.get(a) is site)
        return max(site.capacity - here, 0.0)

    def reserved(self, ws: WorkerState) -> bool:
        """Whether cells have all slots of a worker, while another has some left."""
        if not self.booked or self.booked[ws.address] < ws.nthreads:
            return False
        return any(self.booked[w.address] < w.nthreads for w in self.running)

    def worker_objective(self, ts: TaskState, ws: WorkerState) -> tuple[Any, ...]:
        """Put a worker whose slots are booked behind those that are free."""
        full = self.booked[ws.address] >= ws.nthreads if self.booked else False
        return (full, ws.address in self.avoided, *super().worker_objective(ts, ws))

    # restart and retirement

    async def retire_workers(self, *args: Any, close_workers: bool = False, **kwargs: Any) -> Any:
        """See Dask's; the guards of workers that are closed with it end them for good."""
        retired = await super().retire_workers(*args, close_workers=close_workers, **kwargs)
        if close_workers and self.keeper is not None:
            for worker in retired.values():
                self.keeper.retired(str(worker["name"]))
        return retired

    async def restart_workers(
        self,
        workers: list[str] | None = None,
        *,
        client: str | None = None,
        timeout: float = 30,
        wait_for_workers: bool = True,
        on_error: Literal["raise", "return"] = "raise",
        stimulus_id: str,
    ) -> dict[str, Literal["OK", "removed", "timed out"]]:
        """Have the guards end workers and start them again, within the same terms."""
        chosen = [a for a in (workers or list(self.workers)) if a in self.workers]
        names = [self._names[address] for address in chosen]
        before = len(self.workers)
        self.told.update(chosen)
        if self.keeper is not None:
            await self.keeper.respawn(names)
        for address in chosen:
            await self.remove_worker(address, stimulus_id=stimulus_id)
        if wait_for_workers:
            await self._wait_for(before, timeout, on_error)
        return dict.fromkeys(chosen, "OK")

    async def _wait_for(self, count: int, timeout: float, on_error: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                while len(self.workers) < count:  # noqa: ASYNC110 - Dask has no event for it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            if on_error == "raise":
                raise TimeoutError(
                    f"{count - len(self.workers)} of {count} workers did not come back "
                    f"in {timeout:g} s; see `%grid status` for what became of them"
                ) from None
