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
from gridnb.config import Settings
from gridnb.errors import BudgetExceeded, GridError, RequestError
from gridnb.hub.billing import Biller
from gridnb.hub.leases import Lease
from gridnb.hub.slots import Slot
from gridnb.hub.treasury import Treasury
from gridnb.ledger import HoldOrder
from gridnb.metering.intervals import Sample
from gridnb.providers.base import Host, Provider, WorkerOrder, provider_for
from gridnb.providers.guard import clock, read_record

__all__ = ["Hub", "Run"]

logger = logging.getLogger("gridnb.hub")

GRACE_STOP = 3.0  # seconds that a released worker has to close by itself
LEAST_TERM = 5.0  # real seconds; a budget that pays for less than this is spent


@dataclass
class Run:
    """One cell or job: who asked for it, and where it stands."""

    id: str
    label: str
    client: str = ""
    began: float = 0.0
    ended: float | None = None
    state: str = "running"
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
        self.on_event: list[Callable[[Slot, dict[str, Any]], None]] = []
        self._numbers: dict[str, itertools.count[int]] = {}
        self._lease_numbers = itertools.count(1)
        self._providers: dict[str, Provider] = {}
        self._changed = asyncio.Event()
        self._renewing = asyncio.Lock()
        self.closing = False
        scheduler.keeper = self

    # leases

    async def lease(self, quote: Quote, *, keep: bool = False) -> Lease:
        """Hold the money for a quote's first term, then start its workers.

        Raises
        ------
        BudgetError
            If the first term cannot be paid; nothing was started then.
        ProviderError
            If a site could not start a worker; what had started is ended.
        """
        if self.closing:
            raise RequestError("this grid is ending; connect to a new one")
        lease = self._plan(quote, keep)
        await self._fund(lease, lease.open_slots(), clock())
        self.leases[lease.id] = lease
        self.slots.update(lease.slots)
        try:
            await asyncio.gather(*(self._start(slot) for slot in lease.open_slots()))
        except GridError as error:
            self.release(lease, f"could not start: {error}")
            raise
        return lease

    def _plan(self, quote: Quote, keep: bool) -> Lease:
        now = clock()
        request, config, scale = quote.request, self.settings.lease, float(self.scale)
        deadline = None if request.deadline is None else now + request.deadline / scale
        lease = Lease(
            id=f"{self.grid}-l{next(self._lease_numbers)}",
            quote=quote,
            began=now,
            term=min(self._term(line.site) for line in quote.lines),
            deadline=deadline,
            idle_limit=None,
            keep=keep,
            busy_at=now,
        )
        for line in quote.lines:
            site = self.catalog.site(line.site)
            offer = next(o for o in site.offers if o.name == line.offer)
            for _ in range(line.count):
                name = self._name(site.name)
                lease.slots[name] = Slot(name, site, offer, lease.id, self.scale, now)
        if not lease.free and not keep:
            lease.idle_limit = max(config.idle / scale, config.idle_least)
        return lease

    def _term(self, site: str) -> float:
        term = self.catalog.site(site).term
        return float(term if term is not None else self.settings.lease.term) / float(self.scale)

    def _name(self, site: str) -> str:
        numbers = self._numbers.setdefault(site, itertools.count(1))
        return f"{site}-{next(numbers)}"

    async def _fund(self, lease: Lease, slots: list[Slot], now: float) -> None:
        """Place the holds for the next term of these workers, all or none."""
        plans = []
        for slot in slots:
            end = lease.next_end(slot, now)
            key = f"{self.grid}/{slot.name}/term-{slot.purse.count + 1}"
            plans.append((slot, key, slot.to_hold(end, now), end))
        self._check_cap(lease, sum((amount for _, _, amount, _ in plans), Decimal(0)))
        await self.treasury.hold(
            [
                HoldOrder(
                    key=key,
                    amount=amount,
                    grid=self.grid,
                    lease=lease.id,
                    worker=slot.name,
                    site=slot.site.name,
                )
                for slot, key, amount, _ in plans
            ]
        )
        for slot, key, amount, end in plans:
            slot.purse.put(key, amount)
            slot.end = end
            if slot.link is not None:
                slot.link.renew(end, key)

    def _check_cap(self, lease: Lease, more: Decimal) -> None:
        """A lease has a cap of its own, too (`max_cost`)."""
        limit = lease.quote.request.max_cost
        if limit is None:
            return
        spent = sum((slot.charged_total for slot in lease.slots.values()), Decimal(0))
        held = sum((s.purse.total - s.charged_total for s in lease.open_slots()), Decimal(0))
        left = limit.amount - spent - held
        if more > left:
            raise BudgetExceeded(
                f"the cap of this request, {limit}, does not pay for the next term "
                f"({more:.4f} needed, {left:.4f} left); raise max_cost",
                needed=more,
                left=left,
            )

    async def _start(self, slot: Slot) -> None:
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
        try:
            slot.link = await provider.start(order, lambda message: self._event(slot, message))
        except GridError as error:
            slot.state, slot.reason = "ended", str(error)
            raise
        if slot.state == "draining":  # released while it was being started
            slot.link.stop(0, slot.reason)

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
        if op == "started":
            slot.started = message["t"]
        elif op == "worker":
            slot.pid = message["pid"]
        elif op == "ended":
            self._ended(slot, message["up"], message["reason"], message["cpu"])
        elif op == "lost" and slot.ended is None:
            self._lost(slot)
        for listener in self.on_event:
            listener(slot, message)

    def _ended(self, slot: Slot, up: float, reason: str, cpu: float | None) -> None:
        if slot.started is None:  # it ended before it could say that it had started
            slot.started = slot.ordered
        slot.ended = slot.started + up
        slot.state, slot.cpu = "ended", cpu
        slot.reason = slot.reason or reason
        for seat, (run, since) in list(slot.cell_running.items()):
            slot.cell_used[run] += max(slot.ended - since, 0.0)
            del slot.cell_running[seat]
        if slot.link is not None:
            slot.link.close()
        self._changed.set()

    def _lost(self, slot: Slot) -> None:
        """A guard went without a word: its record says how long the worker was up."""
        path = self.host.records / f"{slot.name}.json"
        record = read_record(str(path)) if path.exists() else None
        up = float(record["up"]) if record else 0.0
        slot.estimated = not (record and record["ended"])
        self._ended(slot, up, "its guard was lost", None)

    # what the scheduler says (gridnb.cluster.scheduler.Keeper)

    def admits(self, worker: str) -> str | None:
        """Return why a worker may not join, or None if a hold pays for it."""
        slot = self.slots.get(worker)
        if slot is None:
            return f"no lease of grid {self.grid} has a worker named {worker}"
        if slot.state == "ended" or clock() >= slot.end:
            return f"the paid term of {worker} is over"
        return None

    def joined(self, worker: str, address: str) -> None:
        """Note that a worker is up."""
        slot = self.slots[worker]
        slot.address = address
        if slot.ready is None:
            slot.ready = clock()
        if slot.state == "starting":
            slot.state = "running"
        self._changed.set()

    def left(self, worker: str) -> None:
        """Note that a worker is gone from the scheduler."""
        slot = self.slots.get(worker)
        if slot is not None:
            slot.address = None
            slot.worker_gone(clock())

    def sampled(self, worker: str, sample: dict[str, Any]) -> None:
        """Take a worker's counts."""
        slot = self.slots.get(worker)
        if slot is not None:
            slot.take(Sample(**sample))

    def seen_run(self, run: str, label: str) -> None:
        """Note a run that a client did not announce."""
        if run not in self.runs:
            self.runs[run] = Run(run, label or run, began=clock())

    async def respawn(self, workers: list[str]) -> None:
        """Have guards end workers and start them again; their terms stay as they are."""
        for name in workers:
            slot = self.slots.get(name)
            if slot is not None and slot.link is not None:
                slot.link.send("respawn")

    # the hub's own clock

    async def tick(self) -> None:
        """Renew terms, end what is to end, charge what was used. Called every second or so."""
        now = clock()
        self._look_busy(now)
        await self.renew(now)
        self._expire(now)
        await self.biller.bill(now)

    async def renew(self, now: float) -> None:
        """Pay for the next term of every worker whose term is about to end."""
        async with self._renewing:
            for lease in list(self.leases.values()):
                due = lease.due(now) if lease.state == "active" else []
                if not due:
                    continue
                try:
                    await self._fund(lease, due, now)
                    lease.reason = ""
                except BudgetExceeded as error:
                    await self._last_term(lease, due, now, error)
                except GridError as error:
                    lease.reason = f"not renewed: {error}"

    async def _last_term(
        self, lease: Lease, due: list[Slot], now: float, error: BudgetExceeded
    ) -> None:
        """Buy as much time as the budget still pays for; the lease ends with it."""
        lease.reason = f"not renewed: {error}"
        rate = sum((slot.rate for slot in due), Decimal(0))
        if not rate or error.left <= 0:
            return
        seconds = float(error.left / rate * 3600 / self.scale) * 0.98 - 1
        if seconds < LEAST_TERM:
            return
        whole, lease.term = lease.term, min(seconds, lease.term)
        try:
            await self._fund(lease, due, now)
        except GridError as again:
            lease.reason = f"not renewed: {again}"
        finally:
            lease.term = whole

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

    def _expire(self, now: float) -> None:
        for lease in self.leases.values():
            if lease.state == "active" and lease.released_in(now) == 0:
                self.release(lease, "idle")
            if lease.state == "active" and lease.deadline is not None and now >= lease.deadline:
                self.release(lease, "its deadline has come")
            if lease.state != "ended" and not lease.open_slots():
                lease.state = "ended"
                lease.reason = lease.reason or "all its workers have ended"

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
        for lease in self.leases.values():
            self.release(lease, reason)
        until = clock() + GRACE_STOP + 3
        while any(s.state != "ended" and s.link for s in self.slots.values()) and clock() < until:
            await self.changed(0.2)
        await self.biller.bill(clock(), final=True)
        settled = await self.treasury.close()
        return settled and all(slot.state == "ended" for slot in self.slots.values())
