"""The modelled links between simulated sites: one small table that all their workers share.

A memory-mapped file holds, for each ordered pair of sites, until when the link
is busy and how much went over it; and for each site the money that has been
set aside for its egress and what was used of it. A transfer first reserves:
it is told how long it takes, or that it has to wait for money. The hub sets
money aside and raises the allowance (:meth:`LinkTable.allow`), so that no byte
that costs something moves unpaid.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridnb.catalog import Catalog
from gridnb.staged import NOTEBOOK

__all__ = ["Egress", "LinkTable", "Traffic"]

_LINK = struct.Struct("qqqq")  # busy until (ns, monotonic), bytes, messages, cost (nano units)
_SITE = struct.Struct("qqq")  # allowed, used, wanted (nano units)
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over one ordered link so far: bytes, messages, cost in nano units."""

    src: str
    dst: str
    bytes: int
    messages: int
    cost: int


@dataclass(frozen=True, slots=True)
class Egress:
    """A site's egress in nano units: set aside, used, and needed by who waits."""

    allowed: int
    used: int
    wanted: int


class LinkTable:
    """Open the table at `path`; see :meth:`create`."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_RDWR)
        size = os.fstat(self._file).st_size
        self._map = mmap.mmap(self._file, size)
        length = int.from_bytes(self._map[:8], "little")
        model: dict[str, Any] = json.loads(self._map[8 : 8 + length])
        self.sites: list[str] = model["sites"]
        self.site_index = {name: i for i, name in enumerate(self.sites)}
        self._links: dict[str, list[float]] = model["links"]
        self._base = -(-(8 + length) // 8) * 8
        self._site_base = self._base + len(self.sites) ** 2 * _LINK.size

    @classmethod
    def create(cls, path: str | Path, catalog: Catalog) -> LinkTable:
        """Write the table of a catalog's links (mode 0600) and open it.

        Latency in seconds, bandwidth in bytes a second, price in nano units a GiB.
        """
        names = [*catalog.names, NOTEBOOK]
        links = {}
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                if i != j:
                    links[f"{i},{j}"] = _model(catalog, a, b)
        model = json.dumps({"sites": names, "links": links}).encode()
        base = -(-(8 + len(model)) // 8) * 8
        room = len(names) ** 2 * _LINK.size + len(names) * _SITE.size
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write((len(model).to_bytes(8, "little") + model).ljust(base, b" "))
            file.write(b"\0" * room)
        return cls(path)

    def reserve(self, src: str, dst: str, size: int) -> float | None:
        """Take the link for `size` bytes; returns the seconds until they have arrived.

        Transfers of a link follow each other, so they share its bandwidth.
        None means that the egress allowance of `src` does not cover them yet.
        """
        i, j = self.site_index[src], self.site_index[dst]
        latency, bandwidth, price = self._links[f"{i},{j}"]
        cost = -(-int(price) * size // _GIB)
        with self._locked():
            at = self._site_base + i * _SITE.size
            allowed, used, wanted = _SITE.unpack_from(self._map, at)
            if cost and used + cost > allowed:
                _SITE.pack_into(self._map, at, allowed, used, max(wanted, used + cost))
                return None
            _SITE.pack_into(self._map, at, allowed, used + cost, wanted)
            return self._occupy(i, j, size, cost, latency, bandwidth)

    def _occupy(
        self, i: int, j: int, size: int, cost: int, latency: float, bandwidth: float
    ) -> float:
        at = self._base + (i * len(self.sites) + j) * _LINK.size
        busy, total, messages, paid = _LINK.unpack_from(self._map, at)
        now = time.monotonic_ns()
        done = max(now, busy) + (int(size / bandwidth * 1e9) if bandwidth else 0)
        _LINK.pack_into(self._map, at, done, total + size, messages + 1, paid + cost)
        return float((done - now) / 1e9 + latency)

    def allow(self, site: str, amount: int) -> None:
        """Raise the site's egress allowance by `amount` nano units that a hold pays for."""
        at = self._site_base + self.site_index[site] * _SITE.size
        with self._locked():
            allowed, used, wanted = _SITE.unpack_from(self._map, at)
            _SITE.pack_into(self._map, at, allowed + amount, used, wanted)

    def revoke(self, site: str) -> None:
        """Take back what is left of the site's allowance, and forget who waited for more."""
        at = self._site_base + self.site_index[site] * _SITE.size
        with self._locked():
            _, used, _ = _SITE.unpack_from(self._map, at)
            _SITE.pack_into(self._map, at, used, used, 0)

    def egress(self, site: str) -> Egress:
        """Return the site's egress account."""
        return Egress(
            *_SITE.unpack_from(self._map, self._site_base + self.site_index[site] * _SITE.size)
        )

    def traffic(self) -> list[Traffic]:
        """Return the links that carried something."""
        found = []
        for i, a in enumerate(self.sites):
            for j, b in enumerate(self.sites):
                at = self._base + (i * len(self.sites) + j) * _LINK.size
                _, total, messages, cost = _LINK.unpack_from(self._map, at)
                if messages:
                    found.append(Traffic(a, b, total, messages, cost))
        return found

    def price(self, src: str, dst: str) -> int:
        """Return the price of an ordered link in nano units a GiB."""
        return int(self._links[f"{self.site_index[src]},{self.site_index[dst]}"][2])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap the table."""
        self._map.close()
        os.close(self._file)


def _model(catalog: Catalog, a: str, b: str) -> list[float]:
    if NOTEBOOK in (
        a,
        b,
    ):  # no site: linked as sites are by default, and sends for free
        usual = catalog.default_link
        price = 0 if a == NOTEBOOK else int(catalog.site(a).rate_card.egress_gib * 10**9)
        return [usual.latency, float(usual.bandwidth or 0), price]
    link = catalog.link(a, b)
    return [link.latency, float(link.bandwidth or 0), int(catalog.egress(a, b) * 10**9)]
