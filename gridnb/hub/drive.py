"""Driving a job: each of its pieces is relayed to a cell process, by a thread of its own.

A job has one piece (a cell, a function) or several (a map, a sweep).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Literal

from gridnb.broker import Request
from gridnb.cells.line import Line, Stuck
from gridnb.cells.relay import Message, relay
from gridnb.cells.stored import write_message
from gridnb.errors import BudgetError, CellError, CellLost
from gridnb.hub.hub import Hub
from gridnb.hub.leases import Lease
from gridnb.hub.seats import Seats
from gridnb.hub.work import Piece, Work
from gridnb.providers.base import Tls
from gridnb.providers.guard import clock
from gridnb.units import Money

__all__ = ["Buy", "Driver"]

MOST = 512  # pieces that are under way at once, over all jobs
GATE = 4  # jobs that look for a seat at the same place at once; the others wait their turn
POLL = 0.2  # seconds between looks for a seat while all cores have one
UNREACHED = 5  # cell processes in a row that may turn out to be gone, until a job fails

#: Takes a lease on a request, in the session in which the job was asked for.
Buy = Callable[[Request, str], Awaitable[Lease]]
#: How a piece ended: for good, so that it is tried again, or with something kept in its process.
Ended = Literal["over", "again", "stays"]
Put = Callable[[dict[str, Any]], None]


class Driver:
    """Runs jobs; `tell` is called when something about one is new."""

    def __init__(
        self, hub: Hub, seats: Seats, buy: Buy, tls: Tls, tell: Callable[[Work], None]
    ) -> None:
        self.hub, self.seats, self._buy, self._tell = hub, seats, buy, tell
        self._files = (tls.ca, tls.cert, tls.key)
        self._threads = ThreadPoolExecutor(MOST, thread_name_prefix="gridnb-job")
        self._serving = 0
        self._gates: dict[tuple[Any, ...], asyncio.Semaphore] = {}
        self._freed = asyncio.Event()

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Work) -> None:
        """Give each piece a seat, on as many cores at a time as there are.

        Raises
        ------
        GridError
            If there is no seat for it and none can be had.
        """
        busy: set[asyncio.Task[None]] = set()
        try:
            while (work.waiting or busy) and not work.over:
                busy = await self._step(work, busy)
        finally:
            work.stop()
            while busy:
                # One that was just beginning has not felt the interrupt.
                _, busy = await asyncio.wait(busy, timeout=0.3)
                work.stop()

    async def _step(self, work: Work, busy: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Start on one more seat if there is one; returns the seats that are still at work."""
        answer = None
        if work.waiting:
            answer = await (self._another(work) if busy else self._first(work))
        if answer is not None:
            busy.add(asyncio.create_task(self._serve(work, answer)))
        if not busy:
            return busy
        limit = None if not work.waiting else (0 if answer else POLL)
        done, busy = await asyncio.wait(busy, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        return busy

    # seats

    async def _first(self, work: Work) -> dict[str, Any] | None:
        """Wait for a seat, in turn with other jobs that want one at the same place."""
        where = (*work.sites, work.lease)
        async with self._gates.setdefault(where, asyncio.Semaphore(GATE)):
            while not work.over:
                coming = self.hub.losses.coming(work.lease)
                if not self.seats.there(work.sites, work.lease) and work.may_buy and not coming:
                    await self._lease(work)
                if answer := await self._take(work):
                    return answer
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), POLL)
        return None

    async def _another(self, work: Work) -> dict[str, Any] | None:
        """Take one more seat if one is free now."""
        if self.seats.there(work.sites, work.lease):
            return await self._take(work)
        return None

    async def _take(self, work: Work) -> dict[str, Any] | None:
        """Take a seat; None if all cores have one, or the job is stopped meanwhile."""
        if self._serving >= MOST:
            return None
        taking = asyncio.create_task(
            self.seats.take(
                _owner(work), sites=work.sites, lease=work.lease, extra=True, avoid=work.avoid
            )
        )
        stopped = asyncio.create_task(work.stopped.wait())
        await asyncio.wait({taking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not taking.done():
            taking.add_done_callback(self._unwanted)
            return None
        answer = taking.result()
        return None if answer.get("busy") else answer

    def _unwanted(self, taking: asyncio.Task[dict[str, Any]]) -> None:
        """Give a seat back that came when its job was over."""
        if not taking.cancelled() and taking.exception() is None:
            self.seats.rest(taking.result().get("seat", -1))

    async def _lease(self, work: Work) -> None:
        """Take a lease for a job whose workers are gone, on what is left of what it asked for."""
        request = Request.from_json(work.order.request or "{}")
        left: dict[str, Any] = {}
        if request.max_cost is not None:
            amount = request.max_cost.amount - self.hub.runs[work.run].cost
            left["max_cost"] = Money(max(amount, Decimal(0)), request.max_cost.currency)
            if amount <= 0:
                raise BudgetError(f"its cost has reached --max-cost {request.max_cost}")
        if request.deadline is not None:
            gone = (clock() - self.hub.runs[work.run].began) * float(self.hub.scale)
            left["deadline"] = request.deadline - gone
            if left["deadline"] <= 0:
                raise BudgetError("its deadline has come, and no worker is up for it")
        lease = await self._buy(request.model_copy(update=left), work.order.session)
        work.sites, work.lease = [], lease.id

    async def _serve(self, work: Work, answer: dict[str, Any]) -> None:
        """Run pieces on one seat until there are none, or the seat is lost."""
        seat, site = answer["seat"], answer["site"]
        loop = asyncio.get_running_loop()
        self._serving += 1
        stays = False
        line: Line | None = None
        try:
            line = await loop.run_in_executor(self._threads, Line, answer["address"], self._files)
            work.unreached = 0
            work.lines[seat] = line
            if site not in work.ran_at:
                work.ran_at.append(site)
            while work.waiting and not work.over and line.fileno() >= 0:
                piece = work.waiting.popleft()
                work.state = "running"
                self._tell(work)
                ended = await self._piece(work, piece, answer, line)
                stays = stays or ended == "stays"
                if ended == "again" or self.seats.leaving(seat):
                    break  # elsewhere, if there is another place
        except (CellError, OSError) as error:  # its process had ended, unknown to the hub
            work.unreached += 1
            if work.unreached > UNREACHED:
                work.fail(str(error))
        finally:
            self._serving -= 1
            work.lines.pop(seat, None)
            self._leave(seat, line, stays)

    def _leave(self, seat: int, line: Line | None, stays: bool) -> None:
        if line is None or line.fileno() < 0:
            self.seats.kill(seat)
        else:
            self.seats.rest(seat, owned=stays)
        if line is not None:
            line.close()
        self._freed.set()
        self._freed.clear()

    # one piece

    async def _piece(self, work: Work, piece: Piece, answer: dict[str, Any], line: Line) -> Ended:
        loop, seat, site = asyncio.get_running_loop(), answer["seat"], answer["site"]

        def put(message: dict[str, Any]) -> None:
            if message["op"] == "result" and piece.inline is not None:
                return  # the results are gathered
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
        except CellLost as error:
            why = self._why_lost(seat) or str(error)
            return self._again(work, piece, answer["worker"], put, f"lost at {site}", why)
        if header["op"] == "refused":
            work.fail(header["text"])
            return "over"
        failed = header["error"]
        if failed and not work.over and _may_pass(failed):
            what = f"{failed['name']} at {site}"
            if self._again(work, piece, answer["worker"], put, what, "") == "again":
                return "again"
        await asyncio.to_thread(write_message, work.record.outcome(piece.number), header, parts)
        if failed:
            work.fail(f"{failed['name']}: {failed['text']}")
        else:
            work.finished += 1
        work.names = header["names"]
        self._tell(work)
        if header["remotes"]:
            work.stays[piece.number] = seat
        return "stays" if header["remotes"] else "over"

    def _again(
        self, work: Work, piece: Piece, worker: str, put: Put, what: str, why: str
    ) -> Literal["over", "again"]:
        """Let a piece be tried again if that is allowed, else fail for the reason that is given."""
        retries = work.order.retries
        if piece.attempts < retries and not work.over:
            piece.attempts += 1
            put({"op": "note", "text": f"{what}; tried again, {piece.attempts} of {retries}"})
            work.waiting.appendleft(piece)
            work.avoid.append(worker)
            return "again"
        if why:
            work.fail(why)
        return "over"

    def _why_lost(self, number: int) -> str:
        seat = self.seats.seats.get(number)
        if seat is None:
            return ""
        reason = seat.slot.reason or self.hub.leases[seat.slot.lease].reason
        if not reason:
            return ""
        return f"worker {seat.slot.name} was ended before the job was: {reason}"


def _owner(work: Work) -> str:
    return f"job:{work.run}"


def _may_pass(error: dict[str, Any]) -> bool:
    """Whether an error of a body may not come again: not for what is no error, nor no Python."""
    return "Exception" in error["bases"] and "SyntaxError" not in error["bases"]
