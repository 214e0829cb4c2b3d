"""One direction of a link as a fluid: transfers that are under way share its bandwidth equally.

Each of n transfers is given bandwidth / n, as TCP connections of like kind share a line.
So it is enough to know what *each* has been given since the link was last idle
(:attr:`Flow.served`): a transfer has arrived when that reaches its :attr:`Active.finish`.
Between two events nothing has to run; whoever looks works out what has happened since.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter

__all__ = ["Active", "Flow"]

MEMORY = 5.0  # seconds over which the load is averaged, exponentially
_NEARLY = 0.5  # bytes: what is nearer to its end has arrived


@dataclass(slots=True)
class Active:
    """A transfer under way: its number, the service at which it ends, its size in bytes, whose."""

    number: int
    finish: float
    size: int
    pid: int


@dataclass(slots=True)
class Flow:
    """The state of one direction.

    Attributes
    ----------
    bandwidth
        Bytes a second; 0 for unlimited.
    at
        Up to when it is worked out: nanoseconds of a monotonic clock.
    served
        Bytes that each transfer has been given since the link was last idle.
    load
        The share of the last seconds in which it was busy, 0 to 1.
    active
        What is under way, what ends next first.
    """

    bandwidth: float
    at: int
    served: float = 0.0
    load: float = 0.0
    active: list[Active] = field(default_factory=list)

    def advance(self, now: int) -> list[Active]:
        """Work out what has happened up to `now`; returns what has arrived, in order."""
        arrived: list[Active] = []
        left = max(now - self.at, 0) / 1e9
        self.at = max(now, self.at)
        while self.active:
            need = self._until(self.active[0].finish)
            if need > left:
                self.served += left * self.bandwidth / len(self.active)
                self._average(1.0, left)
                break
            self._average(1.0, need)
            left -= need
            self.served = max(self.served, self.active[0].finish)
            arrived.append(self.active.pop(0))
        else:
            self.served = 0.0  # small numbers stay exact
            self._average(0.0, left)
        return arrived

    def _until(self, finish: float) -> float:
        missing = finish - self.served
        if missing <= _NEARLY or not self.bandwidth:
            return 0.0
        return missing * len(self.active) / self.bandwidth

    def _average(self, busy: float, seconds: float) -> None:
        self.load = busy + (self.load - busy) * math.exp(-seconds / MEMORY)

    def add(self, number: int, size: int, pid: int) -> None:
        """Begin a transfer, at the time up to which all is worked out."""
        insort(self.active, Active(number, self.served + size, size, pid), key=_finish)

    def find(self, number: int) -> Active | None:
        """Return a transfer that is under way."""
        return next((each for each in self.active if each.number == number), None)

    def left(self, number: int) -> float:
        """Return the seconds until a transfer has arrived if no other begins; 0.0 if it has."""
        seconds, given = 0.0, self.served
        for sharers, each in zip(range(len(self.active), 0, -1), self.active, strict=True):
            if self.bandwidth:
                seconds += max(each.finish - given, 0.0) * sharers / self.bandwidth
            given = max(given, each.finish)
            if each.number == number:
                return seconds
        return 0.0

    def moved(self, each: Active) -> int:
        """Return how many bytes of a transfer have arrived."""
        return min(max(each.size - math.ceil(each.finish - self.served), 0), each.size)


_finish = attrgetter("finish")
