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

import fcntl
import json
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridnb.catalog import Catalog
from gridnb.cluster.fluid import Active, Flow

__all__ = ["Egress", "LinkDown", "LinkTable", "Traffic", "Transfer"]

# latency, bandwidth, price; epoch, at; served, load; bytes, messages, cost; last number, under way
_LINK = struct.Struct("=ddqqqddqqqqq")
_ACTIVE = struct.Struct("=qdqq")  # number, finish, size, pid
_SITE = struct.Struct("=qqq")  # allowed, used, wanted (nano units)
_EPOCH = struct.Struct("=q")
_EPOCH_AT = 24
_GIB = 2**30
SLOTS = 120  # transfers that can be under way at once in one direction; more wait


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
    """A transfer under way; `due` is when its last byte leaves the link (ns, monotonic)."""

    link: int
    number: int
    epoch: int
    due: int


@dataclass(slots=True)
class _Record:
    """A link's place in the table, read and written as a whole."""

    latency: float
    price: int
    epoch: int
    bytes: int
    messages: int
    cost: int
    last: int
    flow: Flow

    def arrived(self, size: int, moved: int) -> int:
        """Count what has arrived of a message of a size; returns what it costs."""
        cost = _cost(self.price, moved)
        self.bytes += moved
        self.messages += moved == size
        self.cost += cost
        return cost


class LinkTable:
    """Open the table at `path`; see :meth:`create`. `clock` gives monotonic nanoseconds."""

    def __init__(self, path: str | Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._file = os.open(path, os.O_RDWR)
        self._thread = threading.Lock()  # a file lock holds off other processes only
        size = os.fstat(self._file).st_size
        self._map = mmap.mmap(self._file, size)
        length = int.from_bytes(self._map[:8], "little")
        model: dict[str, Any] = json.loads(self._map[8 : 8 + length])
        self.sites: list[str] = model["sites"]
        self.site_index = {name: i for i, name in enumerate(self.sites)}
        self._base = _rounded(8 + length)
        self._stride = _LINK.size + SLOTS * _ACTIVE.size
        self._site_base = self._base + len(self.sites) ** 2 * self._stride

    @classmethod
    def create(
        cls, path: str | Path, catalog: Catalog, clock: Callable[[], int] = time.monotonic_ns
    ) -> LinkTable:
        """Write the table of a catalog's links (mode 0600) and open it."""
        names = [site.name for site in catalog.sites]
        model = json.dumps({"sites": names}).encode()
        base, pairs = _rounded(8 + len(model)), len(names) ** 2
        size = base + pairs * (_LINK.size + SLOTS * _ACTIVE.size) + len(names) * _SITE.size
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write((len(model).to_bytes(8, "little") + model).ljust(base, b" "))
            file.truncate(size)  # of what is not used yet nothing is kept on disk
        table = cls(path, clock)
        now = clock()
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                link, price = catalog.link(a, b), int(catalog.egress(a, b) * 10**9)
                flow = Flow(float(link.bandwidth or 0), now)
                record = _Record(link.latency, price, 0, 0, 0, 0, 0, flow)
                table._write(i * len(names) + j, record)
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
                link.arrived(size, size)
                return Transfer(at, link.last, link.epoch, link.flow.at)
            link.flow.add(link.last, size, os.getpid())
            due = link.flow.at + int(link.flow.left(link.last) * 1e9)
            return Transfer(at, link.last, link.epoch, due)

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
            if left:
                transfer.due = link.flow.at + int(left * 1e9)
            return left

    def drop(self, transfer: Transfer) -> None:
        """Give a transfer up: what has not moved is not paid for."""
        with self._changing(transfer.link) as link:
            found = link.flow.find(transfer.number)
            if found is not None and link.epoch == transfer.epoch:
                self._lose(transfer.link, link, [found])

    def _lose(self, at: int, link: _Record, lost: list[Active]) -> None:
        """Count what has arrived of transfers that go no further, and give back the rest."""
        for each in lost:
            rest = _cost(link.price, each.size) - link.arrived(each.size, link.flow.moved(each))
            self._give_back(at // len(self.sites), rest)
            link.flow.active.remove(each)

    def _check(self, at: int, link: _Record, epoch: int) -> None:
        if link.epoch != epoch or link.epoch % 2:
            src, dst = (self.sites[k] for k in divmod(at, len(self.sites)))
            raise LinkDown(f"the link between {src} and {dst} is cut")

    # how links are

    def epoch(self, src: str, dst: str) -> int:
        """Return a number that changes when the link is cut or restored; odd while it is cut."""
        at = self._base + self._at(src, dst) * self._stride
        return int(_EPOCH.unpack_from(self._map, at + _EPOCH_AT)[0])

    def latency(self, src: str, dst: str) -> float:
        """Return a link's latency, in seconds."""
        return self._read(self._at(src, dst)).latency

    def price(self, src: str, dst: str) -> int:
        """Return the price of an ordered link in nano units a GiB."""
        return self._read(self._at(src, dst)).price

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
                record = self._read(at)
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
        with self._locked():
            allowed, used, wanted = self._account(self.site_index[site])
            self._set_account(self.site_index[site], allowed + amount, used, wanted)

    def revoke(self, site: str) -> None:
        """Take back what is left of the site's allowance; what is still under way is given up."""
        i = self.site_index[site]
        for j in range(len(self.sites)):
            at = i * len(self.sites) + j
            if self._read(at).flow.active:
                with self._changing(at) as link:
                    self._lose(at, link, list(link.flow.active))
        with self._locked():
            _, used, _ = self._account(i)
            self._set_account(i, used, used, 0)

    def egress(self, site: str) -> Egress:
        """Return the site's egress account."""
        return Egress(*self._account(self.site_index[site]))

    def _pay(self, site: str, cost: int) -> bool:
        i = self.site_index[site]
        allowed, used, wanted = self._account(i)
        if cost and used + cost > allowed:
            self._set_account(i, allowed, used, max(wanted, used + cost))
            return False
        self._set_account(i, allowed, used + cost, wanted)
        return True

    def _give_back(self, i: int, cost: int) -> None:
        allowed, used, wanted = self._account(i)
        self._set_account(i, allowed, used - cost, wanted)

    def _account(self, i: int) -> tuple[int, int, int]:
        return _SITE.unpack_from(self._map, self._site_base + i * _SITE.size)

    def _set_account(self, i: int, *amounts: int) -> None:
        _SITE.pack_into(self._map, self._site_base + i * _SITE.size, *amounts)

    # the file

    def _at(self, src: str, dst: str) -> int:
        return self.site_index[src] * len(self.sites) + self.site_index[dst]

    @contextmanager
    def _changing(self, at: int) -> Iterator[_Record]:
        """Give a link as it is now, and keep what becomes of it."""
        with self._locked():
            link = self._read(at)
            for each in link.flow.advance(self._clock()):
                link.arrived(each.size, each.size)
            try:
                yield link
            finally:
                self._write(at, link)

    def _read(self, at: int) -> _Record:
        begin = self._base + at * self._stride
        latency, bandwidth, price, epoch, now, served, load, *counts, last, n = _LINK.unpack_from(
            self._map, begin
        )
        end = begin + _LINK.size
        active = [
            Active(*each)
            for each in _ACTIVE.iter_unpack(self._map[end : end + n * _ACTIVE.size])
        ]
        flow = Flow(bandwidth, now, served, load, active)
        return _Record(latency, price, epoch, *counts, last, flow)

    def _write(self, at: int, link: _Record) -> None:
        begin, flow = self._base + at * self._stride, link.flow
        fields = (link.latency, flow.bandwidth, link.price, link.epoch, flow.at, flow.served)
        counts = (flow.load, link.bytes, link.messages, link.cost, link.last, len(flow.active))
        _LINK.pack_into(self._map, begin, *fields, *counts)
        packed = b"".join(_ACTIVE.pack(a.number, a.finish, a.size, a.pid) for a in flow.active)
        end = begin + _LINK.size
        self._map[end : end + len(packed)] = packed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap the table."""
        self._map.close()
        os.close(self._file)


def _cost(price: int, size: int) -> int:
    """Return what bytes cost, in nano units, rounded up."""
    return -(-price * size // _GIB)


def _rounded(size: int) -> int:
    return -(-size // 8) * 8


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
