"""The file behind the modelled links: fixed places for each link and site, shared by mapping it."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gridnb.cluster.fluid import Active, Flow

__all__ = ["SLOTS", "LinkFile", "Record"]

# latency, bandwidth, price; epoch, at; served, load; bytes, messages, cost; last number, under way
_LINK = struct.Struct("=ddqqqddqqqqq")
_ACTIVE = struct.Struct("=qdqq")  # number, finish, size, pid
_SITE = struct.Struct("=qqq")  # allowed, used, wanted (nano units)
_EPOCH, _EPOCH_AT = struct.Struct("=q"), 24
SLOTS = 120  # transfers that can be under way at once in one direction; more wait


@dataclass(slots=True)
class Record:
    """One direction of a link, read and written as a whole.

    Attributes
    ----------
    latency, price
        In seconds, and nano units a GiB.
    epoch
        Changes when the link is cut or restored; odd while it is cut.
    bytes, messages, cost
        What has arrived; cost in nano units.
    last
        The number of the last transfer that has begun.
    """

    latency: float
    price: int
    epoch: int
    bytes: int
    messages: int
    cost: int
    last: int
    flow: Flow


class LinkFile:
    """Open the file at `path`."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._thread = threading.Lock()  # a file lock holds off other processes only
        self._map = mmap.mmap(self._file, os.fstat(self._file).st_size)
        length = int.from_bytes(self._map[:8], "little")
        head: dict[str, Any] = json.loads(self._map[8 : 8 + length])
        self.sites: list[str] = head["sites"]
        self._base = _rounded(8 + length)
        self._stride = _LINK.size + SLOTS * _ACTIVE.size
        self._site_base = self._base + len(self.sites) ** 2 * self._stride

    @classmethod
    def create(cls, path: str | Path, sites: Sequence[str]) -> Self:
        """Write an empty file for links between sites (mode 0600), and open it."""
        head = json.dumps({"sites": list(sites)}).encode()
        base, pairs = _rounded(8 + len(head)), len(sites) ** 2
        size = base + pairs * (_LINK.size + SLOTS * _ACTIVE.size) + len(sites) * _SITE.size
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write((len(head).to_bytes(8, "little") + head).ljust(base, b" "))
            file.truncate(size)  # of what is not used yet nothing is kept on disk
        return cls(path)

    def read(self, at: int) -> Record:
        """Return the link at a place, of which there is one for each ordered pair of sites."""
        begin = self._base + at * self._stride
        (latency, bandwidth, price, epoch, now, served, load, moved, messages, cost, last, n) = (
            _LINK.unpack_from(self._map, begin)
        )
        end = begin + _LINK.size
        packed = self._map[end : end + n * _ACTIVE.size]
        active = [Active(*each) for each in _ACTIVE.iter_unpack(packed)]
        flow = Flow(bandwidth, now, served, load, active)
        return Record(latency, price, epoch, moved, messages, cost, last, flow)

    def write(self, at: int, link: Record) -> None:
        """Put a link to its place."""
        begin, flow = self._base + at * self._stride, link.flow
        fields = (link.latency, flow.bandwidth, link.price, link.epoch, flow.at, flow.served)
        counts = (flow.load, link.bytes, link.messages, link.cost, link.last, len(flow.active))
        _LINK.pack_into(self._map, begin, *fields, *counts)
        packed = b"".join(_ACTIVE.pack(a.number, a.finish, a.size, a.pid) for a in flow.active)
        end = begin + _LINK.size
        self._map[end : end + len(packed)] = packed

    def epoch(self, at: int) -> int:
        """Return a link's epoch, for which nothing has to be locked."""
        begin = self._base + at * self._stride
        return int(_EPOCH.unpack_from(self._map, begin + _EPOCH_AT)[0])

    def account(self, i: int) -> tuple[int, int, int]:
        """Return what a site's egress is allowed, has used, and wants, in nano units."""
        return _SITE.unpack_from(self._map, self._site_base + i * _SITE.size)

    def set_account(self, i: int, allowed: int, used: int, wanted: int) -> None:
        """Write the same."""
        _SITE.pack_into(self._map, self._site_base + i * _SITE.size, allowed, used, wanted)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others, of this process and of others, from changing it."""
        with self._thread:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap it."""
        self._map.close()
        os.close(self._file)


def _rounded(size: int) -> int:
    return -(-size // 8) * 8
