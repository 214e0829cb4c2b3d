"""What a request would cost in a grid as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gridnb.broker import Quote, Request, quote
from gridnb.units import Money

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub

__all__ = ["quoted"]


async def quoted(hub: Hub, request: Request, avoid: Mapping[str, str]) -> Quote:
    """Quote a request on what is free at the sites and in the budget.

    Raises
    ------
    RequestError
        If it cannot be met.
    """
    account = await hub.treasury.account()
    left = None if account.left is None else Money(account.left, account.currency)
    taken: dict[str, int] = {}
    for slot in hub.slots.values():
        if slot.state != "ended":
            taken[slot.site.name] = taken.get(slot.site.name, 0) + 1
    term = hub.settings.lease.term
    return quote(request, hub.catalog, taken=taken, left=left, term=term, avoid=avoid)
