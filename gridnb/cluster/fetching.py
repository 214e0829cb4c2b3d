"""A result that several workers of a site need crosses to it once.

The first worker of a site that needs a large result from elsewhere fetches it.
The others are told of no holder until it has arrived; then they get it from
there. Dask's workers ask once a second for results of which they know no
holder, so nobody waits for ever for one that does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gridnb.cluster.private import TaskState, WorkerState
from gridnb.cluster.sites import Site, Sites

__all__ = ["Fetches"]

#: Bytes from which a result is fetched once for a site.
LARGE = 64 * 1024
#: A fetch that takes this many times as long as it should, and seconds more, is given up.
PATIENCE, LEAST = 4.0, 2.0


@dataclass
class _Fetch:
    """A result on its way to a site: by which worker, for which task, until when at most."""

    worker: WorkerState
    task: TaskState
    until: float
    waiting: set[str] = field(default_factory=set)


class Fetches:
    """What is on its way to which site."""

    def __init__(self, sites: Sites, clock: Callable[[], float]) -> None:
        self.sites, self.clock = sites, clock
        self._coming: dict[Any, dict[Site, _Fetch]] = {}

    def __len__(self) -> int:
        return len(self._coming)

    def tell(self, ts: TaskState, ws: WorkerState, who_has: dict[Any, Any]) -> None:
        """Correct what a worker is told about the inputs of its task: the nearest holders."""
        here = self.sites.of.get(ws.address)
        if here is None:
            return
        for need in ts.dependencies:
            holders = need.who_has
            if not holders or ws in holders:
                continue
            if need.nbytes < LARGE and len(holders) == 1:
                continue
            who_has[need.key] = self._holders(need, ws, here, ts)

    def holders(self, need: TaskState, ws: WorkerState) -> tuple[str, ...]:
        """Return from whom a worker should get a result, if it asks again."""
        here = self.sites.of.get(ws.address)
        if here is None or not need.who_has:
            return tuple(holder.address for holder in need.who_has or ())
        return self._holders(need, ws, here, None)

    def _holders(
        self, need: TaskState, ws: WorkerState, here: Site, ts: TaskState | None
    ) -> tuple[str, ...]:
        nearest = self.sites.nearest(need, here)
        where = self.sites.of.get(nearest[0].address)
        if where is not None and where is not here and need.nbytes >= LARGE:
            if (fetch := self._under_way(need, here)) is None:
                if ts is not None:
                    link = self.sites.link(where.name, here.name)
                    until = self.clock() + LEAST + PATIENCE * link.seconds(need.nbytes)
                    self._coming.setdefault(need.key, {})[here] = _Fetch(ws, ts, until)
            elif fetch.worker is not ws:
                fetch.waiting.add(ws.address)
                return ()
        return tuple(holder.address for holder in nearest)

    def _under_way(self, need: TaskState, here: Site) -> _Fetch | None:
        """Return the fetch of a result to a site, unless its worker has given it up."""
        fetch = self._coming.get(need.key, {}).get(here)
        if fetch is None:
            return None
        if fetch.task.processing_on is fetch.worker and self.clock() < fetch.until:
            return fetch
        self._drop(need.key, here)
        return None

    def _drop(self, key: Any, here: Site) -> _Fetch | None:
        at = self._coming.get(key, {})
        fetch = at.pop(here, None)
        if not at:
            self._coming.pop(key, None)
        return fetch

    def arrived(self, need: TaskState | None, worker: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield who waits for a result that a worker has now, and from whom to get it."""
        here = self.sites.of.get(worker)
        if need is None or here is None or need.key not in self._coming:
            return
        fetch = self._drop(need.key, here)
        if fetch is not None:
            near = tuple(ws.address for ws in self.sites.nearest(need, here))
            for address in fetch.waiting - {worker}:
                if address in self.sites.of:
                    yield address, near

    def forget(self, key: Any) -> None:
        """Forget a result that is no more."""
        self._coming.pop(key, None)
