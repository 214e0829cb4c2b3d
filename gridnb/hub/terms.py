"""Paying for time: each term of each worker by a hold, before it begins."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from gridnb.errors import BudgetExceeded, GridError, RequestError
from gridnb.hub.leases import Lease
from gridnb.hub.slots import Slot
from gridnb.ledger import HoldOrder

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub

__all__ = ["LEAST_TERM", "Terms"]

LEAST_TERM = 5.0  # real seconds; a budget that pays for less than this is spent


class Terms:
    """Places the holds of a hub's workers."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._renewing = asyncio.Lock()
        self._funding = asyncio.Lock()  # between a look at a lease's cap and the money in its purse

    def length(self, site: str) -> float:
        """Return the length of a site's term in real seconds."""
        hub = self.hub
        term = hub.catalog.site(site).term
        billed = term if term is not None else hub.settings.lease.term
        return max(float(billed) / float(hub.scale), LEAST_TERM)

    async def fund(self, lease: Lease, slots: list[Slot], now: float) -> None:
        """Hold the money for the next term of these workers, all or none; then move their ends.

        Raises
        ------
        BudgetError
            If the budget, or the request's own cap, does not pay for it.
        """
        async with self._funding:
            await self._fund(lease, slots, now)

    async def _fund(self, lease: Lease, slots: list[Slot], now: float) -> None:
        hub = self.hub
        plans = []
        for slot in slots:
            end = lease.next_end(slot, now)
            key = f"{hub.grid}/{slot.name}/term-{slot.purse.count + 1}"
            plans.append((slot, key, slot.to_hold(end, now), end))
        self._check_cap(lease, sum((amount for _, _, amount, _ in plans), Decimal(0)))
        await hub.treasury.hold(
            [
                HoldOrder(
                    key=key,
                    amount=amount,
                    grid=hub.grid,
                    lease=lease.id,
                    worker=slot.name,
                    site=slot.site.name,
                )
                for slot, key, amount, _ in plans
            ]
        )
        late = [key for slot, key, _, _ in plans if slot.state == "ended"]
        for slot, key, amount, end in plans:
            if slot.state == "ended":  # while the ledger wrote
                continue
            slot.purse.put(key, amount)
            slot.end = end
            if slot.link is not None:
                slot.link.renew(end, key)
        hub.treasury.queue([], late)
        if hub.closing:
            raise RequestError("this grid is ending; connect to a new one")

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

    async def renew(self, now: float) -> None:
        """Pay for the next term of every worker whose term is about to end."""
        async with self._renewing:
            for lease in list(self.hub.leases.values()):
                due = lease.due(now) if lease.state == "active" else []
                if not due:
                    continue
                try:
                    await self.fund(lease, due, now)
                    lease.reason = ""
                except BudgetExceeded as error:
                    await self._last(lease, due, now, error)
                except GridError as error:
                    lease.reason = f"not renewed: {error}"

    async def _last(self, lease: Lease, due: list[Slot], now: float, error: BudgetExceeded) -> None:
        """Buy as much time as the budget still pays for; the lease ends with it."""
        lease.reason = f"not renewed: {error}"
        rate = sum((slot.rate for slot in due), Decimal(0))
        if not rate or error.left <= 0:
            return
        seconds = float(error.left / rate * 3600 / self.hub.scale) * 0.98 - 1
        if seconds < LEAST_TERM:
            return
        whole, lease.term = lease.term, min(seconds, lease.term)
        try:
            await self.fund(lease, due, now)
        except GridError as again:
            lease.reason = f"not renewed: {again}"
        finally:  # a site with a shorter term may have come in meanwhile
            lengths = [self.length(slot.site.name) for slot in lease.open_slots()]
            lease.term = min([whole, *lengths])
