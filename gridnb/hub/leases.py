"""A lease: an accepted quote, its workers, and when and why it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from gridnb.broker import Quote
from gridnb.config import LeaseSettings
from gridnb.hub.slots import Slot

__all__ = ["Lease"]

State = Literal["active", "ending", "ended"]


@dataclass
class Lease:
    """Workers that were asked for together.

    Times are seconds of the guard's clock; `deadline` is when the lease ends at
    the latest, `idle_limit` (real seconds) how long it may be without work. `session` is who took
    it, `count` how many workers it is to have.
    """

    id: str
    quote: Quote
    began: float
    term: float
    deadline: float | None
    idle_limit: float | None
    keep: bool = False
    session: str = ""
    count: int = 0
    slots: dict[str, Slot] = field(default_factory=dict)
    state: State = "active"
    reason: str = ""
    busy_at: float = 0.0

    @property
    def free(self) -> bool:
        """Whether no worker of it costs anything."""
        return all(slot.site.free for slot in self.slots.values())

    def limit_idle(self, settings: LeaseSettings, scale: float) -> None:
        """Have it end when it is without work for long, if it costs anything and is not kept."""
        if not self.free and not self.keep:
            self.idle_limit = max(settings.idle / scale, settings.idle_least)

    def open_slots(self) -> list[Slot]:
        """Return the workers that have not ended."""
        return [slot for slot in self.slots.values() if slot.state != "ended"]

    def released_in(self, now: float) -> float | None:
        """Return the real seconds until the lease ends for want of work, or None."""
        if self.idle_limit is None or self.state != "active":
            return None
        return max(self.idle_limit - (now - self.busy_at), 0.0)

    def next_end(self, slot: Slot, now: float) -> float:
        """Return the end of the term that follows the slot's present one."""
        ends = [max(slot.end, now) + self.term, self.deadline, slot.until]
        return min(end for end in ends if end is not None)

    def due(self, now: float) -> list[Slot]:
        """Return the workers whose term has to be renewed now."""
        soon = now + 0.4 * self.term
        return [
            slot
            for slot in self.open_slots()
            if (slot.state in ("starting", "running") or slot.end < (slot.until or 0.0))
            and slot.end <= soon
            and (self.deadline is None or slot.end < self.deadline)
        ]

    def over(self, now: float, grace: float) -> bool:
        """Whether its deadline comes within `grace` seconds, which its workers get to close."""
        return self.deadline is not None and now >= self.deadline - min(grace, self.term / 4)

    def describe(self, now: float) -> dict[str, Any]:
        """Return the lease as a row of the grid's status."""
        lines: dict[tuple[str, str], int] = {}
        for slot in self.open_slots():
            key = (slot.site.name, slot.offer.name)
            lines[key] = lines.get(key, 0) + 1
        rate = sum((slot.rate for slot in self.open_slots()), Decimal(0))
        spent = sum((slot.charged_total for slot in self.slots.values()), Decimal(0))
        return {
            "id": self.id,
            "state": self.state,
            "lines": [{"site": s, "offer": o, "count": n} for (s, o), n in lines.items()],
            "rate": str(rate),
            "spent": str(spent),
            "idle_for": max(now - self.busy_at, 0.0),
            "released_in": self.released_in(now),
            "ends_in": None if self.deadline is None else max(self.deadline - now, 0.0),
            "reason": self.reason,
            "workers": sorted(slot.name for slot in self.open_slots()),
        }
