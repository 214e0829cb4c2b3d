"""The modelled links between simulated sites: one small table that all their workers share.

A memory-mapped file holds, for each ordered pair of sites, how the link is
(latency, bandwidth, whether it is cut), which transfers are under way
(:mod:`gridnb.cluster.fluid`) and what went over it; and for each site the money that
has been set aside for its egress and what was used of it. A transfer begins when its
bytes are paid for, and whoever makes it looks how long it still takes. The hub sets
money aside and raises the allowance (:meth:`LinkTable.allow`), so that no byte
that costs something moves unpaid.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gridnb.catalog import Catalog
from gridnb.cluster.fluid import Active, Flow
from gridnb.cluster.linkfile import SLOTS, LinkFile, Record
from gridnb.staged import NOTEBOOK

__all__ = ["Egress", "LinkDown", "LinkTable", "Traffic", "Transfer"]

_GIB = 2**30


class LinkDown(OSError):
    """The link between two sites is cut, or was while a transfer was under way."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One direction of a link: what went over it so far, and how it is now.

    Attributes
    ----------
    bytes, messages, cost
        What has arrived; cost in nano units.
    latency, bandwidth
        In seconds, and bytes a second (0: unlimited).
    cut
        Whether nothing goes over it.
    load
        The share of the last seconds in which it was busy, 0 to 1.
    """

    src: str
    dst: str
    bytes: int
    messages: int
    cost: int
    latency: float = 0.0
    bandwidth: float = 0.0
    cut: bool = False
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Egress:
    """A site's egress in nano units: set aside, used, and needed by who waits."""

    allowed: int
    used: int
    wanted: int


@dataclass(slots=True)
class Transfer:
    """A transfer under way.

    Attributes
    ----------
    moved
        How many of its bytes are through, as far as was looked.
    due
        When its last byte leaves the link: nanoseconds of the table's clock.
    """

    link: int
    number: int
    epoch: int
    size: int
    moved: int
    due: int


class LinkTable:
    """Open the table at `path`; see :meth:`create`. `clock` gives monotonic nanoseconds."""

    def __init__(self, path: str | Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._file = LinkFile(path)
        self.sites = self._file.sites
        self.site_index = {name: i for i, name in enumerate(self.sites)}

    @classmethod
    def create(
        cls, path: str | Path, catalog: Catalog, clock: Callable[[], int] = time.monotonic_ns
    ) -> LinkTable:
        """Write the table of a catalog's links (mode 0600) and open it."""
        names = [*catalog.names, NOTEBOOK]
        LinkFile.create(path, names).close()
        table = cls(path, clock)
        now = clock()
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                latency, bandwidth, price = _model(catalog, a, b)
                record = Record(latency, price, 0, 0, 0, 0, 0, Flow(bandwidth, now))
                table._file.write(i * len(names) + j, record)
        return table

    # transfers

    def begin(self, src: str, dst: str, size: int) -> Transfer | None:
        """Begin to move `size` bytes; None if they are not paid for yet, or too many move now.

        Raises
        ------
        LinkDown
            If the link is cut.
        """
        at = self._at(src, dst)
        with self._changing(at) as link:
            self._check(at, link, link.epoch)
            full = len(link.flow.active) >= SLOTS and link.flow.bandwidth
            if full or not self._pay(src, _cost(link.price, size)):
                return None
            link.last += 1
            if not link.flow.bandwidth:
                _arrived(link, size, size)
                return Transfer(at, link.last, link.epoch, size, size, link.flow.at)
            link.flow.add(link.last, size, os.getpid())
            due = link.flow.at + int(link.flow.left(link.last) * 1e9)
            return Transfer(at, link.last, link.epoch, size, 0, due)

    def look(self, transfer: Transfer) -> float:
        """Return the seconds until a transfer is through if no other begins; 0.0 when it is.

        Raises
        ------
        LinkDown
            If the link was cut meanwhile.
        """
        with self._changing(transfer.link) as link:
            self._check(transfer.link, link, transfer.epoch)
            left = link.flow.left(transfer.number)
            due = link.flow.at + int(left * 1e9)
            # Who looks too late was through when it last seemed to be; not later than now.
            transfer.due = due if left else min(transfer.due, due)
            found = link.flow.find(transfer.number)
            transfer.moved = link.flow.moved(found) if found else transfer.size
            return left

    def drop(self, transfer: Transfer) -> None:
        """Give a transfer up: what has not moved is not paid for."""
        with self._changing(transfer.link) as link:
            found = link.flow.find(transfer.number)
            if found is not None and link.epoch == transfer.epoch:
                self._lose(transfer.link, link, [found])

    def _lose(self, at: int, link: Record, lost: list[Active]) -> None:
        """Count what has arrived of transfers that go no further, and give back the rest."""
        for each in lost:
            rest = _cost(link.price, each.size) - _arrived(link, each.size, link.flow.moved(each))
            self._give_back(at // len(self.sites), rest)
            link.flow.active.remove(each)

    def _check(self, at: int, link: Record, epoch: int) -> None:
        if link.epoch != epoch or link.epoch % 2:
            src, dst = (self.sites[k] for k in divmod(at, len(self.sites)))
            raise LinkDown(f"the link between {src} and {dst} is cut")

    # how links are

    def epoch(self, src: str, dst: str) -> int:
        """Return a number that changes when the link is cut or restored; odd while it is cut."""
        return self._file.epoch(self._at(src, dst))

    def latency(self, src: str, dst: str) -> float:
        """Return a link's latency, in seconds."""
        return self._file.read(self._at(src, dst)).latency

    def price(self, src: str, dst: str) -> int:
        """Return the price of an ordered link in nano units a GiB."""
        return self._file.read(self._at(src, dst)).price

    def change(
        self,
        src: str,
        dst: str,
        *,
        bandwidth: float | None = None,
        latency: float | None = None,
        cut: bool | None = None,
    ) -> None:
        """Change one direction from now on; what is not given stays. A cut ends what is under way.

        Bandwidth in bytes a second (0 for unlimited), latency in seconds.
        """
        at = self._at(src, dst)
        with self._changing(at) as link:
            if bandwidth is not None:
                link.flow.bandwidth = bandwidth
            if latency is not None:
                link.latency = latency
            if cut is not None and cut != bool(link.epoch % 2):
                link.epoch += 1
                self._lose(at, link, list(link.flow.active))

    def now(self, src: str, dst: str) -> Traffic:
        """Return one direction of a link as it is now, and what went over it."""
        return self._traffic(self._at(src, dst))

    def traffic(self, src: str | None = None, *, every: bool = False) -> list[Traffic]:
        """Return the directions that carried something, or were cut; those out of `src`, or all.

        With `every`, also those that carried nothing. What a process had under way that
        has ended since is given up.
        """
        found = []
        rows = range(len(self.sites)) if src is None else [self.site_index[src]]
        for i in rows:
            for j in range(len(self.sites)):
                at = i * len(self.sites) + j
                record = self._file.read(at)
                if i != j and (every or record.last or record.epoch):
                    found.append(self._traffic(at))
        return found

    def _traffic(self, at: int) -> Traffic:
        with self._changing(at) as link:
            dead = [a for a in link.flow.active if not _alive(a.pid)]
            self._lose(at, link, dead)
            moved = [link.flow.moved(a) for a in link.flow.active]
            under_way = sum(link.price * each // _GIB for each in moved)
            src, dst = (self.sites[k] for k in divmod(at, len(self.sites)))
            return Traffic(
                src,
                dst,
                link.bytes + sum(moved),
                link.messages,
                link.cost + under_way,
                link.latency,
                link.flow.bandwidth,
                bool(link.epoch % 2),
                link.flow.load,
            )

    # money

    def allow(self, site: str, amount: int) -> None:
        """Raise the site's egress allowance by `amount` nano units that a hold pays for."""
        with self._file.locked():
            allowed, used, wanted = self._file.account(self.site_index[site])
            self._file.set_account(self.site_index[site], allowed + amount, used, wanted)

    def revoke(self, site: str) -> None:
        """Take back what is left of the site's allowance; what is still under way is given up."""
        i = self.site_index[site]
        for j in range(len(self.sites)):
            at = i * len(self.sites) + j
            if self._file.read(at).flow.active:
                with self._changing(at) as link:
                    self._lose(at, link, list(link.flow.active))
                    link.epoch += 2  # who sends is told so; it stays as cut, or not, as it was
        with self._file.locked():
            _, used, _ = self._file.account(i)
            self._file.set_account(i, used, used, 0)

    def egress(self, site: str) -> Egress:
        """Return the site's egress account."""
        return Egress(*self._file.account(self.site_index[site]))

    def _pay(self, site: str, cost: int) -> bool:
        i = self.site_index[site]
        allowed, used, wanted = self._file.account(i)
        if cost and used + cost > allowed:
            self._file.set_account(i, allowed, used, max(wanted, used + cost))
            return False
        self._file.set_account(i, allowed, used + cost, wanted)
        return True

    def _give_back(self, i: int, cost: int) -> None:
        allowed, used, wanted = self._file.account(i)
        self._file.set_account(i, allowed, used - cost, wanted)

    # one link

    def _at(self, src: str, dst: str) -> int:
        return self.site_index[src] * len(self.sites) + self.site_index[dst]

    @contextmanager
    def _changing(self, at: int) -> Iterator[Record]:
        """Give a link as it is now, and keep what becomes of it."""
        with self._file.locked():
            link = self._file.read(at)
            for each in link.flow.advance(self._clock()):
                _arrived(link, each.size, each.size)
            try:
                yield link
            finally:
                self._file.write(at, link)

    def close(self) -> None:
        """Unmap the table."""
        self._file.close()


def _arrived(link: Record, size: int, moved: int) -> int:
    """Count what has arrived of a message of a size; returns what it costs."""
    cost = _cost(link.price, moved)
    link.bytes += moved
    link.messages += moved == size
    link.cost += cost
    return cost


def _cost(price: int, size: int) -> int:
    """Return what bytes cost, in nano units, rounded up."""
    return -(-price * size // _GIB)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _model(catalog: Catalog, a: str, b: str) -> tuple[float, float, int]:
    """Return latency, bandwidth (0: unlimited) and the price of a GiB in nano units."""
    if NOTEBOOK in (a, b):  # no site: linked as sites are by default, and sends for free
        usual = catalog.default_link
        latency, bandwidth = usual.latency, usual.bandwidth
        price = 0 if a == NOTEBOOK else int(catalog.site(a).rate_card.egress_gib * 10**9)
    else:
        link, price = catalog.link(a, b), int(catalog.egress(a, b) * 10**9)
        latency, bandwidth = link.latency, link.bandwidth
    return latency, float(bandwidth or 0), price
