"""What of the grid's files is where, and over which links it goes where it is missing.

Workers bring things (:mod:`gridnb.cluster.staging`); here is decided which of them does, and
from which place. An item crosses to a site once, whoever asks for it there: a second one waits
for the first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from distributed.comm.core import Comm, CommClosedError
from distributed.core import Status

from gridnb.cluster.links import LinkTable
from gridnb.cluster.routes import plan
from gridnb.cluster.store import Manifest
from gridnb.errors import GridError, StageError
from gridnb.hub.home import Home
from gridnb.providers.guard import clock
from gridnb.staged import NOTEBOOK
from gridnb.units import format_bytes

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub
    from gridnb.hub.slots import Slot

__all__ = ["Volumes"]

logger = logging.getLogger("gridnb.hub")

_GIB = 2**30
_MONEY = 15.0  # seconds in which money for the egress has to be set aside
_SILENCE = 60.0  # seconds without a piece after which a source is given up
_STUCK = 180.0  # seconds without a sign of life after which a worker that brings is given up
_LOOK = 5.0  # seconds between looks for one
_SLOWER = 4  # how many times longer than planned a transfer may take before it is not waited for


@dataclass
class Item:
    """Something that was staged.

    Attributes
    ----------
    origin
        The place that had it first.
    sent, saved
        Bytes that went to sites, and bytes that sites needed and had already.
    egress
        What the sites that sent it take for that.
    """

    manifest: Manifest
    origin: str
    sent: int = 0
    saved: int = 0
    egress: Decimal = Decimal(0)
    routes: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def digest(self) -> str:
        """Its digest."""
        return self.manifest.digest


@dataclass
class _Coming:
    """An item on its way to a site: from where it is to come, and what came of it."""

    done: asyncio.Future[str]
    source: str | None = None
    taken: bool = False


class Volumes:
    """The staged files of a grid. `limit` is what a site may hold, in bytes."""

    def __init__(self, hub: Hub, home: Home, links: LinkTable | None, limit: int) -> None:
        self.hub, self.home, self.links, self.limit = hub, home, links, limit
        self.items: dict[str, Item] = {}
        self._has: defaultdict[str, set[str]] = defaultdict(set)
        self._coming: dict[tuple[str, str], _Coming] = {}
        self._spreading: set[asyncio.Task[Any]] = set()

    # what others may know

    def sites_of(self, digest: str) -> list[str]:
        """Return the sites that have an item."""
        return [site for site in self.hub.catalog.names if digest in self._has[site]]

    def describe(self) -> list[dict[str, Any]]:
        """Return what was staged, as plain data, the newest last."""
        return [self._describe(item) for item in self.items.values()]

    def _describe(self, item: Item) -> dict[str, Any]:
        return {
            "digest": item.digest,
            "name": item.manifest.name,
            "size": item.manifest.size,
            "files": item.manifest.files,
            "directory": any("/" in entry.path for entry in item.manifest.entries),
            "origin": item.origin,
            "sites": self.sites_of(item.digest),
            "sent": item.sent,
            "saved": item.saved,
            "egress": str(item.egress),
            "routes": [[*pair, count] for pair, count in item.routes.items()],
        }

    # staging

    def check(self, size: int, name: str) -> None:
        """Refuse what no site may hold.

        Raises
        ------
        StageError
            If it is larger than the limit.
        """
        if size > self.limit:
            raise StageError(
                f"{name} has {format_bytes(size)}, and a site may hold {format_bytes(self.limit)} "
                "of staged files; raise gridnb.stage.limit"
            )

    async def stage(self, digest: str) -> dict[str, Any]:
        """Bring what the notebook has staged to all sites with workers.

        Raises
        ------
        StageError
            If it cannot be brought to one of them.
        """
        manifest = await asyncio.to_thread(self.home.record, digest)
        self.check(manifest.size, manifest.name)
        return await self._add(manifest, NOTEBOOK)

    async def publish(self, inside: str, site: str | None) -> dict[str, Any]:
        """Make a staged item of what a site has in the volume, and bring it to the others.

        Raises
        ------
        StageError
            If no site has it, or several do.
        """
        found = await self.find(inside, site)
        holders = sorted({each["site"] for each in found})
        if len(holders) != 1:
            raise StageError(
                f"{inside} is at {' and '.join(holders)}; say which is meant, like "
                f"site={holders[0]!r}"
            )
        answer = await self._ask(holders[0], "volume_adopt", inside=inside)
        manifest = Manifest.of(answer["entries"])
        self._arrived(holders[0], manifest.digest, answer["evicted"])
        return await self._add(manifest, holders[0])

    async def source(self, digest: str) -> dict[str, Any]:
        """Return what an item is, and which site can give it to the notebook for the least.

        Raises
        ------
        StageError
            If no site with workers has it.
        """
        item = self.items.get(digest)
        sites = [s for s in self.sites_of(digest) if self._up(s)]
        if item is None or not sites:
            raise StageError(f"no site with workers has {digest[:12]}; stage it again")
        price = self.hub.catalog.site
        site = min(sites, key=lambda name: (price(name).rate_card.egress_gib, name))
        entries = [list(entry) for entry in item.manifest.entries]
        return {"site": site, "address": self._up(site)[0].address, "entries": entries}

    async def _add(self, manifest: Manifest, origin: str) -> dict[str, Any]:
        digest = manifest.digest
        item = self.items.pop(digest, None) or Item(manifest, origin)
        self.items[digest] = item
        self._has[origin].add(digest)
        sites = list(dict.fromkeys(slot.site.name for slot in self._up()))
        for site in sites:
            if digest in self._has[site] and site != origin:
                item.saved += manifest.size
        missing = [site for site in sites if digest not in self._has[site]]
        self._plan(item, missing)
        work = [asyncio.create_task(self._bring_to(site, item)) for site in missing]
        self._spreading.update(work)  # they go on if who has asked is interrupted
        for task in work:
            task.add_done_callback(self._spreading.discard)
        answers = await asyncio.shield(asyncio.gather(*work))
        failed = {site: text for site, text in zip(missing, answers, strict=True) if text}
        return {**self._describe(item), "failed": failed}

    def _up(self, site: str | None = None) -> list[Slot]:
        return [
            slot
            for slot in self.hub.slots.values()
            if slot.state == "running" and slot.address and site in (None, slot.site.name)
        ]

    async def _bring_to(self, site: str, item: Item) -> str:
        """Have a worker of a site bring an item; returns why it did not, or nothing."""
        tried: set[str] = set()
        while left := [slot for slot in self._up(site) if slot.name not in tried]:
            tried.add(left[0].name)
            try:
                rpc = self.hub.scheduler.rpc(left[0].address)
                answer = await rpc.stage_bring(digest=item.digest)
            except OSError as error:
                logger.info("%s went while it staged: %s", left[0].name, error)
                continue
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                logger.exception("%s could not stage", left[0].name)
            else:
                text = str(answer.get("error", ""))
            coming = self._coming.get((site, item.digest))
            if text and coming is not None and not coming.taken:
                self._end((site, item.digest), text)  # it is not on its way: nobody asked for it
            return text
        self._end((site, item.digest), "its workers have gone")
        return ""  # nobody is there any more who would need it

    async def _ask(self, site: str, call: str, **arguments: Any) -> dict[str, Any]:
        """Ask a worker of a site.

        Raises
        ------
        StageError
            If none answers, or it refuses.
        """
        for slot in self._up(site):
            try:
                answer = await getattr(self.hub.scheduler.rpc(slot.address), call)(**arguments)
            except OSError as error:
                logger.info("%s does not answer: %s", slot.name, error)
                continue
            if "error" in answer:
                raise StageError(answer["error"])
            return dict(answer)
        raise StageError(f"no worker is up at {site}; ask for one with `%grid request`")

    async def find(
        self, inside: str, site: str | None, digests: bool = True
    ) -> list[dict[str, Any]]:
        """Return the files under a path of the volume: where they are, size, digest.

        Raises
        ------
        StageError
            If there are none.
        """
        if site is not None:
            self.hub.catalog.site(site)
        found = []
        for place in dict.fromkeys(slot.site.name for slot in self._up(site)):
            answer = await self._ask(place, "volume_list", inside=inside, digests=digests)
            address = self._up(place)[0].address
            for path, size, digest in answer["files"]:
                more = {"path": path, "size": size, "digest": digest}
                found.append({"site": place, "address": address, **more})
        if not found:
            where = f"site {site}" if site else "no site with workers"
            raise StageError(
                f"{where} has {'no ' if site else ''}{inside} in the volume; a cell or task writes "
                "it there, under a name below grid.volume"
            )
        return found

    # routes

    def _seconds(self, size: int, source: str, target: str) -> float:
        if self.links is None:
            return 0.0
        catalog = self.hub.catalog
        link = (
            catalog.default_link if NOTEBOOK in (source, target) else catalog.link(source, target)
        )
        return link.latency + (size / link.bandwidth if link.bandwidth else 0.0)

    def _egress(self, size: int, source: str, target: str) -> Decimal:
        if source == NOTEBOOK:
            return Decimal(0)
        return self.hub.catalog.egress(source, target) * size / _GIB

    def _waiting(self) -> dict[str, Decimal]:
        """Return what a real second of each site's workers costs."""
        rates: defaultdict[str, Decimal] = defaultdict(Decimal)
        for slot in self.hub.slots.values():
            if slot.running:
                rates[slot.site.name] += slot.rate * self.hub.scale / 3600
        return dict(rates)

    def _holders(self, digest: str) -> list[str]:
        """Return the places that can send an item now."""
        sites = [site for site in self.sites_of(digest) if self._up(site)]
        return [*([NOTEBOOK] if digest in self._has[NOTEBOOK] else []), *sites]

    def _hops(self, item: Item, holders: Iterable[str], targets: Iterable[str]) -> Any:
        size = item.manifest.size
        return plan(
            holders,
            targets,
            lambda source, target: self._seconds(size, source, target),
            lambda source, target: self._egress(size, source, target),
            self._waiting(),
            NOTEBOOK,
        )

    def _plan(self, item: Item, sites: list[str]) -> None:
        """Note from where an item is to come to each of these sites."""
        loop = asyncio.get_running_loop()
        for hop in self._hops(item, self._holders(item.digest), sites):
            key = hop.target, item.digest
            self._coming.setdefault(key, _Coming(loop.create_future())).source = hop.source

    async def _source(self, site: str, item: Item, failed: set[str]) -> str | None:
        """Choose from where an item comes; waits for it to arrive there, if that is planned."""
        coming = self._coming[site, item.digest]
        planned, coming.source = coming.source, None
        if planned is not None and planned not in failed:
            before = self._coming.get((planned, item.digest))
            if before is not None:
                size = item.manifest.size
                ways = [self._seconds(size, p, planned) for p in self._holders(item.digest)]
                await asyncio.wait({before.done}, timeout=_STUCK + _SLOWER * max(ways, default=0))
        holders = [p for p in self._holders(item.digest) if p not in failed and p != site]
        if planned in holders:
            return planned
        hops = self._hops(item, holders, [site])
        return hops[0].source if hops else None

    # what workers ask

    async def wanted(self, site: str) -> dict[str, Any]:
        """Say what a site lacks of what was staged, as far as it fits, and how long that takes."""
        for digest in self._has[site] & self.items.keys():
            self.items[digest].saved += self.items[digest].manifest.size
        digests: list[str] = []
        room, seconds = self.limit, 0.0
        for item in reversed(self.items.values()):  # the newest first
            room -= item.manifest.size
            if room < 0:
                break
            if item.digest in self._has[site]:
                continue
            if hops := self._hops(item, self._holders(item.digest), [site]):
                seconds += hops[0].arrives
                digests.append(item.digest)
        return {"digests": digests, "seconds": seconds}

    async def need(self, comm: Comm, site: str, worker: str, digest: str, have: bool) -> Status:
        """Talk with a worker about an item that its site needs, until the site has it.

        The worker's order ends with the connection: if the worker goes, another is ordered.
        """
        item = self.items.get(digest)
        try:
            if item is None:
                await comm.write({"error": f"nothing was staged as {digest[:12]} in this grid"})
            elif have:
                self._arrived(site, digest, [])
                self._end((site, digest), "")
                await comm.write({"have": True})
            else:
                self._has[site].discard(digest)
                await comm.write(await self._settle(comm, site, worker, item))
        except CommClosedError:
            logger.info("%s went while it staged", worker)
        return Status.dont_reply

    async def _settle(self, comm: Comm, site: str, worker: str, item: Item) -> dict[str, Any]:
        key = site, item.digest
        while True:
            coming = self._coming.get(key)
            if coming is None:
                coming = self._coming[key] = _Coming(asyncio.get_running_loop().create_future())
            if not coming.taken:
                break
            if error := await asyncio.shield(coming.done):
                return {"error": error}
            if item.digest in self._has[site]:
                return {"have": True}
        coming.taken = True
        error = "the worker that brought it has gone"
        try:
            error = await self._order(comm, site, worker, item)
        except GridError as refusal:
            error = str(refusal)
        except CommClosedError:
            error = ""  # who waits for it takes its place
            raise
        finally:
            self._end(key, error)
        return {"error": error} if error else {"have": True}

    def _end(self, key: tuple[str, str], error: str) -> None:
        coming = self._coming.pop(key, None)
        if coming is not None and not coming.done.done():
            coming.done.set_result(error)

    async def _order(self, comm: Comm, site: str, worker: str, item: Item) -> str:
        """Have the worker bring an item, from one place after the other; returns what is wrong."""
        failed: dict[str, str] = {}
        while (source := await self._source(site, item, set(failed))) is not None:
            address = await self._address(source)
            entries = [list(entry) for entry in item.manifest.entries]
            await comm.write({"entries": entries, "address": address})
            patience = _STUCK + _SLOWER * self._seconds(item.manifest.size, source, site)
            answer = await self._outcome(comm, source, site, worker, patience)
            if "received" in answer:
                self._account(item, source, site, answer)
                return ""
            logger.info("%s from %s to %s: %s", item.digest, source, site, answer["failed"])
            failed[source] = answer["failed"]
            if answer["kind"] == "Corrupt":
                if source == NOTEBOOK:
                    name = item.manifest.name
                    failed[source] = f"{name} has changed since it was staged; stage it again"
                else:
                    await self._look_again(source, item)
        name = item.manifest.name
        if not failed:
            return f"no place with workers has {name} any more; stage it again"
        if NOTEBOOK in failed:
            return f"site {site}: {failed[NOTEBOOK]}"
        return f"site {site}: {name} could not be brought: {'; '.join(failed.values())}"

    async def _address(self, place: str) -> str:
        if place == NOTEBOOK:
            return await self.home.address()
        return str(self._up(place)[0].address)

    async def _outcome(
        self, comm: Comm, source: str, site: str, worker: str, patience: float
    ) -> dict[str, Any]:
        """Wait for what comes of an order; says whether a worker that gets nothing is to wait."""
        quiet_since = clock()
        while True:
            answer = await self._heard(comm, worker, patience)
            if "stalled" not in answer:
                return answer
            quiet = clock() - quiet_since
            poor = self._poor(source) or self._poor(site)  # what is asked for is paid, too
            wait = quiet < (_MONEY if poor else _SILENCE)
            await comm.write({"wait": wait})
            if not wait:
                answer = await self._heard(comm, worker, patience)
                if poor and "failed" in answer:
                    pair = f"{source} and {site}"
                    text = f"the budget does not pay for what {pair} send; see `%grid budget`"
                    return {**answer, "failed": text}
                return answer

    async def _heard(self, comm: Comm, worker: str, patience: float) -> dict[str, Any]:
        """Read what a worker says; gives one up that is stopped, so that another is asked.

        While pieces come it says nothing, however long that takes, and the scheduler hears of it.
        """
        since = clock()
        reading = asyncio.ensure_future(comm.read())
        try:
            while not (await asyncio.wait({reading}, timeout=_LOOK))[0]:
                if clock() - since > patience and not self._lives(worker):
                    reading.cancel()
                    comm.abort()
                    raise CommClosedError(f"{worker} gives no sign of life")
            answer: dict[str, Any] = reading.result()
            return answer
        finally:
            reading.cancel()

    def _lives(self, worker: str) -> bool:
        scheduler = self.hub.scheduler
        state = scheduler.workers.get(scheduler.aliases.get(worker, ""))
        return state is not None and time.time() - state.last_seen < _STUCK

    def _poor(self, source: str) -> bool:
        """Whether a place waits for money for its egress."""
        if self.links is None or source == NOTEBOOK:
            return False
        state = self.links.egress(source)
        return state.wanted > state.allowed

    async def _look_again(self, site: str, item: Item) -> None:
        """Find out what a site still has that has sent something else."""
        try:
            answer = await self._ask(site, "stage_verify", digests=list(item.manifest.blobs))
        except StageError as error:
            logger.info("%s could not look: %s", site, error)
            return
        self._has[site] &= set(answer["digests"])

    def _account(self, item: Item, source: str, site: str, answer: dict[str, Any]) -> None:
        received = answer["received"]
        item.sent += received
        item.routes[source, site] += received
        item.egress += self._egress(received, source, site)
        others = max(len(self._up(site)) - 1, 0)
        item.saved += item.manifest.size - received + item.manifest.size * others
        self._arrived(site, item.digest, answer["evicted"])

    def _arrived(self, site: str, digest: str, evicted: Iterable[str]) -> None:
        self._has[site].add(digest)
        self._has[site] -= set(evicted)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._spreading:
            task.cancel()
        await self.home.close()
