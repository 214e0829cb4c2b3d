"""The hub: keeps the leases of one grid, pays for their terms, and charges what was used.

It is the only one that starts workers. Every way to ask for one (a request,
``scale``, ``adapt``, a restart) ends in :meth:`Hub.lease`, and there a hold
comes first.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gridnb.broker import Quote
from gridnb.catalog import Catalog
from gridnb.cluster.links import LinkTable
from gridnb.cluster.scheduler import GridScheduler
from gridnb.cluster.sites import Link, Membership
from gridnb.config import Settings
from gridnb.errors import GridError, ProviderError, RequestError
from gridnb.hub.billing import Biller
from gridnb.hub.consent import Consents
from gridnb.hub.leases import Lease
from gridnb.hub.losses import Losses
from gridnb.hub.runwishes import RunWishes
from gridnb.hub.series import Series, by_site
from gridnb.hub.slots import Slot
from gridnb.hub.terms import Terms
from gridnb.hub.treasury import Treasury
from gridnb.hub.volumes import Volumes
from gridnb.metering.intervals import Sample
from gridnb.providers.base import Host, Provider, WorkerOrder, provider_for
from gridnb.providers.guard import clock, read_record

__all__ = ["Hub", "Run"]

logger = logging.getLogger("gridnb.hub")

GRACE_STOP = 3.0  # seconds that a released worker has to close by itself
#: What an hour of a worker that costs nothing is worth when data could move for money.
WORTH = Decimal("0.05")
#: Seconds that a cut link counts as: nothing that has another way goes there.
CUT = 3600.0


@dataclass
class Run:
    """One cell or job: who asked for it, and where it stands.

    Attributes
    ----------
    kind
        ``cell``, ``job``, ``migration``, or ``dask`` for work that a client gave to Dask without
        naming a run.
    replicas
        At how many sites its Dask results are to be held; None for what the leases say.
    """

    id: str
    label: str
    client: str = ""
    kind: str = "cell"
    began: float = 0.0
    ended: float | None = None
    state: str = "running"
    replicas: int | None = None
    cost: Decimal = Decimal(0)
    used: Decimal = Decimal(0)
    sites: dict[str, Decimal] = field(default_factory=dict)


class Hub:
    """Leases, workers and runs of one grid. Times are those of the guard's clock."""

    def __init__(
        self,
        *,
        grid: str,
        catalog: Catalog,
        settings: Settings,
        host: Host,
        scheduler: GridScheduler,
        treasury: Treasury,
        links: LinkTable | None,
        cwd: str,
    ) -> None:
        self.grid = grid
        self.catalog = catalog
        self.settings = settings
        self.host = host
        self.scheduler = scheduler
        self.treasury = treasury
        self.cwd = cwd
        self.scale = Decimal(str(catalog.time_scale))
        self.leases: dict[str, Lease] = {}
        self.runs: dict[str, Run] = {}
        self.slots: dict[str, Slot] = {}
        self.biller = Biller(self, links)
        self.series = Series()
        self.terms = Terms(self)
        self.consents = Consents(catalog, treasury)
        self.losses = Losses(self)
        scheduler.protection.wishes = RunWishes(self)
        self.on_event: list[Callable[[Slot, dict[str, Any]], None]] = []
        self._numbers: dict[str, itertools.count[int]] = {}
        self._lease_numbers = itertools.count(1)
        self._providers: dict[str, Provider] = {}
        self._changed = asyncio.Event()
        self.buying = asyncio.Lock()
        self.closing = False
        self.volumes: Volumes | None = None
        self.sweep: Callable[[set[int]], None] | None = None
        scheduler.keeper = self

    # leases

    async def lease(self, quote: Quote, *, session: str, keep: bool = False) -> Lease:
        """Hold the money for a quote's first term, then start its workers.

        Raises
        ------
        BudgetError
            If the first term cannot be paid; nothing was started then.
        ConsentError
            If it would spend real money and the session has not agreed to that; nothing was held.
        ProviderError
            If a site could not start a worker; what had started is ended.
        """
        if self.closing:
            raise RequestError("this grid is ending; connect to a new one")
        await self.consents.check(session, [quote])
        async with self.buying:
            self.check_room(quote)
            lease = self._plan(quote, keep, session)
            await self.terms.fund(lease, lease.open_slots(), clock())
            self.leases[lease.id] = lease
            self.slots.update(lease.slots)
        self.scheduler.protection.refresh()
        try:
            await asyncio.gather(*(self.start(slot) for slot in lease.open_slots()))
        except GridError as error:
            self.release(lease, f"could not start: {error}")
            raise
        return lease

    def check_room(self, quote: Quote) -> None:
        """A quote may be old, or another one was accepted meanwhile."""
        for site in quote.sites:
            there = self.catalog.site(site)
            open_here = [s for s in self.slots.values() if s.site.name == site and s.running]
            asked = sum(line.count for line in quote.lines if line.site == site)
            most = there.capacity
            if len(open_here) + asked > most:
                raise RequestError(
                    f"site {site} has room for {most} workers and {len(open_here)} are in use; "
                    f"{asked} more are too many: ask for a new quote"
                )

    def _plan(self, quote: Quote, keep: bool, session: str) -> Lease:
        now = clock()
        request, config, scale = quote.request, self.settings.lease, float(self.scale)
        deadline = None if request.deadline is None else now + request.deadline / scale
        lease = Lease(
            id=f"{self.grid}-l{next(self._lease_numbers)}",
            quote=quote,
            began=now,
            term=min(self.terms.length(line.site) for line in quote.lines),
            deadline=deadline,
            idle_limit=None,
            keep=keep,
            session=session,
            count=quote.workers,
            busy_at=now,
        )
        lease.slots = self.new_slots(lease.id, quote, now)
        lease.limit_idle(config, scale)
        return lease

    def new_slots(self, lease: str, quote: Quote, now: float) -> dict[str, Slot]:
        """Return a slot for each worker of a quote; none of them is paid for yet."""
        slots = {}
        for line in quote.lines:
            site = self.catalog.site(line.site)
            for _ in range(line.count):
                name = self._name(site.name)
                slots[name] = Slot(name, site, site.offer(line.offer), lease, self.scale, now)
        return slots

    def _name(self, site: str) -> str:
        numbers = self._numbers.setdefault(site, itertools.count(1))
        return f"{site}-{next(numbers)}"

    async def start(self, slot: Slot) -> None:
        """Have the site's provider start a worker that is paid for.

        Raises
        ------
        ProviderError
            If it does not; the slot has ended then.
        """
        if slot.state != "starting":  # released before it began
            self._never_started(slot, slot.reason)
            return
        try:
            provider = self._providers.get(slot.site.name)
            if provider is None:
                provider = self._providers[slot.site.name] = provider_for(slot.site, self.host)
            order = WorkerOrder(
                worker=slot.name,
                lease=slot.lease,
                site=slot.site,
                offer=slot.offer,
                hold=f"{self.grid}/{slot.name}/term-{slot.purse.count}",
                end=slot.end,
                cwd=self.cwd,
            )
            slot.link = await provider.start(order, lambda message: self._event(slot, message))
        except Exception as error:
            self._never_started(slot, str(error))
            self.losses.start_failed(slot)
            if isinstance(error, GridError):
                raise
            raise ProviderError(f"site {slot.site.name}: {error!r}") from error
        if slot.draining:  # released while it was being started
            slot.link.stop(0, slot.reason)

    def _never_started(self, slot: Slot, reason: str) -> None:
        slot.state, slot.reason = "ended", reason
        self._changed.set()

    def release(self, lease: Lease, reason: str = "released") -> None:
        """End a lease's workers; what is left of its holds goes back when they have ended."""
        if lease.state == "active":
            lease.state, lease.reason = "ending", reason
        for slot in lease.open_slots():
            self.stop(slot, reason)
        self._changed.set()

    def stop(self, slot: Slot, reason: str) -> None:
        """Ask a worker to end, and have its guard see to it."""
        if slot.state == "ended":
            return
        slot.state, slot.reason = "draining", reason
        if slot.link is not None:
            slot.link.stop(GRACE_STOP, reason)

    # what guards say

    def _event(self, slot: Slot, message: dict[str, Any]) -> None:
        op = message["op"]
        slot.heard = clock()
        if op == "started":
            slot.started, slot.guard = message["t"], message["pid"]
        elif op == "worker":
            slot.pid = message["pid"]
        elif op == "ended":
            self._ended(slot, message["up"], message["reason"], message["cpu"])
        elif op == "lost" and slot.running:
            self.guard_lost(slot)
        for listener in self.on_event:
            listener(slot, message)

    def _ended(self, slot: Slot, up: float, reason: str, cpu: float | None) -> None:
        if slot.started is None:  # it ended before it could say that it had started
            slot.started = slot.ordered
        slot.ended = slot.started + up
        asked = slot.draining
        slot.state, slot.cpu = "ended", cpu
        slot.reason = slot.reason or reason
        if not asked:
            self.losses.lost(slot)
        for seat, (run, since) in list(slot.cell_running.items()):
            slot.cell_used[run] += max(slot.ended - since, 0.0)
            del slot.cell_running[seat]
        if slot.link is not None:
            slot.link.close()
        self._changed.set()

    def guard_lost(self, slot: Slot) -> None:
        """A guard went without a word: its record says how long the worker was up."""
        path = self.host.records / f"{slot.name}.json"
        record = read_record(str(path)) if path.exists() else None
        if record is None and slot.started is None:
            asked = slot.draining
            self._never_started(slot, "its guard ended before it began")
            if not asked:
                self.losses.lost(slot)
            return
        now = clock()
        began = slot.started if slot.started is not None else slot.ordered
        if record is not None and record["ended"]:
            up = float(record["up"])
        else:  # up to now at most: the channel breaks when the guard goes
            slot.estimated = True
            up = min(now, slot.end) - began
        self._ended(slot, up, "its guard was lost", None)
        self.losses.sweep(now)

    # what the scheduler says (gridnb.cluster.scheduler.Keeper)

    def admits(self, worker: str) -> str | None:
        """Return why a worker may not join, or None if a hold pays for it."""
        slot = self.slots.get(worker)
        if slot is None:
            return f"no lease of grid {self.grid} has a worker named {worker}"
        if slot.state == "ended" or clock() >= slot.end:
            return f"the paid term of {worker} is over"
        return None

    def site_of(self, worker: str) -> Membership:
        """Return the site of a worker, and its speed there: that of its offer."""
        slot = self.slots[worker]
        return Membership(slot.site.name, float(slot.offer.speed))

    def link(self, source: str, target: str) -> Link:
        """Return a link as it is now; money counts as the time it would pay for."""
        bandwidth: float | None
        if self.biller.links is None:
            link = self.catalog.link(source, target)
            latency, bandwidth = link.latency, link.bandwidth
        else:  # it has all sites of the catalog
            now = self.biller.links.now(source, target)
            latency, bandwidth = CUT if now.cut else now.latency, now.bandwidth
        price = self.catalog.egress(source, target) / 2**30
        up = [slot.rate for slot in self.slots.values() if slot.state == "running"]
        second = max(sum(up), WORTH * len(up), WORTH) * self.scale / 3600
        return Link(latency, 1 / bandwidth if bandwidth else 0.0, float(price / second))

    def joined(self, worker: str, address: str) -> None:
        """Note that a worker is up."""
        slot = self.slots[worker]
        slot.address = address
        if slot.ready is None:
            slot.ready = clock()
            self.losses.joined(slot)
        if slot.state == "starting":
            slot.state = "running"
        self._changed.set()

    def left(self, worker: str, address: str) -> None:
        """Note that a worker is gone from the scheduler."""
        slot = self.slots.get(worker)
        if slot is not None and slot.address == address:
            slot.address = None
            slot.worker_gone(clock())

    def retired(self, worker: str) -> None:
        """End a worker that the scheduler has closed for good."""
        if (slot := self.slots.get(worker)) is not None:
            self.stop(slot, "retired")

    def sampled(self, worker: str, sample: dict[str, Any]) -> None:
        """Take a worker's counts."""
        slot = self.slots.get(worker)
        if slot is None:
            return
        before = slot.sample
        slot.take(Sample(**sample))
        assert slot.sample is not None
        if sample["running"] or before is None or slot.sample.used != before.used:
            self.touch(slot)

    def touch(self, slot: Slot) -> None:
        """Note that a lease is in use."""
        self.leases[slot.lease].busy_at = clock()

    def seen_run(self, run: str, label: str) -> None:
        """Note a run that a client did not announce."""
        if run not in self.runs:
            kind = "dask" if run.startswith("client:") else "cell"
            self.runs[run] = Run(run, label or run, began=clock(), kind=kind)

    def client_left(self, client: str) -> None:
        """End the runs that only lived in a kernel that is gone."""
        for run in self.runs.values():
            if run.state != "running" or run.kind == "job":
                continue
            if run.client == client or run.id == f"client:{client}":
                run.state, run.ended = "lost", clock()

    async def respawn(self, workers: list[str]) -> None:
        """Have guards end workers and start them again; their terms stay as they are."""
        for name in workers:
            slot = self.slots.get(name)
            if slot is not None and slot.link is not None:
                slot.link.send("respawn")

    # the hub's own clock

    async def tick(self) -> None:
        """Renew terms, end what is to end, charge what was used. Called every second or so.

        Each part for itself: nothing that goes wrong in one may keep terms from being paid.
        """
        now = clock()
        self._look_busy(now)
        for part in (self.losses.look, self.terms.renew, self._expire, self.biller.bill):
            try:
                await part(now)
            except Exception:
                logger.exception("a part of a tick failed; the next tick goes on")
        self.series.note(now, by_site(self))

    def _look_busy(self, now: float) -> None:
        for lease in self.leases.values():
            if any(self.is_busy(slot) for slot in lease.open_slots()):
                lease.busy_at = now

    def is_busy(self, slot: Slot) -> bool:
        """Whether a worker has work or is only coming up."""
        if slot.state == "starting" or slot.cell_running:
            return True
        ws = self.scheduler.workers.get(slot.address) if slot.address else None
        return ws is not None and bool(ws.processing)

    async def _expire(self, now: float) -> None:
        for lease in self.leases.values():
            if lease.state == "active" and lease.released_in(now) == 0:
                self.release(lease, "idle")
            if lease.state == "active" and lease.over(now, GRACE_STOP):
                self.release(lease, "its deadline has come")
            if lease.state == "active" and self.losses.coming(lease.id):
                continue
            if lease.state != "ended" and not lease.open_slots():
                lease.state = "ended"
                lease.reason = lease.reason or "all its workers have ended"

    def wake(self) -> None:
        """Have the next tick come at once."""
        self._changed.set()

    async def changed(self, timeout: float) -> None:
        """Wait until a worker came, went or ended, or for `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def close(self, reason: str) -> bool:
        """End everything, wait for the guards, and settle; returns whether all of it is settled."""
        self.closing = True
        async with self.buying:  # a lease that is being bought is known after it
            for lease in self.leases.values():
                self.release(lease, reason)
        until = clock() + GRACE_STOP + 3
        while any(slot.running for slot in self.slots.values()) and clock() < until:
            await self.changed(0.2)
        await self.biller.bill(clock(), final=True)
        ended = not any(slot.running for slot in self.slots.values())
        try:
            if ended:
                await self.treasury.release_all(self.grid)
        except GridError as error:
            logger.error("holds could not be released: %s", error)
            ended = False
        return await self.treasury.close() and ended
