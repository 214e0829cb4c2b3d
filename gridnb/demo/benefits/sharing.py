"""Utilisation: which share of the time that was paid for was used.

Three users work in bursts, as people do: they ask something, look at the answer, think, ask
again. With workers of their own (a lease of two each), these stand idle while their user thinks. On
one shared lease of half as many workers in all, somebody else's burst runs meanwhile.

*Used* and *paid* are the worker-seconds of the bill, from the first worker's start to the last
one's end, start-up included. Used is the time for which tasks held cores. When a user thinks and
how long is drawn with a seed, the same for both.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.demo.benefits.sites import BUDGET, THREE, catalog, end
from gridnb.demo.benefits.work import delays, interval

if TYPE_CHECKING:
    from gridnb.grid import Grid, Lease

__all__ = ["Team", "Usage", "opened"]

USERS = 3
_OWN = 2
_SHARED = 3
_PIECES = 6
_DRAWS = 60
_THINKS = 1.0  # seconds, on the mean


@dataclass(frozen=True)
class Usage:
    """What came of it: billed worker-seconds by kind, what was charged, and how long bursts took.

    `waits` are the real seconds from asking to the answer, of all bursts.
    """

    seconds: dict[str, float]
    cost: Decimal
    waits: tuple[float, ...]

    @property
    def paid(self) -> float:
        """All worker-seconds that were charged."""
        return sum(self.seconds.values())

    @property
    def share(self) -> float:
        """Used / paid."""
        return self.seconds["used"] / self.paid

    @property
    def wait(self) -> float:
        """The mean of the waits."""
        return sum(self.waits) / len(self.waits)


@contextmanager
def opened() -> Iterator[Team]:
    """Start a grid for the users, and end it afterwards."""
    from gridnb.grid import Grid

    with Grid(catalog(**THREE), BUDGET, "benefits sharing") as grid:
        delays()  # read before anybody's time counts
        yield Team(grid)


class Team:
    """The users, and the grid that they work on."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def together(self, bursts: int = 4, seed: int = 1) -> Usage:
        """Have all users share one lease."""
        lease = self.grid.request(workers=_SHARED).wait()
        waits = _work(self.grid, [lease.workers] * USERS, bursts, seed)
        return self._usage([lease], waits)

    def apart(self, bursts: int = 4, seed: int = 1) -> Usage:
        """Give each user workers of their own, which nobody else can use."""
        leases = [self.grid.request(workers=_OWN) for _ in range(USERS)]
        waits = _work(self.grid, [lease.wait().workers for lease in leases], bursts, seed)
        return self._usage(leases, waits)

    def _usage(self, leases: list[Lease], waits: list[float]) -> Usage:
        """End the leases, and add up their bill."""
        end(*leases)
        bill = self.grid.bill()
        mine = bill[bill["lease"].isin([lease.id for lease in leases])]
        kinds = mine.groupby("kind")["seconds"].sum()
        seconds = {kind: float(kinds.get(kind, 0)) for kind in ("used", "kept", "idle", "overhead")}
        return Usage(seconds, sum(mine["amount"], Decimal(0)), tuple(waits))


def _work(grid: Grid, workers: list[list[str]], bursts: int, seed: int) -> list[float]:
    """Let each user work, on the workers that are theirs, and return how long bursts took."""
    waits: list[float] = []
    users = [
        threading.Thread(target=_user, args=(grid.id, names, _pattern(seed, n, bursts), waits))
        for n, names in enumerate(workers)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    if len(waits) != USERS * bursts:
        raise RuntimeError(f"{USERS * bursts - len(waits)} bursts gave no answer")
    return waits


def _pattern(seed: int, user: int, bursts: int) -> Iterator[float]:
    drawn = random.Random(f"{seed} {user}")
    return (drawn.expovariate(1 / _THINKS) for _ in range(bursts))


def _user(grid: str, workers: list[str], pattern: Iterator[float], waits: list[float]) -> None:
    """One user, with a connection of their own: thinks, asks, and waits for the answer."""
    from gridnb.grid import Grid

    own = Grid.attach(grid)
    client: Any = own.client  # its methods have no annotations
    try:
        for thinks in pattern:
            time.sleep(thinks)
            began = time.monotonic()
            pieces = delays()[:_PIECES]
            client.gather(client.map(interval, pieces, draws=_DRAWS, workers=workers, pure=False))
            waits.append(time.monotonic() - began)
    finally:
        own.disconnect()
