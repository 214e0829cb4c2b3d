"""The hub's process: ``python -m gridnb.hub.main GRID READY_FD LOCK_FD``.

What it is to be stands in the grid's ``grid.json``. When it can be reached it
writes a line of JSON to READY_FD: its address, or an error. As long as it has
LOCK_FD, others see that it lives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from decimal import Decimal
from typing import Any

from distributed.core import Status
from distributed.diagnostics.plugin import SchedulerPlugin

from gridnb.catalog import Catalog
from gridnb.cluster.links import LinkTable
from gridnb.cluster.scheduler import GridScheduler
from gridnb.cluster.worker import security
from gridnb.config import Settings
from gridnb.errors import GridError
from gridnb.hub import certificates
from gridnb.hub.places import Place, private
from gridnb.providers.base import Host
from gridnb.providers.guard import clock
from gridnb.providers.zygote import Zygote, spawn_guard
from gridnb.staged import NOTEBOOK, directory

__all__ = ["main"]

logger = logging.getLogger("gridnb.hub")
_told = False  # whether who started the hub has had its answer


class _Clients(SchedulerPlugin):
    """Tells the seats when a client goes."""

    name = "gridnb-clients"

    def __init__(self, seats: Any) -> None:
        self.seats = seats

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Take the seats back, and note that its runs have ended."""
        self.seats.give_back(client)
        self.seats.hub.client_left(client)


def main() -> int:
    """Run a hub until it is told to end or nobody needs it; returns the exit code."""
    grid, ready, lock = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    place = Place.of(grid)
    log = os.open(place.directory / "hub.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for fd in (1, 2):
        os.dup2(log, fd)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("gridnb").setLevel(logging.INFO)
    zygote = Zygote(log) if sys.platform == "linux" else None
    try:
        certificates.issue(place.directory, grid)
        asyncio.run(_serve(place, ready, zygote, log))
    except Exception as error:
        text = str(error) if isinstance(error, GridError) else f"{type(error).__name__}: {error}"
        logger.exception("the hub ended")
        _tell(ready, {"error": text, "kind": type(error).__name__})
        return 1
    finally:
        if zygote is not None:
            zygote.close()
        os.close(lock)
    return 0


def _tell(ready: int, message: dict[str, Any]) -> None:
    global _told
    if _told:
        return
    _told = True
    try:
        os.write(ready, json.dumps(message).encode() + b"\n")
        os.close(ready)
    except OSError as error:
        logger.info("nobody waits for this hub: %s", error)


async def _serve(place: Place, ready: int, zygote: Zygote | None, log: int) -> None:
    # what only the hub needs is imported after the fork, so that workers do not carry it
    from gridnb.hub.calls import Calls
    from gridnb.hub.home import Home
    from gridnb.hub.hub import Hub
    from gridnb.hub.jobs import Jobs
    from gridnb.hub.seats import Seats
    from gridnb.hub.treasury import Treasury
    from gridnb.hub.volumes import Volumes

    spec = place.spec()
    settings = Settings.model_validate_json(spec["settings"])
    catalog = Catalog.from_json(spec["catalog"])
    treasury = Treasury(spec["ledger"], spec["account"], spec["currency"])
    cap = None if spec["cap"] is None else Decimal(spec["cap"])
    opened = asyncio.create_task(treasury.open(cap))
    links = _links(place, catalog)
    scheduler = await GridScheduler(
        protocol="tls",
        host="127.0.0.1",
        port=0,
        dashboard=False,
        idle_timeout=0,
        security=security(certificates.paths(place.directory, "hub").as_dict()),
    )
    await opened
    host = Host(
        grid=place.grid,
        owner=spec["owner"],
        directory=place.directory,
        records=place.records,
        scheduler=scheduler.address,
        tls=certificates.paths(place.directory, "worker"),
        start_guard=zygote.start if zygote else lambda order: spawn_guard(order, log),
        time_scale=float(catalog.time_scale),
        links=str(place.directory / "links") if links else None,
        stage_limit=settings.stage.limit,
    )
    private(place.directory / "scratch")
    hub = Hub(
        grid=place.grid,
        catalog=catalog,
        settings=settings,
        host=host,
        scheduler=scheduler,
        treasury=treasury,
        links=links,
        cwd=spec["cwd"],
    )
    seats = Seats(hub, {"cwd": spec["cwd"], "env": {}})
    scheduler.add_plugin(_Clients(seats))
    hub.sweep = zygote.sweep if zygote else None
    about = _about(spec, catalog)
    stop = asyncio.Event()
    calls = Calls(hub, seats, about, stop)
    jobs = Jobs(hub, seats, calls.buy, certificates.paths(place.directory, "hub"), about)
    calls.serve(jobs)
    home = Home(
        directory(place.grid, NOTEBOOK),
        security(certificates.paths(place.directory, "hub").as_dict()),
        place.directory / "links" if links else None,
        catalog.default_link.bandwidth or 0.0,
    )
    volumes = hub.volumes = Volumes(hub, home, links, settings.stage.limit)
    calls.share(volumes)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    place.announce({**about, "address": scheduler.address})
    _tell(ready, {"address": scheduler.address})
    try:
        await _live(hub, jobs, stop)
    finally:
        hub.closing = True  # from now on nobody is sold anything
        for what, part in (
            ("jobs", jobs),
            ("notices", calls.notices),
            ("migrations", calls.migrations),
        ):
            try:
                await part.close()
            except Exception:
                logger.exception("%s could not be ended in order", what)
        settled = await hub.close("the grid was ended")
        try:
            async with asyncio.timeout(5):
                await volumes.close()
        except Exception:
            logger.exception("staging could not be ended in order")
        await scheduler.close()
        if settled:
            place.forget()


def _links(place: Place, catalog: Catalog) -> LinkTable | None:
    if not any(site.provider == "simulated" for site in catalog.sites):
        return None
    return LinkTable.create(place.directory / "links", catalog)


def _about(spec: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    return {
        "id": spec["id"],
        "name": spec["name"],
        "account": spec["account"],
        "currency": spec["currency"],
        "catalog": catalog.name,
        "time_scale": str(catalog.time_scale),
        "simulated": any(site.provider == "simulated" for site in catalog.sites),
        "pid": os.getpid(),
        "began": clock(),
        "started": spec["started"],
        "owner": spec["owner"],
    }


async def _live(hub: Any, jobs: Any, stop: asyncio.Event) -> None:
    """Tick until told to stop, or until nobody has been there for a while."""
    alone_since = clock()
    reaped = asyncio.create_task(asyncio.to_thread(_reap, hub.settings.runs.keep))
    egress = asyncio.create_task(_egress(hub))
    try:
        while not stop.is_set() and hub.scheduler.status not in (Status.closing, Status.closed):
            await hub.tick()
            users = [
                name
                for name in hub.scheduler.clients
                if name != "fire-and-forget"
                and not name.startswith(("CellClient-", "Client-worker-"))
            ]
            if (
                users
                or jobs.active
                or any(hub.is_busy(s) for s in hub.slots.values() if s.state != "ended")
            ):
                alone_since = clock()
            if clock() - alone_since > hub.settings.hub.linger:
                logger.info("nobody has been there for %g s", hub.settings.hub.linger)
                return
            await _wait(hub, stop)
    finally:
        egress.cancel()
        reaped.cancel()


def _reap(keep: float) -> None:
    from gridnb.hub.reap import reap
    from gridnb.hub.runs import prune

    try:
        for line in reap():
            logger.info("%s", line)
    except Exception:
        logger.exception("lost hubs could not be settled")
    try:
        prune(keep)
    except Exception:
        logger.exception("old jobs could not be forgotten")


async def _wait(hub: Any, stop: asyncio.Event) -> None:
    """Sleep until the next tick, less if something changes."""
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(hub.changed(60))]
    _, pending = await asyncio.wait(
        waits, timeout=hub.settings.hub.tick, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()


async def _egress(hub: Any) -> None:
    while True:
        try:
            await hub.biller.fund_egress()
        except Exception:
            logger.exception("egress could not be funded; it is tried again")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(main())
