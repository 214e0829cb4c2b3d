"""What happens when workers go unasked: their work is rerun by Dask, their capacity bought again.

The new workers belong to the same lease, so that its cap, its deadline and whoever holds it stay
the same; the lost ones are closed and settled. What is bought fits into what remains of the cap.
A lease is bought for again only while it is wanted, and only a few times within a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.broker import Quote, Request
from gridnb.errors import BudgetError, ConsentError, GridError
from gridnb.hub.health import Health, Kind
from gridnb.hub.quoting import quoted
from gridnb.providers.guard import clock
from gridnb.units import Money

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub
    from gridnb.hub.leases import Lease
    from gridnb.hub.slots import Slot

__all__ = ["Event", "Losses"]

logger = logging.getLogger("gridnb.hub")

SETTLE = 0.3  # real seconds in which the losses of one site are gathered
AGAIN = 2.0  # real seconds between two tries to buy
PATIENCE = 60.0  # real seconds after which it is given up
MOST = 5  # times that a lease is bought for again within WINDOW
WINDOW = 600.0
IN_USE = 5.0  # real seconds since its last work in which a lease is in use
YOUNG = 10.0  # real seconds that a guard has to say that it has started
SLOW = 60.0  # real seconds above its offer's delay that a worker may take to start


@dataclass(frozen=True)
class Event:
    """Something that a user should know of: when, where, what."""

    at: float
    site: str
    text: str


@dataclass
class _Short:
    """A lease that lacks workers: since when, and how many went."""

    since: float
    gone: list[Slot] = field(default_factory=list)


class Losses:
    """Notes what a hub's sites lose, and sees to it that leases get it back."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.health = Health()
        self.events: deque[Event] = deque(maxlen=100)
        #: Sites that were avoided when it was last looked at.
        self.sick: frozenset[str] = frozenset()
        self._short: dict[str, _Short] = {}
        self._bought: dict[str, list[float]] = {}
        self._buyer: asyncio.Task[None] | None = None
        self._looked = clock()
        self._sweep_due = False

    # what is heard

    def tell(self, site: str, text: str) -> None:
        """Note something for the status, and for the log."""
        self.events.append(Event(clock(), site, text))
        logger.info("%s: %s", site, text)

    def note(self, site: str, kind: Kind, *, whole: bool = False) -> None:
        """Note a failure of a site; while it is avoided, others go before it."""
        self.health.note(site, kind, clock(), whole=whole)
        self._mark()

    def start_failed(self, slot: Slot) -> None:
        """Note that a site could not start a worker."""
        self.note(slot.site.name, "start")
        self.tell(slot.site.name, f"{slot.name} could not be started: {slot.reason}")

    def joined(self, slot: Slot) -> None:
        """Note a worker that came late."""
        began = slot.started if slot.started is not None else slot.ordered
        delay = slot.offer.start_delay / float(self.hub.scale)
        if clock() - began > delay + SLOW:
            self.note(slot.site.name, "slow")
        self._mark()

    def lost(self, slot: Slot) -> None:
        """A worker has ended that nobody has asked to end."""
        lease = self.hub.leases.get(slot.lease)
        if lease is None or lease.state != "active" or self.hub.closing:
            return
        if lease.deadline is not None and clock() >= lease.deadline - 1:
            return
        if lease.reason.startswith("not renewed"):  # its money is spent
            return
        site = slot.site.name
        left = any(s.running for s in self.hub.slots.values() if s.site.name == site)
        self.note(site, "lost" if slot.ready is not None else "start", whole=not left)
        self.tell(site, f"{slot.name} was lost: {slot.reason}")
        self.lack(lease, slot)

    def lack(self, lease: Lease, slot: Slot) -> None:
        """Note that a lease has to do without a worker, and buy another one if it may."""
        short = self._short.setdefault(lease.id, _Short(clock()))
        short.gone.append(slot)
        if self._buyer is None or self._buyer.done():
            self._buyer = asyncio.create_task(self._buy())

    def coming(self, lease: str | None = None) -> bool:
        """Whether workers are being bought again, for a lease or for any."""
        return bool(self._short) if lease is None else lease in self._short

    def avoided(self) -> dict[str, str]:
        """Return the sites that are avoided now, each with the reason."""
        return self.health.avoided(clock())

    def _mark(self) -> None:
        """Tell the scheduler which workers are at sites that are avoided."""
        self.sick = frozenset(self.avoided())
        slots = self.hub.slots.values() if self.sick else ()
        there = frozenset(s.address for s in slots if s.address and s.site.name in self.sick)
        self.hub.scheduler.avoided = there

    # the hub's tick

    async def look(self, now: float) -> None:
        """Find workers whose guards have fallen silent, and sites that are well again."""
        settings = self.hub.settings.hub
        paused = now - self._looked > max(3 * settings.tick, settings.silence / 2)
        self._looked = now
        for slot in list(self.hub.slots.values()):
            if paused:  # it was the hub that heard nothing
                slot.heard = now
            if slot.running and slot.started is not None and self._silent(slot, now):
                await self._give_up(slot)
        if self._sweep_due:
            self.sweep(now)
        self._mark()

    def _silent(self, slot: Slot, now: float) -> bool:
        return now - slot.heard > self.hub.settings.hub.silence

    async def _give_up(self, slot: Slot) -> None:
        """Do without a worker that is stopped, or cut off: its work goes elsewhere.

        Its guard ends it when it wakes, since the channel is closed; one on this machine is ended.
        """
        if slot.address is not None:
            await self.hub.scheduler.remove_worker(
                slot.address, expected=True, stimulus_id="gridnb-silent"
            )
        if not slot.running:  # it has ended by itself meanwhile
            return
        slot.reason = f"no word from its guard for {self.hub.settings.hub.silence:g} s"
        self.hub.guard_lost(slot)

    def sweep(self, now: float) -> None:
        """End what lost guards have left here; later, if a guard is just being started."""
        if self.hub.sweep is None:
            return
        running = [slot for slot in self.hub.slots.values() if slot.running]
        young = any(s.started is None and now - s.ordered < YOUNG for s in running)
        self._sweep_due = young
        if not young:
            self.hub.sweep({slot.guard for slot in running if slot.guard})

    # buying again

    async def _buy(self) -> None:
        """Buy for the leases that are short until none is."""
        await asyncio.sleep(SETTLE)
        while self._short and not self.hub.closing:
            for name, short in list(self._short.items()):
                gone = list(short.gone)
                try:
                    done = await self._buy_for(self.hub.leases[name], short)
                except Exception:
                    logger.exception("what lease %s has lost could not be bought again", name)
                    done = True
                if done:
                    short.gone = [slot for slot in short.gone if slot not in gone]
                if not short.gone:
                    del self._short[name]
                    self.hub.wake()
            await asyncio.sleep(AGAIN if self._short else 0)

    async def _buy_for(self, lease: Lease, short: _Short) -> bool:
        """Try once; returns whether nothing more is to be tried."""
        if lease.state != "active":
            return True
        where, why = short.gone[-1].site.name, self._unwanted(lease)
        if why:
            self._give_in(lease, where, why)
            return True
        request, count = self._lacking(lease), len(short.gone)
        if request is None:
            lease.count -= count
            return True
        try:
            await self._take(lease, request, count)
        except (BudgetError, ConsentError) as error:
            self._give_in(lease, where, str(error))
        except GridError as error:
            if clock() - short.since < PATIENCE:
                return False
            self._give_in(lease, where, str(error))
        return True

    def _give_in(self, lease: Lease, site: str, why: str) -> None:
        lease.reason = f"not bought again: {why}"
        self.tell(site, f"not bought again for lease {_brief(lease.id)}: {why}")

    def _unwanted(self, lease: Lease) -> str:
        """Say why a lease is not to be bought for again; nothing if it is."""
        now = clock()
        if not self.hub.settings.lease.rebuy:
            return "gridnb.lease.rebuy is off"
        if lease.deadline is not None and lease.deadline - now < 2:
            return "its deadline has come"
        if lease.idle_limit is not None and not self._in_use(lease, now):
            return "it was idle"
        recent = [t for t in self._bought.get(lease.id, []) if now - t < WINDOW]
        if len(recent) >= MOST:
            return f"that was done {len(recent)} times in {WINDOW / 60:.0f} min"
        return ""

    def _in_use(self, lease: Lease, now: float) -> bool:
        scheduler = self.hub.scheduler
        waiting = bool(scheduler.unrunnable) or bool(scheduler.queued)
        protects = lease.quote.request.replicas > 1 and any(scheduler.protection.protected())
        return waiting or protects or now - lease.busy_at < IN_USE

    def _lacking(self, lease: Lease) -> Request | None:
        """Return what a lease lacks of what it was taken for, on what is left of cap and time."""
        request = lease.quote.request
        there = [s for s in lease.open_slots() if s.state in ("starting", "running")]
        cores = request.cores - sum(slot.cores for slot in there)
        memory = (request.memory or 0) - sum(slot.offer.memory for slot in there)
        gpus = request.gpus - sum(slot.offer.gpus for slot in there)
        workers = None if request.workers is None else request.workers - len(there)
        if max(cores, memory, gpus, workers or 0) <= 0:
            return None
        sites = {slot.site.name for slot in there}
        left: dict[str, Any] = {
            "cores": max(cores, 1),
            "memory": memory if memory > 0 else None,
            "gpus": max(gpus, 0),
            "workers": workers if workers is None else max(workers, 1),
            "replicas": max(min(request.replicas - len(sites), max(workers or cores, 1)), 1),
        }
        if request.max_cost is not None:
            left["max_cost"] = self._cap_left(lease, request.max_cost)
        if lease.deadline is not None:
            left["deadline"] = (lease.deadline - clock()) * float(self.hub.scale)
        return request.model_copy(update=left)

    def _cap_left(self, lease: Lease, cap: Money) -> Money:
        spent = sum((slot.charged_total for slot in lease.slots.values()), Decimal(0))
        held = sum((s.purse.total - s.charged_total for s in lease.open_slots()), Decimal(0))
        return Money(max(cap.amount - spent - held, Decimal(0)), cap.currency)

    async def _take(self, lease: Lease, request: Request, gone: int) -> None:
        """Buy what a lease lacks, at the next best offer, and start it."""
        hub, asked = self.hub, lease.quote.request
        quote = await quoted(hub, request, self._elsewhere(lease, asked.replicas))
        self._refuse_sick(quote)
        await hub.consents.check(lease.session, [quote])
        async with hub.buying:
            if lease.state != "active":
                return
            hub.check_room(quote)
            slots = hub.new_slots(lease.id, quote, now := clock())
            lease.term = min([lease.term, *(hub.terms.length(site) for site in quote.sites)])
            await hub.terms.fund(lease, list(slots.values()), now)
            lease.slots |= slots
            hub.slots.update(slots)
        lease.count += len(slots) - gone
        lease.limit_idle(hub.settings.lease, float(hub.scale))
        self._bought.setdefault(lease.id, []).append(now)
        what = ", ".join(f"{line.count} × {line.site}" for line in quote.lines)
        self.tell(quote.sites[0], f"bought again for lease {_brief(lease.id)}: {what}")
        started = await asyncio.gather(*map(hub.start, slots.values()), return_exceptions=True)
        for slot, error in zip(slots.values(), started, strict=True):
            if isinstance(error, GridError):
                self.lack(lease, slot)
            elif isinstance(error, BaseException):
                raise error

    def _elsewhere(self, lease: Lease, replicas: int) -> dict[str, str]:
        """Return the sites to leave out, if others will do: sick ones, and where copies are."""
        there = {slot.site.name for slot in lease.open_slots()}
        doubled = dict.fromkeys(there, "holds copies already") if len(there) < replicas else {}
        return {**doubled, **self.avoided()}

    def _refuse_sick(self, quote: Quote) -> None:
        """Wait for a site that has failed again and again, rather than buy there at once."""
        for site in quote.sites:
            why = self.health.why(site, clock())
            if why is not None and self.health.strikes(site, clock()) > 2:
                raise GridError(f"site {site} {why}")


def _brief(lease: str) -> str:
    return lease.rpartition("-")[2]
