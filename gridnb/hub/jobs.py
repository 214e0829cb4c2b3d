"""Jobs: runs that the hub drives, so that the kernel may come and go.

What a job puts out and what comes of it is written down (:mod:`gridnb.hub.runs`), and
whoever asks is told when something is new; :mod:`gridnb.hub.drive` runs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from gridnb.cells.stored import write_message
from gridnb.errors import GridError, HubError
from gridnb.hub.drive import Buy, Driver
from gridnb.hub.hub import Hub, Run
from gridnb.hub.runs import RunRecord
from gridnb.hub.seats import Seats
from gridnb.hub.work import Order, Work
from gridnb.providers.base import Tls
from gridnb.providers.guard import clock

__all__ = ["Jobs"]

logger = logging.getLogger("gridnb.hub")

EVERY = 0.1  # seconds between two tellings of what is new
SETTLED = 2.0  # seconds until workers have reported the last of a run
PATIENCE = 5.0  # seconds that jobs have to end when the grid ends


class Jobs:
    """The jobs of one grid; `buy` leases for them."""

    def __init__(self, hub: Hub, seats: Seats, buy: Buy, tls: Tls, about: dict[str, Any]) -> None:
        self.hub, self.seats = hub, seats
        self._about = {
            key: about[key] for key in ("account", "currency", "catalog", "time_scale")
        } | {"grid": about["id"], "free": all(site.free for site in hub.catalog.sites)}
        self.works: dict[str, Work] = {}
        self._recent: dict[str, Work] = {}  # the last that has changed stands last
        self._driver = Driver(hub, seats, buy, tls, self.tell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._blobs: dict[str, tuple[bytes, int]] = {}
        self._version = 0
        self._news = asyncio.Condition()
        self._fresh: dict[str, Work] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._told = 0.0
        self._unsettled: list[Work] = []
        self._writing = asyncio.Lock()

    @property
    def active(self) -> bool:
        """Whether there is one that has not ended."""
        return any(work.ended is None for work in self.works.values())

    # what clients ask for

    async def start(self, order: Order) -> dict[str, Any]:
        """Begin a job; returns what it is.

        Raises
        ------
        HubError
            If the grid is ending, or there is no room to write down what was sent.
        """
        if self.hub.closing:
            raise HubError("this grid is ending; connect to a new one")
        order = replace(order, blobs=self._share(order.blobs))
        digests = list(order.blobs)
        record = RunRecord.new(order.run)
        work = Work(order, record, self._about)
        try:
            sent = [*order.parts, *order.blobs.values(), *(order.pieces or [])]
            keys = {"header": order.header, "blobs": digests, "parts": len(order.parts)}
            await asyncio.to_thread(write_message, record.sent, keys, sent)
            await asyncio.to_thread(record.describe, work.describe())
        except OSError as error:
            self._unshare(digests)
            record.forget()
            raise HubError(f"what was sent cannot be written down: {error}") from error
        run = Run(order.run, order.label, began=clock(), kind="job")
        self.works[order.run] = work
        self.hub.runs[order.run] = run
        self.tell(work)
        work.task = self._keep(self._drive(work, run, digests))
        return work.describe()

    def _share(self, blobs: dict[str, bytes]) -> dict[str, bytes]:
        """Keep a part that several jobs were sent with only once."""
        for digest, data in blobs.items():
            held, count = self._blobs.get(digest, (data, 0))
            self._blobs[digest] = held, count + 1
        return {digest: self._blobs[digest][0] for digest in blobs}

    def _unshare(self, digests: list[str]) -> None:
        for digest in digests:
            held, count = self._blobs.pop(digest)
            if count > 1:
                self._blobs[digest] = held, count - 1

    async def wait(self, since: int, timeout: float) -> dict[str, Any]:
        """Return the jobs that have changed since a version, at the latest after `timeout` s."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(lambda: self._version > since)
        except TimeoutError:
            return {"version": self._version, "jobs": []}
        new = []
        for work in reversed(self._recent.values()):
            if work.seen <= since:
                break
            new.append(work.describe())
        return {"version": self._version, "jobs": new}

    async def cancel(self, run: str, reason: str = "cancelled") -> dict[str, Any]:
        """End a job; says whether there was something to end."""
        work = self.works.get(run)
        if work is None or work.ended is not None:
            return {"cancelled": False}
        work.cancelled = work.cancelled or reason
        work.stop()
        return {"cancelled": True}

    def released(self, lease: str | None) -> None:
        """Take no new lease for jobs whose user has just ended theirs (None: all of them)."""
        for work in self.works.values():
            if lease in (None, work.lease):
                work.may_buy = False

    def place(self, run: str, piece: int) -> dict[str, Any]:
        """Return the address of the cell process in which something of a piece stays.

        Raises
        ------
        HubError
            If that process has ended.
        """
        work = self.works.get(run)
        seat = self.seats.seats.get(work.stays.get(piece, -1)) if work is not None else None
        if seat is None:
            raise HubError(f"what stayed at a site of run {run} is gone: its worker has ended")
        return {"address": seat.ready.result(), "site": seat.slot.site.name}

    async def close(self) -> None:
        """End all jobs, wait for that, and write down how they ended."""
        driven = [work.task for work in self.works.values() if work.task and not work.task.done()]
        for run in self.works:
            await self.cancel(run, "the grid was ended")
        if driven:
            await asyncio.wait(driven, timeout=PATIENCE)
        self._driver.close()
        for work in self.works.values():
            if work.written != work.state or work.ended is None:
                self._fresh[work.run] = work
        await self._say()

    # driving one

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drive(self, work: Work, run: Run, digests: list[str]) -> None:
        try:
            await self._driver.run(work)
        except GridError as error:
            work.fail(str(error))
        except Exception as error:
            logger.exception("job %s", work.run)
            work.fail(f"the hub could not drive it: {error!r}")
        finally:
            work.ended = work.began + max(clock() - run.began, 0.0)
            work.state = _end_state(work)
            work.reason = work.reason or work.cancelled
            run.state, run.ended = work.state, clock()
            work.end()
            self._unshare(digests)
            self.tell(work)
            self._settle(work)

    def _settle(self, work: Work) -> None:
        """Tell what a job has cost in the end, together with others that end now."""
        self._unsettled.append(work)
        if len(self._unsettled) == 1 and not self.hub.closing:
            self._keep(self._settle_soon())

    async def _settle_soon(self) -> None:
        await asyncio.sleep(SETTLED)
        works, self._unsettled = self._unsettled, []
        await self.hub.biller.bill(clock(), flush=True)
        for work in works:
            self.tell(work)

    # telling

    def tell(self, work: Work) -> None:
        """Let those who wait know that something of a job is new, soon."""
        self._fresh[work.run] = work
        if self._telling is None:
            loop = asyncio.get_running_loop()
            wait = max(self._told + EVERY - loop.time(), 0.0)
            self._telling = loop.call_later(wait, lambda: self._keep(self._say()))

    async def _say(self) -> None:
        self._telling, self._told = None, asyncio.get_running_loop().time()
        fresh, self._fresh = self._fresh, {}
        async with self._news:
            self._version += 1
            for run, work in fresh.items():
                work.seen = self._version
                work.cost = str(self.hub.runs[run].cost)
                self._recent.pop(run, None)
                self._recent[run] = work
            self._news.notify_all()
        async with self._writing:
            for work in fresh.values():
                about = work.describe()
                try:
                    await asyncio.to_thread(work.record.describe, about)
                except OSError:
                    logger.exception("the state of job %s could not be written", work.run)
                else:
                    work.written = about["state"]


def _end_state(work: Work) -> str:
    if work.finished == work.total:
        return "done"
    return "cancelled" if work.cancelled and not work.failed else "failed"
