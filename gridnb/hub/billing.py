"""From what workers were used for to charges in the ledger, cumulative and each once."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from gridnb.cluster.links import LinkTable
from gridnb.errors import BudgetError, LedgerUnavailable
from gridnb.hub.purse import Purse
from gridnb.hub.slots import Line, Slot
from gridnb.ledger import ChargeLine, HoldOrder
from gridnb.providers.guard import clock

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub, Run

__all__ = ["Biller"]

logger = logging.getLogger("gridnb.hub")

PAID_EVERY = 2.5  # real seconds between charges of a worker that costs something
FREE_EVERY = 30.0
STALE = 3.0  # real seconds after which a worker's last counts are carried on
_PATIENCE = 0.5  # seconds that a busy worker has to answer
_NANO = Decimal("1e-9")
#: The date of the guard's clock's zero, taken once, so that times stay in order.
_BOOTED = datetime.now(UTC) - timedelta(seconds=clock())


class Biller:
    """Writes the charges of a hub's workers and of its traffic."""

    def __init__(self, hub: Hub, links: LinkTable | None) -> None:
        self.hub = hub
        self.links = links
        #: For what run data moves between two sites, while all of it does so for one.
        self.movers: dict[tuple[str, str], Run] = {}
        self._egress: dict[str, Purse] = {}
        self._traffic: dict[tuple[str, str], int] = {}
        self._settled: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._overruns: list[tuple[Decimal, str, str, str]] = []
        self._waiting: set[str] = set()
        self._lock = asyncio.Lock()

    async def bill(self, now: float, *, flush: bool = False, final: bool = False) -> None:
        """Charge workers up to now (or to their end), and the traffic between sites.

        `flush` charges all of them, not only those whose turn it is; `final` also
        gives back what is left for traffic.
        """
        if flush:
            await self.hub.scheduler.sample(_PATIENCE)
            now = clock()
        async with self._lock:
            await self._bill(now, flush or final, final)

    async def _bill(self, now: float, flush: bool, final: bool) -> None:
        treasury = self.hub.treasury
        for slot in list(self.hub.slots.values()):
            if slot.name in self._settled or (not flush and not self._due(slot, now)):
                continue
            over = slot.state == "ended"
            lines = [c for line in self._lines_of(slot, now) for c in self._charge(slot, line)]
            if over:
                slot.purse.empty()
                self._settled.add(slot.name)
            treasury.queue(lines, slot.purse.take_spent())
        for site, purse in self._egress.items():
            gone = final or not any(slot.site.name == site for slot in self._open())
            if gone and self.links is not None:
                self.links.revoke(site)
            treasury.queue(self._egress_lines(site, purse), [])
            if gone:
                purse.empty()
            treasury.queue([], purse.take_spent())
        await self._post_overruns()
        await treasury.settle()

    def _open(self) -> list[Slot]:
        return [slot for slot in self.hub.slots.values() if slot.state != "ended"]

    def _due(self, slot: Slot, now: float) -> bool:
        if slot.state == "ended":
            return True
        since = slot.billed_to if slot.billed_to is not None else slot.started
        every = FREE_EVERY if slot.site.free else PAID_EVERY
        return since is not None and now - since >= every

    def _lines_of(self, slot: Slot, now: float) -> list[Line]:
        if slot.ended is None:
            return slot.lines(slot.known_to(now, STALE))
        last = slot.lines(slot.ended)
        return last + ([more] if (more := slot.last_line()) else [])

    def _charge(self, slot: Slot, line: Line) -> list[ChargeLine]:
        """Turn a line into charges on the holds that pay for it."""
        self._note_run(slot, line)
        seconds = line.seconds
        charges = []
        for hold, part in slot.purse.draw(line.amount):
            if hold is None:
                reason = f"{slot.name} ran on after the end of its paid term"
                self._overrun(slot.name, slot.site.name, part, reason)
                continue
            charges.append(self._charge_line(slot, line, hold, part, seconds))
            seconds = Decimal(0)
        return charges

    def _charge_line(
        self, slot: Slot, line: Line, hold: str, part: Decimal, seconds: Decimal
    ) -> ChargeLine:
        run = self.hub.runs.get(line.run)
        return ChargeLine(
            key=self._key(slot.name),
            hold=hold,
            amount=part,
            kind=line.kind,
            seconds=seconds,
            grid=self.hub.grid,
            lease=slot.lease,
            worker=slot.name,
            site=slot.site.name,
            owner=slot.site.owner,
            run=line.run,
            label=run.label if run else "",
            start=_wall(line.start),
            end=_wall(line.end),
            estimated=slot.estimated,
            note="its guard was lost" if slot.estimated else "",
        )

    def _key(self, name: str) -> str:
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return f"{self.hub.grid}/{name}/charge-{number}"

    def _note_run(self, slot: Slot, line: Line) -> None:
        if line.kind != "used":
            return
        self.hub.seen_run(line.run, "")
        run = self.hub.runs[line.run]
        run.cost += line.amount
        run.used += line.seconds
        site = slot.site.name
        run.sites[site] = run.sites.get(site, Decimal(0)) + line.seconds

    def _overrun(self, name: str, site: str, amount: Decimal, reason: str) -> None:
        """Note what no hold covers: it is shown apart, and blocks new holds."""
        if amount:
            logger.warning("%s: %s", reason, amount)
            key = self._key(f"{name}/overrun")
            self._overruns.append((amount, reason, key, site))

    async def _post_overruns(self) -> None:
        while self._overruns:
            try:
                await self.hub.treasury.adjust(*self._overruns[0])
            except LedgerUnavailable as error:
                logger.error("an adjustment waits: %s", error)
                return
            del self._overruns[0]

    # traffic

    async def fund_egress(self) -> None:
        """Set money aside for the next bytes that leave each site, before they do."""
        if self.links is None:
            return
        for site in {slot.site.name for slot in self._open() if slot.state == "running"}:
            chunk = self._chunk(site)
            if not chunk:
                continue
            state = self.links.egress(site)
            short = max(state.wanted, state.used + chunk // 2) - state.allowed
            if short > 0:
                await self._hold_egress(site, max(short, chunk))

    def _chunk(self, site: str) -> int:
        """Return the price of a chunk over the site's dearest link, in nano units."""
        assert self.links is not None
        others = (other for other in self.links.sites if other != site)
        price = max((self.links.price(site, other) for other in others), default=0)
        return -(-price * self.hub.settings.lease.egress_chunk // 2**30)

    async def _hold_egress(self, site: str, nano: int) -> None:
        assert self.links is not None
        purse = self._egress.setdefault(site, Purse())
        key = f"{self.hub.grid}/{site}/egress-{purse.count + 1}"
        order = HoldOrder(
            key=key, amount=nano * _NANO, grid=self.hub.grid, worker=f"{site}/egress", site=site
        )
        try:
            await self.hub.treasury.hold([order])
        except BudgetError as error:
            if site not in self._waiting:
                logger.info("transfers out of %s wait: %s", site, error)
                self._waiting.add(site)
            return
        self._waiting.discard(site)
        purse.put(key, nano * _NANO)
        self.links.allow(site, nano)

    def _egress_lines(self, site: str, purse: Purse) -> list[ChargeLine]:
        lines: list[ChargeLine] = []
        for link in self.links.traffic(site) if self.links else []:
            more = link.cost - self._traffic.get((link.src, link.dst), 0)
            if not more:
                continue
            self._traffic[link.src, link.dst] = link.cost
            for hold, part in purse.draw(more * _NANO):
                if hold is None:
                    self._overrun(site, site, part, f"{site}/egress was more than was held for it")
                else:
                    lines.append(self._egress_line(link.src, link.dst, hold, part))
        return lines

    def _egress_line(self, src: str, dst: str, hold: str, amount: Decimal) -> ChargeLine:
        run = self.movers.get((src, dst))
        if run is not None:
            run.cost += amount
        return ChargeLine(
            key=self._key(f"{src}/egress"),
            hold=hold,
            amount=amount,
            kind="egress",
            seconds=Decimal(0),
            grid=self.hub.grid,
            worker=f"{src}/egress",
            site=src,
            owner=self.hub.catalog.site(src).owner,
            run=run.id if run else "",
            label=run.label if run else f"to {dst}",
            start=(now := _wall(clock())),
            end=now,
        )


def _wall(t: float) -> datetime:
    """Turn a time of the guard's clock into a date; the same one always into the same."""
    return _BOOTED + timedelta(seconds=t)
