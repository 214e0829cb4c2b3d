"""Jobs: runs that the hub drives, so that the kernel may come and go.

A job has one piece (a cell, a function) or several (a map, a sweep). Each piece is relayed
to a cell process at a site, by a thread of its own; what it puts out and what comes of it is
written down (:mod:`gridnb.hub.runs`), and whoever asks is told when something is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from gridnb.cells.line import Line, Stuck
from gridnb.cells.relay import Message, relay
from gridnb.cells.stored import write_message
from gridnb.errors import CellError, GridError, HubError
from gridnb.hub.hub import Hub, Run
from gridnb.hub.runs import RunRecord
from gridnb.hub.seats import Seats
from gridnb.hub.work import Order, Piece, Work
from gridnb.providers.base import Tls
from gridnb.providers.guard import clock

__all__ = ["Jobs"]

logger = logging.getLogger("gridnb.hub")

MOST = 512  # pieces that are under way at once, over all jobs
EVERY = 0.1  # seconds between two tellings of what is new
POLL = 0.2  # seconds between looks for a seat while all cores have one
UNREACHED = 5  # cell processes that may turn out to be gone, until a job fails
SETTLED = 2.0  # seconds until workers have reported the last of a run

#: Errors of a body that would come again: trying them again has no use.
_FINAL = frozenset({"KeyboardInterrupt", "SystemExit", "SyntaxError", "IndentationError"})


class Jobs:
    """The jobs of one grid; `buy` leases a request (JSON) for a session."""

    def __init__(
        self,
        hub: Hub,
        seats: Seats,
        buy: Callable[[str, str], Awaitable[object]],
        tls: Tls,
        about: dict[str, Any],
    ) -> None:
        self.hub, self.seats, self._buy, self._tls = hub, seats, buy, tls
        self._about = {
            key: about[key] for key in ("account", "currency", "catalog", "time_scale")
        } | {"grid": about["id"]}
        self.works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(MOST, thread_name_prefix="gridnb-job")
        self._version = 0
        self._news = asyncio.Condition()
        self._fresh: set[str] = set()
        self._telling: asyncio.TimerHandle | None = None
        self._told = 0.0
        self._closing = False
        self._writing = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether there is one that has not ended."""
        return any(work.ended is None for work in self.works.values())

    # what clients ask for

    async def start(self, order: Order) -> dict[str, Any]:
        """Begin a job; returns what it is."""
        record = RunRecord.new(order.run)
        work = self.works[order.run] = Work(order, record, self._about)
        sent = [*order.parts, *order.blobs.values(), *(order.pieces or [])]
        keys = {"header": order.header, "blobs": list(order.blobs), "parts": len(order.parts)}
        await asyncio.to_thread(write_message, record.sent, keys, sent)
        await asyncio.to_thread(record.describe, work.describe())
        run = Run(order.run, order.label, began=clock(), kind="job")
        self.hub.runs[order.run] = run
        self._tell(work)
        work.task = self._keep(self._drive(work, run))
        return work.describe()

    async def wait(self, since: int, timeout: float) -> dict[str, Any]:
        """Return the jobs that have changed since a version, at the latest after `timeout` s."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(lambda: self._version > since)
        except TimeoutError:
            return {"version": self._version, "jobs": []}
        new = [work.describe() for work in self.works.values() if work.seen > since]
        return {"version": self._version, "jobs": new}

    async def cancel(self, run: str, reason: str = "cancelled") -> dict[str, Any]:
        """End a job; says whether there was something to end."""
        work = self.works.get(run)
        if work is None or work.ended is not None:
            return {"cancelled": False}
        work.cancelled = work.cancelled or reason
        work.interrupt()
        return {"cancelled": True}

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
        """End all jobs, and wait for that."""
        self._closing = True
        driven = [work.task for work in self.works.values() if work.ended is None]
        for run in self.works:
            await self.cancel(run, "the grid was ended")
        if driven:
            await asyncio.wait([task for task in driven if task is not None], timeout=5)
        for task in self._tasks:
            task.cancel()
        await self._say()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # driving one

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drive(self, work: Work, run: Run) -> None:
        try:
            await self._run(work)
        except GridError as error:
            self._fail(work, str(error))
        except Exception as error:
            logger.exception("job %s", work.run)
            self._fail(work, f"the hub could not drive it: {error!r}")
        finally:
            work.log.close()
            work.ended = work.began + max(clock() - run.began, 0.0)
            work.state = _end_state(work)
            work.reason = work.reason or work.cancelled
            run.state, run.ended = work.state, clock()
            self._tell(work)
        if not self._closing:
            await asyncio.sleep(SETTLED)
            await self.hub.biller.bill(clock(), flush=True)
            self._tell(work)

    async def _run(self, work: Work) -> None:
        """Give each piece a seat, on as many cores at a time as there are."""
        busy: set[asyncio.Task[None]] = set()
        try:
            while (work.waiting or busy) and not work.over:
                busy = await self._step(work, busy)
        finally:
            work.interrupt()
            while busy:
                # One that was just beginning has not felt the interrupt.
                _, busy = await asyncio.wait(busy, timeout=0.3)
                work.interrupt()

    async def _step(self, work: Work, busy: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Start on one more seat if there is one; returns the seats that are still at work."""
        answer = await self._seat(work, bool(busy)) if work.waiting else None
        if answer is not None:
            busy.add(asyncio.create_task(self._serve(work, answer)))
        if not busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), POLL)
            return busy
        limit = None if not work.waiting else (0 if answer else POLL)
        done, busy = await asyncio.wait(busy, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        return busy

    async def _seat(self, work: Work, others: bool) -> dict[str, Any] | None:
        """Take a seat; buys what the job asks for when no worker is up any more."""
        order, owner = work.order, _owner(work)
        try:
            answer = await self.seats.take(
                owner, sites=order.sites, lease=order.lease, extra=True, avoid=work.avoid
            )
        except HubError:
            if others:
                return None
            if order.request is None:
                raise
            await self._buy(order.request, order.session)
            answer = await self.seats.take(owner, sites=[], lease=None, extra=True)
        return None if answer.get("busy") else answer

    async def _serve(self, work: Work, answer: dict[str, Any]) -> None:
        """Run pieces on one seat until there are none, or the seat is lost."""
        seat, site = answer["seat"], answer["site"]
        loop = asyncio.get_running_loop()
        files = (self._tls.ca, self._tls.cert, self._tls.key)
        stays = False
        try:
            line = await loop.run_in_executor(self._threads, Line, answer["address"], files)
        except CellError as error:
            self.seats.kill(seat)  # its process had ended and the hub had not heard of it yet
            work.unreached += 1
            if work.unreached > UNREACHED:
                self._fail(work, str(error))
            return
        work.lines[seat] = line
        if site not in work.sites:
            work.sites.append(site)
        try:
            while work.waiting and not work.over and line.fileno() >= 0:
                piece = work.waiting.popleft()
                work.state = "running"
                self._tell(work)
                ended = await self._piece(work, piece, seat, line, site)
                stays = stays or ended == "stays"
                if ended == "again":
                    break  # elsewhere, if there is another place
        finally:
            del work.lines[seat]
            if line.fileno() < 0:
                self.seats.kill(seat)
            elif not stays:
                self.seats.rest(seat)
            line.close()
            self._freed.set()
            self._freed.clear()

    async def _piece(
        self, work: Work, piece: Piece, seat: int, line: Line, site: str
    ) -> Literal["over", "again", "stays"]:
        """Run one piece; ``stays`` if something that it made is kept in the cell process."""
        loop = asyncio.get_running_loop()

        def put(message: dict[str, Any]) -> None:
            work.log.put({**message, "piece": piece.number})
            loop.call_soon_threadsafe(self._tell, work)

        def kill() -> None:
            loop.call_soon_threadsafe(self.seats.kill, seat)

        def go() -> Message:
            return relay(line, work.message(piece), work.order.blobs, put, kill)

        try:
            header, parts = await loop.run_in_executor(self._threads, go)
        except Stuck:
            return "over"
        except CellError as error:
            why = self._why_lost(seat) or str(error)
            return self._again(work, piece, seat, put, f"lost at {site}", why)
        if header["op"] == "refused":
            self._fail(work, header["text"])
            return "over"
        failed = header["error"]
        if failed and not work.over and failed["name"] not in _FINAL:
            what = f"{failed['name']} at {site}"
            if self._again(work, piece, seat, put, what, "") == "again":
                return "again"
        await asyncio.to_thread(write_message, work.record.outcome(piece.number), header, parts)
        if failed:
            self._fail(work, f"{failed['name']}: {failed['text']}")
        else:
            work.finished += 1
            self._tell(work)
        work.names = header["names"]
        if header["remotes"]:
            work.stays[piece.number] = seat
        return "stays" if header["remotes"] else "over"

    def _again(
        self,
        work: Work,
        piece: Piece,
        number: int,
        put: Callable[[dict[str, Any]], None],
        what: str,
        why: str,
    ) -> Literal["over", "again"]:
        """Let a piece be tried again if that is allowed, else fail for the reason that is given."""
        retries = work.order.retries
        if piece.attempts < retries and not work.over:
            piece.attempts += 1
            put({"op": "note", "text": f"{what}; tried again, {piece.attempts} of {retries}"})
            work.waiting.appendleft(piece)
            if (seat := self.seats.seats.get(number)) is not None:
                work.avoid.append(seat.slot.name)
            return "again"
        if why:
            self._fail(work, why)
        return "over"

    def _why_lost(self, number: int) -> str:
        seat = self.seats.seats.get(number)
        if seat is None:
            return ""
        lease = self.hub.leases[seat.slot.lease]
        reason = seat.slot.reason or lease.reason
        if not reason:
            return ""
        return f"worker {seat.slot.name} was ended before the job was: {reason}"

    def _fail(self, work: Work, reason: str) -> None:
        if not work.over:
            work.failed, work.reason = True, " ".join(reason.split())

    # telling

    def _tell(self, work: Work) -> None:
        """Let those who wait know that something of a job is new, soon."""
        self._fresh.add(work.run)
        if self._telling is None:
            loop = asyncio.get_running_loop()
            wait = max(self._told + EVERY - loop.time(), 0.0)
            self._telling = loop.call_later(wait, lambda: self._keep(self._say()))

    async def _say(self) -> None:
        self._telling, self._told = None, asyncio.get_running_loop().time()
        fresh, self._fresh = self._fresh, set()
        async with self._news:
            self._version += 1
            for run in fresh:
                work = self.works[run]
                work.seen = self._version
                work.cost = str(self.hub.runs[run].cost)
            self._news.notify_all()
        async with self._writing:
            for run in fresh:
                work = self.works[run]
                await asyncio.to_thread(work.record.describe, work.describe())


def _owner(work: Work) -> str:
    return f"job:{work.run}"


def _end_state(work: Work) -> str:
    if work.finished == work.total:
        return "done"
    return "cancelled" if work.cancelled and not work.failed else "failed"
