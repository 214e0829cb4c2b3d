"""Workers that a site takes back: it says so a while before, and they are emptied meanwhile.

The guard ends them at the end of the notice whatever the hub does. A worker that is empty earlier,
and in whose cell processes nobody has anything, ends then, since it is paid for until it ends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from gridnb.cluster.drain import Drain, Drained
from gridnb.errors import GridError, RequestError
from gridnb.providers.guard import clock
from gridnb.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub
    from gridnb.hub.seats import Seats
    from gridnb.hub.slots import Slot

__all__ = ["Notices"]

logger = logging.getLogger("gridnb.hub")


class Notices:
    """Takes the notices of sites, and has workers emptied within them."""

    def __init__(self, hub: Hub, seats: Seats) -> None:
        self.hub, self.seats = hub, seats
        self._tasks: set[asyncio.Task[None]] = set()

    async def preempt(self, what: str, notice: float) -> dict[str, Any]:
        """Have a simulated site take back a worker, or all it has, after `notice` real seconds.

        Raises
        ------
        RequestError
            If it is neither a worker that is up nor a site with one, or not simulated.
        """
        slots = [
            slot
            for slot in self.hub.slots.values()
            if what in (slot.name, slot.site.name) and slot.state in ("starting", "running")
        ]
        if not slots:
            names = [s.name for s in self.hub.slots.values() if s.running]
            known = ", ".join(names) or "none"
            raise RequestError(f"no worker is up under the name {what!r}; there are: {known}")
        if not slots[0].site.simulated:
            raise RequestError(
                f"site {slots[0].site.name} is not simulated: only it can take its workers back"
            )
        self.noticed(slots, clock() + notice)
        return {"workers": [slot.name for slot in slots]}

    def noticed(self, slots: list[Slot], end: float) -> None:
        """Workers of one site are to end at a time of the guard's clock."""
        site, losses = slots[0].site.name, self.hub.losses
        within = format_seconds(round(max(end - clock(), 0.0)))
        for slot in slots:
            slot.state, slot.until = "draining", end  # until then its terms are paid
            slot.reason = f"taken back by {site}, with a notice of {within}"
            if slot.link is not None:
                slot.link.send("notice", end=end, reason=slot.reason)
        losses.note(site, "notice")
        losses.tell(site, f"takes {', '.join(s.name for s in slots)} back in {within}")
        for slot in slots:
            lease = self.hub.leases[slot.lease]
            if lease.state == "active":
                losses.lack(lease, slot)
        task = asyncio.create_task(self._empty(slots, end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _empty(self, slots: list[Slot], end: float) -> None:
        try:
            addresses = [slot.address for slot in slots if slot.address is not None]
            wishes, site = self.hub.scheduler.protection.wishes, slots[0].site.name
            assert wishes is not None
            drain = Drain(
                self.hub.scheduler,
                addresses,
                end,
                distance=wishes.distance,
                allows=lambda other: self._may_hold(slots, other),
            )
            self.hub.losses.tell(site, _told(await drain.run()))
            await self._leave(slots, end)
        except Exception:
            logger.exception("workers that are taken back could not be emptied")

    def _may_hold(self, slots: list[Slot], site: str) -> bool:
        """Whether data of these workers may go to a site: where their leases may have workers."""
        from gridnb.broker.market import in_places

        leases = {slot.lease for slot in slots}
        place = self.hub.catalog.site(site)
        return all(in_places(place, self.hub.leases[each].quote.request) for each in leases)

    async def _leave(self, slots: list[Slot], end: float) -> None:
        """End the workers that are empty before the notice is over."""
        while clock() < end:
            left = [slot for slot in slots if slot.running]
            for slot in left:
                ws = self.hub.scheduler.workers.get(slot.address) if slot.address else None
                busy = ws is not None and (ws.processing or ws.actors)
                if not busy and not self._lent(slot) and slot.link is not None:
                    slot.link.stop(1.0, slot.reason)
            if not left:
                return
            await asyncio.sleep(0.5)

    def _lent(self, slot: Slot) -> bool:
        there = (seat for seat in self.seats.seats.values() if seat.slot is slot)
        return any(seat.client is not None for seat in there)

    async def close(self) -> None:
        """Empty nothing more."""
        for task in self._tasks:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        errors = [error for error in done if isinstance(error, GridError)]
        for error in errors:
            logger.error("%s", error)


def _told(drained: Drained) -> str:
    parts = [f"{drained.moved} results ({format_bytes(drained.moved_bytes)}) moved"]
    if drained.rerun:
        parts.append(f"{drained.rerun} tasks rerun elsewhere")
    if drained.left:
        parts.append(f"{drained.left} results left behind, which are computed again")
    if drained.actors:
        parts.append(f"{drained.actors} actors end there")
    return ", ".join(parts)
