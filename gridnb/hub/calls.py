"""What a client can ask of a hub, as calls on the scheduler's address.

Arguments and answers are plain data. An error that a user should read travels
as ``{"error": class name, "text": …}`` and is raised again at the other end.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from gridnb.broker import Quote, Request
from gridnb.errors import BudgetExceeded, ConsentError, GridError, HubError
from gridnb.hub.hub import Hub, Run
from gridnb.hub.jobs import Jobs
from gridnb.hub.leases import Lease
from gridnb.hub.migration import LIMIT, Migrations
from gridnb.hub.notices import Notices
from gridnb.hub.quoting import quoted
from gridnb.hub.seats import Seats
from gridnb.hub.slots import Slot
from gridnb.hub.status import RUNS, links, status
from gridnb.hub.volumes import Volumes
from gridnb.hub.work import Order
from gridnb.providers.guard import clock

__all__ = ["Calls"]

logger = logging.getLogger("gridnb.hub")

RETIRE_PATIENCE = 60.0  # seconds for moving data off workers that are to end

Handler = Callable[..., Awaitable[dict[str, Any]]]


def _guarded(call: Handler) -> Handler:
    async def answer(comm: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            if (role := _role(comm)) != "client":
                raise HubError(f"a {role} of this grid may not ask its hub for {call.__name__}")
            return await call(**kwargs)
        except GridError as error:
            more: dict[str, Any] = {}
            if isinstance(error, BudgetExceeded):
                more = {"needed": str(error.needed), "left": str(error.left)}
            if isinstance(error, ConsentError):
                more = {"quotes": list(error.quotes), "budget": error.budget}
            return {"error": type(error).__name__, "text": str(error), **more}

    return answer


def _role(comm: Any) -> str:
    """Return whose certificate the other end has shown: code at a site has only a worker's."""
    subject = comm.extra_info["peercert"]["subject"]
    return str(next(value for ((key, value),) in subject if key == "commonName"))


class Calls:
    """Answers clients; `stop` ends the hub."""

    def __init__(self, hub: Hub, seats: Seats, about: dict[str, Any], stop: asyncio.Event) -> None:
        self.hub = hub
        self.seats = seats
        self.about = about
        self.stop = stop
        self.notices = Notices(hub, seats)
        self.migrations = Migrations(hub, seats)
        names = ("quote", "request", "release", "scale", "status", "seat", "unseat", "kill_seat",
                 "run_info", "close", "wait", "dashboard", "scale_down", "series",
                 "consent", "link", "links", "preempt", "migrate", "migration",
                 "migration_carried", "migration_stop")  # fmt: skip
        hub.scheduler.answer(**{f"grid_{n}": _guarded(getattr(self, n)) for n in names})
        hub.scheduler.hear(**{"grid-run": self.run})

    async def _quote(self, request: Request) -> Quote:
        return await quoted(self.hub, request, self.hub.losses.avoided())

    async def quote(self, request: str) -> dict[str, Any]:
        """Quote a request (JSON)."""
        return {"quote": (await self._quote(Request.model_validate_json(request))).to_json()}

    async def consent(self, session: str) -> dict[str, Any]:
        """Note that somebody has agreed, in this session, to spend real money."""
        self.hub.consents.give(session)
        account = await self.hub.treasury.account()
        return {"account": account.name, "currency": account.currency}

    async def request(
        self,
        session: str = "",
        quote: str | None = None,
        request: str | None = None,
        keep: bool = False,
    ) -> dict[str, Any]:
        """Take a lease on a quote, or on a request that is quoted now."""
        if quote is not None:
            accepted = Quote.from_json(quote)
        else:
            accepted = await self._quote(Request.model_validate_json(request or "{}"))
        lease = await self.hub.lease(accepted, session=session, keep=keep)
        return {"lease": lease.describe(clock()), "quote": accepted.to_json()}

    def _lease(self, lease: str) -> Lease:
        if lease not in self.hub.leases:
            known = ", ".join(self.hub.leases) or "none"
            raise HubError(f"there is no lease {lease!r} in this grid; there are: {known}")
        return self.hub.leases[lease]

    async def release(self, lease: str | None = None) -> dict[str, Any]:
        """End one lease, or all."""
        chosen = [self._lease(lease)] if lease else list(self.hub.leases.values())
        ended = [each.id for each in chosen if each.state == "active"]
        for each in chosen:
            self.hub.release(each)
        self.jobs.released(lease)
        return {"released": ended}

    async def scale(
        self,
        session: str = "",
        sites: dict[str, int] | None = None,
        n: int | None = None,
        look: bool = False,
    ) -> dict[str, Any]:
        """Bring sites, or the whole grid, to a number of workers; more are quoted and held.

        With `look` nothing is done, but refused is what would be.
        """
        for site in sites or ():
            self.hub.catalog.site(site)
        wanted = {"": n or 0} if sites is None else sites
        present = {site: self._present(site) for site in wanted}
        more = [await self._more(count - len(present[s]), s) for s, count in wanted.items()]
        bought = [each for each in more if each is not None]
        await self.hub.consents.check(session, bought)  # to all of it, before any of it
        for each in () if look else bought:
            await self.hub.lease(each, session=session, keep=True)
        for site, count in wanted.items():
            if (less := len(present[site]) - count) > 0 and not look:
                await self._retire(self._least_missed(present[site])[:less])
        names = [slot.name for slot in self._present()]
        return {"workers": len(names), "names": names}

    def _present(self, site: str = "") -> list[Slot]:
        """Return the workers that are up or come, of a site or of all."""
        return [
            slot
            for slot in self.hub.slots.values()
            if slot.state in ("starting", "running") and site in ("", slot.site.name)
        ]

    async def _more(self, count: int, site: str) -> Quote | None:
        """Quote so many workers more; None if there are enough."""
        if count <= 0:
            return None
        return await self._quote(Request.of(workers=count, sites=[site] if site else [], cores=1))

    def _least_missed(self, slots: list[Any]) -> list[Any]:
        """Order workers by how little is lost with them: not up yet, idle, few data."""

        def weight(slot: Any) -> tuple[int, int, int]:
            ws = self.hub.scheduler.workers.get(slot.address) if slot.address else None
            if ws is None:
                return (0, 0, 0)
            return (1, len(ws.processing), ws.nbytes)

        return sorted(slots, key=weight)

    async def _retire(self, slots: list[Any]) -> None:
        """Move what workers hold to those that stay, then end them."""
        names = [slot.name for slot in slots if slot.address is not None]
        stay = len(self.hub.scheduler.workers) - len(names)
        if names and stay > 0:
            try:
                async with asyncio.timeout(RETIRE_PATIENCE):
                    await self.hub.scheduler.retire_workers(
                        names=names, close_workers=False, remove=False, stimulus_id="gridnb-scale"
                    )
            except TimeoutError:
                logger.warning("data of %s could not be moved in time", ", ".join(names))
        for slot in slots:
            self.hub.stop(slot, "scaled down")

    async def scale_down(self, workers: list[str]) -> dict[str, Any]:
        """End workers, given by name or address, after moving what they hold."""
        named = [s for s in self.hub.slots.values() if {s.address, s.name} & set(workers)]
        await self._retire([slot for slot in named if slot.running])
        return {}

    async def preempt(self, what: str, notice: float) -> dict[str, Any]:
        """Have a simulated site take workers back."""
        return await self.notices.preempt(what, notice)

    # migrations

    async def migrate(
        self,
        source: str,
        target: str,
        session: str = "",
        client: str = "",
        force: bool = False,
        limit: float = LIMIT,
        waits: bool = False,
    ) -> dict[str, Any]:
        """Move what works at one site to another; says what is under way then."""
        return await self.migrations.begin(
            source,
            target,
            session=session,
            client=client,
            force=force,
            limit=limit,
            waits=waits,
        )

    async def migration(self, migration: str) -> dict[str, Any]:
        """Return how a migration stands."""
        return self.migrations.find(migration).describe()

    async def migration_carried(self, migration: str) -> dict[str, Any]:
        """Note that nothing more is carried over from cell processes."""
        self.migrations.find(migration).waits = False
        return {}

    async def migration_stop(self, migration: str, why: str) -> dict[str, Any]:
        """Give a migration up."""
        return {"stopped": self.migrations.stop(migration, why)}

    async def status(
        self, bill: bool = False, runs: int = RUNS, workers: bool = True
    ) -> dict[str, Any]:
        """Return the state of everything; with `bill`, after charging up to now."""
        if bill:
            await self.hub.biller.bill(clock(), flush=True)
        account = await self.hub.treasury.account()
        return status(self.hub, account, self.about, runs=runs, workers=workers)

    async def series(self, since: float | None = None) -> dict[str, Any]:
        """Return what sites have cost over time: the points after `since`, or all.

        Times are those of the hub's clock, of which `now` is the present.
        """
        points = self.hub.series.since(since)
        plain = [[t, {site: str(cost) for site, cost in costs.items()}] for t, costs in points]
        return {"now": clock(), "points": plain}

    async def wait(
        self, lease: str, n: int | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Wait until `n` workers of a lease are up (all by default)."""
        chosen = self._lease(lease)
        want = n if n is not None else chosen.count
        until = None if timeout is None else clock() + timeout
        while True:
            up = [slot.name for slot in chosen.slots.values() if slot.state == "running"]
            if len(up) >= want:
                return {"up": up}
            if len(chosen.open_slots()) < want and not self.hub.losses.coming(chosen.id):
                gone = [s for s in chosen.slots.values() if s.state == "ended"]
                why = "; ".join(f"{slot.name}: {slot.reason}" for slot in gone)
                raise HubError(f"{len(gone)} workers ended before they were up: {why}")
            if until is not None and clock() > until:
                raise HubError(
                    f"{len(up)} of {want} workers are up after {timeout:g} s; see `%grid status`"
                )
            await self.hub.changed(0.5)

    # cells

    async def seat(
        self,
        client: str,
        sites: list[str] | None = None,
        lease: str | None = None,
        extra: bool = False,
        avoid: list[str] | None = None,
    ) -> dict[str, Any]:
        """Lend a cell process."""
        return await self.seats.take(
            client, sites=sites or [], lease=lease, extra=extra, avoid=avoid or []
        )

    async def unseat(self, client: str, seat: int) -> dict[str, Any]:
        """Give a cell process back."""
        self.seats.give_back(client, seat)
        return {}

    async def kill_seat(self, seat: int) -> dict[str, Any]:
        """End a cell process that does not let go."""
        self.seats.kill(seat)
        return {}

    def run(
        self,
        run: str,
        label: str,
        state: str,
        client: str | None = None,
        replicas: int | None = None,
        **_: Any,
    ) -> None:
        """Take note of a run that begins or ends (one-way)."""
        if client is None:  # a worker's word: it has none in this
            return
        known = self.hub.runs.get(run)
        if known is None:
            known = self.hub.runs[run] = Run(run, label, began=clock())
        known.label, known.client = label, client or known.client
        if replicas is not None:
            known.replicas = replicas
            self.hub.scheduler.protection.refresh()
        known.state = state
        if state != "running":
            known.ended = clock()

    async def run_info(self, run: str) -> dict[str, Any]:
        """Return what a run cost so far, up to this moment, and what is left."""
        await self.hub.biller.bill(clock(), flush=True)
        found = self.hub.runs.get(run)
        account = await self.hub.treasury.account()
        active = [lease for lease in self.hub.leases.values() if lease.state == "active"]
        ends = [t for lease in active if (t := lease.released_in(clock())) is not None]
        return {
            "cost": str(found.cost) if found else "0",
            "used": str(found.used) if found else "0",
            "sites": sorted(found.sites) if found else [],
            "left": None if account.cap is None else str(account.left),
            "released_in": min(ends, default=None),
            "active": len(active),
            "reason": next((lease.reason for lease in active if lease.reason), ""),
        }

    # jobs

    async def buy(self, request: Request, session: str) -> Lease:
        """Take a lease on what a request is quoted now."""
        return await self.hub.lease(await self._quote(request), session=session)

    def serve(self, jobs: Jobs) -> None:
        """Answer for the jobs of this grid, too."""
        self.jobs = self.migrations.jobs = jobs
        names = ("job_start", "jobs_wait", "job_cancel", "job_seat", "cancel_run")
        self.hub.scheduler.answer(**{f"grid_{n}": _guarded(getattr(self, n)) for n in names})

    async def job_start(self, **order: Any) -> dict[str, Any]:
        """Begin a job (see :class:`gridnb.hub.work.Order`)."""
        return await self.jobs.start(Order(**order))

    async def jobs_wait(self, since: int, timeout: float) -> dict[str, Any]:
        """Return the jobs that changed since a version, when there are some."""
        return await self.jobs.wait(since, timeout)

    async def job_cancel(self, run: str) -> dict[str, Any]:
        """End a job."""
        return await self.jobs.cancel(run)

    async def job_seat(self, run: str, piece: int) -> dict[str, Any]:
        """Return where something stays that a piece of a job has made."""
        return self.jobs.place(run, piece)

    async def cancel_run(self, run: str) -> dict[str, Any]:
        """End a run that the hub drives."""
        if (await self.jobs.cancel(run))["cancelled"]:
            return {}
        if self.migrations.stop(run):
            return {}
        found = self.hub.runs.get(run)
        if found is None:
            raise HubError(f"there is no run {run!r} in this grid; `%grid status` lists them")
        if found.state != "running":
            raise HubError(f"run {run} is over; there is nothing to cancel")
        raise HubError(f"run {run} belongs to a kernel; interrupt it there")

    # modelled links

    async def links(self) -> dict[str, Any]:
        """Return every direction of every modelled link."""
        return {"links": links(self.hub, every=True)}

    async def link(
        self,
        between: list[str],
        cut: bool | None = None,
        bandwidth: float | None = None,
        latency: float | None = None,
    ) -> dict[str, Any]:
        """Cut, restore or set a link, in both directions; it says what it was told to."""
        table = self.hub.biller.links
        if table is None or not all(self.hub.catalog.site(name).simulated for name in between):
            raise HubError(f"there is no modelled link between {' and '.join(between)}")
        for src, dst in (between, reversed(between)):
            table.change(src, dst, cut=cut, bandwidth=bandwidth, latency=latency)
        self.hub.scheduler.sites.forget_links()
        return {}

    # staged files

    def share(self, volumes: Volumes) -> None:
        """Answer for the files of this grid, too; its workers may ask for those that they need."""
        self.volumes = volumes
        names = ("stage", "stage_check", "staged", "stage_source", "publish", "volume")
        self.hub.scheduler.answer(
            grid_stage_need=volumes.need,
            grid_stage_wanted=volumes.wanted,
            **{f"grid_{n}": _guarded(getattr(self, n)) for n in names},
        )

    async def stage(self, digest: str) -> dict[str, Any]:
        """Bring to all sites with workers what the notebook has staged."""
        return await self.volumes.stage(digest)

    async def stage_check(self, size: int, what: str) -> dict[str, Any]:
        """Refuse what is too large for a site."""
        self.volumes.check(size, what)
        return {}

    async def staged(self) -> dict[str, Any]:
        """Return what was staged, and which sites have it."""
        return {"items": self.volumes.describe()}

    async def publish(self, inside: str, site: str | None = None) -> dict[str, Any]:
        """Make a staged item of what a site has in the volume."""
        return await self.volumes.publish(inside, site)

    async def stage_source(self, digest: str) -> dict[str, Any]:
        """Return what an item is, and from where the notebook can have it."""
        return await self.volumes.source(digest)

    async def volume(
        self, inside: str, site: str | None = None, digests: bool = True
    ) -> dict[str, Any]:
        """Return which files there are under a path of the volume, and where."""
        return {"files": await self.volumes.find(inside, site, digests)}

    # the hub itself

    async def dashboard(self) -> dict[str, Any]:
        """Start Dask's dashboard (on loopback) on first use, and say where it is."""
        try:
            return {"host": "127.0.0.1", "port": self.hub.scheduler.open_dashboard()}
        except ImportError:
            raise HubError(
                "Dask's dashboard needs bokeh; install it with `pip install bokeh`"
            ) from None

    async def close(self) -> dict[str, Any]:
        """End the hub: all leases are released and settled."""
        self.stop.set()
        return {"pid": os.getpid()}
