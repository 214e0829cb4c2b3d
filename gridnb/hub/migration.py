"""Moving what works at one site to another: new workers first, then data, then work.

Until the old workers end they keep all they have, so that a migration can be given up at any
moment: they work on then, and what only the new ones hold comes back. The new workers belong to
the leases of the old ones.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridnb.broker import Quote, Request
from gridnb.broker.market import in_places
from gridnb.cluster.moving import Move, Stalled, bound_to
from gridnb.errors import GridError, HubError, RequestError
from gridnb.hub.hub import Run
from gridnb.hub.leases import Lease
from gridnb.hub.quoting import quoted
from gridnb.hub.slots import Slot
from gridnb.providers.guard import clock

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub
    from gridnb.hub.jobs import Jobs
    from gridnb.hub.seats import Seat, Seats
    from gridnb.hub.work import Work

__all__ = ["LIMIT", "Migrations"]

logger = logging.getLogger("gridnb.hub")

LIMIT = 300.0  # real seconds in which what runs may finish
UP = 600.0  # real seconds that new workers may take to come up, besides the delay of their offer
LOOK = 0.1  # seconds between looks
RELEASED = 15.0  # seconds in which workers that were told to end have ended


@dataclass
class Part:
    """The workers of one lease: those that go, and those that take their place."""

    lease: Lease
    old: list[Slot]
    new: list[Slot]


@dataclass
class Migration:
    """One migration. States: starting, copying, finishing, ending; then done or failed.

    `waits` is whether whoever asked for it still carries over what its cell processes keep.
    """

    id: str
    source: str
    target: str
    force: bool
    limit: float
    client: str
    parts: list[Part]
    waits: bool
    began: float
    run: Run
    state: str = "starting"
    why: str = ""
    wanted_stop: str = ""
    ended: float | None = None
    move: Move | None = None
    cells: list[str] = field(default_factory=list)
    jobs: list[tuple[Work, list[str]]] = field(default_factory=list)
    actors: int = 0
    cells_restarted: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def old(self) -> list[Slot]:
        """Workers that go."""
        return [slot for part in self.parts for slot in part.old]

    @property
    def new(self) -> list[Slot]:
        """Workers that take their place."""
        return [slot for part in self.parts for slot in part.new]

    def describe(self) -> dict[str, Any]:
        """Return it as plain data; times in real seconds, sizes in bytes, money as text."""
        done = self.move.done if self.move is not None else None
        return {
            "id": self.id,
            "source": self.source,
            "target": self.target,
            "state": self.state,
            "why": self.why,
            "seconds": (self.ended or clock()) - self.began,
            "workers": [slot.name for slot in self.new],
            "up": sum(slot.state == "running" for slot in self.new),
            "leaving": [slot.name for slot in self.old if slot.leaving],
            "results": done.moved if done else 0,
            "nbytes": done.moved_bytes if done else 0,
            "left": done.left if done else 0,
            "running": self.move.running if self.move else 0,
            "restarted": self.move.restarted if self.move else 0,
            "cells": self.cells,
            "cells_restarted": self.cells_restarted,
            "actors": self.actors,
            "egress": str(self.run.cost),
        }


class _Stopped(Exception):
    """A migration cannot go on; the text says why."""


class Migrations:
    """The migrations of one grid."""

    def __init__(self, hub: Hub, seats: Seats) -> None:
        self.hub, self.seats = hub, seats
        self.jobs: Jobs | None = None
        self.known: dict[str, Migration] = {}
        self._numbers = itertools.count(1)
        self._beginning = asyncio.Lock()

    # what clients ask for

    async def begin(
        self,
        source: str,
        target: str,
        *,
        session: str,
        client: str,
        force: bool,
        limit: float,
        waits: bool,
    ) -> dict[str, Any]:
        """Take workers at `target` for those at `source`, and begin to move; says what it is.

        Raises
        ------
        GridError
            If it cannot be done; nothing was spent and nothing has changed then.
        """
        async with self._beginning:  # so that the next one knows of this one
            old = self._to_move(source, target)
            if not force:
                self._refuse_held(source, target, old, client)
            leases = [self.hub.leases[name] for name in dict.fromkeys(s.lease for s in old)]
            parts = [Part(each, [s for s in old if s.lease == each.id], []) for each in leases]
            quotes = [await self._quote(target, part) for part in parts]
            await self.hub.consents.check(session, quotes)
            await self._take(parts, quotes)
            number = f"{self.hub.grid}-m{next(self._numbers)}"
            run = Run(number, f"migrate {source} → {target}", began=clock(), kind="migration")
            made = Migration(
                number, source, target, force, limit, client, parts, waits, began=clock(), run=run
            )
            self.known[number] = made
            self.hub.runs[number] = run
        what = f"{len(made.old)} workers move to {target}, which gets {len(made.new)}"
        self.hub.losses.tell(source, what)
        made.task = asyncio.create_task(self._run(made))
        return made.describe()

    def find(self, number: str) -> Migration:
        """Return a migration by its id.

        Raises
        ------
        HubError
            If there is none.
        """
        if number not in self.known:
            raise HubError(f"there is no migration {number!r} in this grid")
        return self.known[number]

    def stop(self, number: str, why: str = "it was stopped") -> bool:
        """Give a migration up; returns whether it was under way."""
        made = self.known.get(number)
        if made is None or made.state in ("ending", "done", "failed"):
            return False
        made.wanted_stop = made.wanted_stop or why
        return True

    async def close(self) -> None:
        """Move nothing more."""
        tasks = [made.task for made in self.known.values() if made.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # before anything is bought

    def _to_move(self, source: str, target: str) -> list[Slot]:
        self.hub.catalog.site(source)
        place = self.hub.catalog.site(target)
        if source == target:
            raise RequestError(f"migrate: {source} is both ends; name two sites")
        for made in self.known.values():
            if made.ended is None and {source, target} & {made.source, made.target}:
                raise RequestError(
                    f"migrate: {made.source} → {made.target} is under way; wait for its end"
                )
        up = [s for s in self.hub.slots.values() if s.state in ("starting", "running")]
        old = [slot for slot in up if slot.site.name == source]
        if not old:
            there = ", ".join(sorted({slot.site.name for slot in up})) or "none"
            raise RequestError(f"migrate: no worker is up at {source}; sites with some: {there}")
        for slot in old:
            request = self.hub.leases[slot.lease].quote.request
            # its sites name where it is, regions and owners where data may be
            if not in_places(place, request.model_copy(update={"sites": ()})):
                where = ", ".join((*request.regions, *request.owners))
                raise RequestError(
                    f"migrate: {target} ({place.region}, {place.owner}) is not allowed: lease "
                    f"{_brief(slot.lease)} is bound to {where}; nothing was moved"
                )
        return old

    def _refuse_held(self, source: str, target: str, old: list[Slot], client: str) -> None:
        """Refuse what would be lost, or could not go on, when the old workers go."""
        held: list[str] = []
        held += [f"actor {name}" for name in self._actors(old)]
        held += [f"task {ts.key}, bound to it" for ts in self._bound(source, target, old)]
        for seat in self._seats(old):
            owner = seat.client or ""
            if owner.startswith("job:") and seat.keeps:
                held.append(f"a value that job {owner[4:]} keeps there")
            elif owner not in ("", client) and not owner.startswith("job:"):
                held.append(f"another notebook's cell process at {seat.slot.name}")
        if held:
            more = f" and {len(held) - 5} more" if len(held) > 5 else ""
            raise RequestError(
                f"migrate: {source} is held back by {'; '.join(held[:5])}{more}: these cannot be "
                "moved; end them first, or with force=True (--force) they end with its workers"
            )

    def _actors(self, slots: Sequence[Slot]) -> list[str]:
        return [str(ts.key) for ws in self._workers(slots) for ts in ws.actors]

    def _bound(self, source: str, target: str, old: Sequence[Slot]) -> list[Any]:
        """Return the unfinished tasks that may run nowhere else."""
        scheduler = self.hub.scheduler
        bound = bound_to(scheduler, {slot.address for slot in old if slot.address})
        left = {site.name for site in scheduler.sites.live()} - {source} | {target}
        for key, names in scheduler.confined.items():
            ts = scheduler.tasks.get(key)
            if ts is not None and ts.state != "memory" and not names & left:
                bound.append(ts)
        return bound

    def _workers(self, slots: Sequence[Slot]) -> list[Any]:
        workers = self.hub.scheduler.workers
        return [workers[slot.address] for slot in slots if slot.address in workers]

    def _seats(self, slots: Sequence[Slot]) -> list[Seat]:
        return [seat for seat in self.seats.seats.values() if seat.slot in slots]

    async def _quote(self, target: str, part: Part) -> Quote:
        """Quote as much at the other site as a lease has at this one."""
        asked = part.lease.quote.request
        what: dict[str, Any] = {
            "cores": sum(slot.cores for slot in part.old),
            "memory": sum(slot.offer.memory for slot in part.old),
            "gpus": sum(slot.offer.gpus for slot in part.old),
            "sites": (target,),
            "spot": None if asked.spot else asked.spot,
            "optimize": asked.optimize,
        }
        why = ""
        for workers in (len(part.old), None):  # or in another shape, if its offers have one
            try:
                request = Request.of(**what, workers=workers)
                return await quoted(self.hub, request, self.hub.losses.avoided())
            except RequestError as error:
                why = why or str(error)
        raise RequestError(
            f"migrate: {target} cannot take the {len(part.old)} workers of "
            f"{part.old[0].site.name}: {why}"
        )

    async def _take(self, parts: list[Part], quotes: list[Quote]) -> None:
        """Hold the money and start the workers, all of them or none."""
        hub = self.hub
        try:
            async with hub.buying:
                if hub.closing:
                    raise RequestError("this grid is ending; connect to a new one")
                for part in parts:
                    if part.lease.state != "active":
                        raise RequestError(
                            f"migrate: lease {_brief(part.lease.id)} has ended; nothing was moved"
                        )
                for part, quote in zip(parts, quotes, strict=True):
                    hub.check_room(quote)
                    slots = hub.new_slots(part.lease.id, quote, now := clock())
                    await hub.terms.fund(part.lease, list(slots.values()), now)
                    terms = [hub.terms.length(site) for site in quote.sites]
                    part.lease.term = min([part.lease.term, *terms])
                    part.new = list(slots.values())
                    part.lease.slots |= slots
                    hub.slots.update(slots)
                    part.lease.count += len(slots)
                    part.lease.limit_idle(hub.settings.lease, float(hub.scale))
            new = [slot for part in parts for slot in part.new]
            # All starts have come to their end before one that failed is answered for.
            for error in await asyncio.gather(*map(hub.start, new), return_exceptions=True):
                if isinstance(error, BaseException):
                    raise error
        except GridError:
            for part in parts:
                self._give_back(part, "the migration could not begin")
                await asyncio.gather(
                    *(hub.start(slot) for slot in part.new if slot.link is None and slot.running)
                )
            raise

    def _give_back(self, part: Part, why: str) -> None:
        part.lease.count -= len(part.new)
        for slot in part.new:
            self.hub.stop(slot, why)

    # moving

    async def _run(self, made: Migration) -> None:
        try:
            await self._up(made)
            made.state = "copying"
            self._leave(made)
            await self.hub.biller.bill(clock(), flush=True)  # what went before is not of this
            self.hub.biller.movers[made.source, made.target] = made.run
            made.move = self._move(made.old, made.new, math.inf)
            await self._guarded(made, made.move.copy())
            made.state, made.move.end = "finishing", clock() + made.limit
            while not self._is_empty(made, made.move):
                await self._guarded(made, self._finish(made, made.move))
            made.state = "ending"
            await self._end(made)
        except (_Stopped, Stalled, GridError) as error:
            await self._failed(made, str(error))
        except Exception as error:
            logger.exception("migration %s", made.id)
            await self._failed(made, repr(error))
        finally:
            self.hub.biller.movers.pop((made.source, made.target), None)

    async def _up(self, made: Migration) -> None:
        delay = max(slot.offer.start_delay for slot in made.new) / float(self.hub.scale)
        until = clock() + delay + UP
        while any(slot.state == "starting" for slot in made.new):
            self._check(made)
            if clock() > until:
                raise _Stopped(f"the workers at {made.target} did not come up")
            await self.hub.changed(LOOK)
        self._check(made)

    def _check(self, made: Migration) -> None:
        """Give up if it was stopped, or if there is nothing to move to any more."""
        if made.wanted_stop:
            raise _Stopped(made.wanted_stop)
        for part in made.parts:
            if part.lease.state != "active":
                raise _Stopped(f"lease {_brief(part.lease.id)} has ended")
        for slot in made.new:
            if slot.state in ("ended", "draining"):
                raise _Stopped(f"{slot.name} was lost: {slot.reason}")

    def _leave(self, made: Migration) -> None:
        """Let nothing new begin in the old workers' cell processes, and lift what binds to them."""
        for slot in made.old:
            slot.leaving = True
        for work in self.jobs.works.values() if self.jobs is not None else ():
            if work.ended is None and made.source in work.sites:
                made.jobs.append((work, work.sites))
                work.sites = _renamed(work.sites, made.source, made.target)
        if not made.force:
            return
        scheduler = self.hub.scheduler
        there = [slot.address for slot in made.new if slot.address]
        for ts in self._bound(made.source, made.target, made.old):
            if (names := scheduler.confined.get(ts.key)) is not None:
                scheduler.confined[ts.key] = names | {made.target}
            if ts.worker_restrictions:
                scheduler.set_restrictions({ts.key: there})

    def _move(self, here: list[Slot], there: list[Slot], limit: float) -> Move:
        def addresses(slots: list[Slot]) -> list[str]:
            return [s.address for s in slots if s.address and s.state == "running"]

        return Move(
            self.hub.scheduler,
            self.hub.scheduler.protection,
            here=lambda: addresses(here),
            there=lambda: addresses(there),
            limit=limit,
        )

    async def _guarded(self, made: Migration, work: Any) -> None:
        """Do something, and give up as soon as it makes no sense any more."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self._check(made)
                await asyncio.wait([task], timeout=LOOK)
            await task
        finally:
            task.cancel()

    async def _finish(self, made: Migration, move: Move) -> None:
        """Let tasks and cells finish, and wait for what is carried over from cell processes."""
        while True:
            await move.finish()
            busy = [seat for seat in self._seats(made.old) if seat.run is not None]
            made.cells = [self._label(seat) for seat in busy]
            if not busy and not made.waits:
                return
            if clock() > move.end:
                self._out_of_time(made, busy)
            await asyncio.sleep(LOOK)

    def _is_empty(self, made: Migration, move: Move) -> bool:
        """Whether nothing runs at the old workers, and nothing is only there, at this moment."""
        busy = any(seat.run is not None for seat in self._seats(made.old))
        return move.closed and move.empty() and not busy and not made.waits

    def _out_of_time(self, made: Migration, busy: list[Seat]) -> None:
        """End the cells that may run again; without `force` no other one."""
        if made.waits and made.client in self.hub.scheduler.clients and not made.force:
            raise _Stopped("what its cell processes keep was not carried over in time")
        made.waits = False
        last = [seat for seat in busy if not made.force and not self._may_restart(seat)]
        if last:
            raise _Stopped(
                f"{self._label(last[0])} still runs at {made.source} after {made.limit:g} s; "
                "give it a longer limit"
            )
        for seat in busy:
            if not seat.dying:
                made.cells_restarted += 1
                self.seats.kill(seat.id)

    def _may_restart(self, seat: Seat) -> bool:
        """Whether what runs there is a piece of a job that is tried again."""
        owner = seat.client or ""
        work = self.jobs.works.get(owner[4:]) if self.jobs and owner.startswith("job:") else None
        return work is not None and work.order.retries > 0

    def _label(self, seat: Seat) -> str:
        run = self.hub.runs.get(seat.run or "")
        return run.label or run.id if run is not None else "a cell"

    # the end

    async def _end(self, made: Migration) -> None:
        """End the old workers; there is no way back from here."""
        assert made.move is not None
        made.actors = len(self._actors(made.old))
        for part in made.parts:
            request = part.lease.quote.request
            sites = tuple(_renamed(request.sites, made.source, made.target))
            changed = request.model_copy(update={"sites": sites})
            part.lease.quote = part.lease.quote.model_copy(update={"request": changed})
            part.lease.count -= sum(slot.running for slot in part.old)
        for slot in made.old:
            if slot.until is None:  # else a notice empties it, and ends it
                self.hub.stop(slot, f"migrated to {made.target}")
        until = clock() + RELEASED
        while any(slot.running for slot in made.old) and clock() < until:
            await self.hub.changed(LOOK)
        made.move.over()
        await self.hub.biller.bill(clock(), flush=True)
        self._over(made, "done")
        done = made.move.done
        told = f"migrated to {made.target}: {done.moved} results moved"
        self.hub.losses.tell(made.source, told)

    def _over(self, made: Migration, state: str) -> None:
        made.ended = made.run.ended = clock()
        made.state = made.run.state = state

    async def _failed(self, made: Migration, why: str) -> None:
        if made.state == "ending":  # all has moved, and only the accounts are late
            logger.error("after migration %s: %s", made.id, why)
            self._over(made, "done")
        else:
            await self._give_up(made, why)

    async def _give_up(self, made: Migration, why: str) -> None:
        """Let the old workers go on; what only the new ones hold comes back before they end."""
        for slot in made.old:
            slot.leaving = False
        for work, sites in made.jobs:
            work.sites = sites
        if made.move is not None:
            made.move.reopen()
        left = ""
        alive = [slot for slot in made.new if slot.state in ("starting", "running")]
        if alive and made.move is not None and not self.hub.closing:
            left = await self._bring_back(made, alive)
        if not left:
            for part in made.parts:
                part.lease.count -= sum(slot in alive for slot in part.new)
            for slot in alive:
                self.hub.stop(slot, "the migration was given up")
        made.why = f"{why}; {made.source} keeps all it has{left}"
        self._over(made, "failed")
        self.hub.losses.tell(made.source, f"not migrated to {made.target}: {made.why}")

    async def _bring_back(self, made: Migration, alive: list[Slot]) -> str:
        """Move to the old workers what the new ones have made; says what could not be."""
        back = self._move(alive, made.old, clock() + made.limit)
        try:
            await back.copy()
            await back.finish()
        except Exception as error:
            if not isinstance(error, Stalled | GridError):
                logger.exception("migration %s, on its way back", made.id)
            back.reopen()
            return f", and the workers at {made.target} go on, since {error}"
        back.over()
        return ""


def _renamed(names: Sequence[str], before: str, after: str) -> list[str]:
    return list(dict.fromkeys(after if name == before else name for name in names))


def _brief(lease: str) -> str:
    return lease.rpartition("-")[2]
