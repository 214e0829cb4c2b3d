"""Seats: cell processes beside workers, each lent to one client at a time.

The kernel talks to its seat directly; the hub only lends it, counts the slot
while a cell runs there, and ends the process when it does not let go or when
its client is gone.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gridnb.errors import HubError
from gridnb.hub.hub import Hub
from gridnb.hub.slots import Slot
from gridnb.providers.guard import clock
from gridnb.staged import ROOT, directory

__all__ = ["Seat", "Seats"]

START_TIMEOUT = 60.0
REST = 5.0  # seconds after which a seat that its client does not use does not count


@dataclass
class Seat:
    """A cell process: beside which worker, for whom, and what runs in it."""

    id: int
    slot: Slot
    client: str | None
    ready: asyncio.Future[str]
    extra: bool = False
    taken: float = 0.0
    dying: bool = False
    keeps: bool = False
    run: str | None = None
    pid: int = 0
    booked_at: str | None = None


class Seats:
    """The cell processes of a grid."""

    def __init__(self, hub: Hub, spec: dict[str, Any]) -> None:
        self.hub = hub
        self.spec = spec
        self.seats: dict[int, Seat] = {}
        self._ids = itertools.count(1)
        hub.on_event.append(self._event)

    async def take(
        self,
        client: str,
        *,
        sites: list[str],
        lease: str | None,
        extra: bool,
        avoid: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Lend a seat at the worker with the most room.

        A client's own seat is always granted; `extra` ones only while there are cores
        without a seat, else the answer is ``{"busy": True}``. Workers to `avoid` come last, and
        before them others at their sites and at those that have failed lately.

        Raises
        ------
        HubError
            If no worker is up at these sites.
        """
        usable = await self._workers(sites, lease)
        if extra:
            usable = [slot for slot in usable if self._lent(slot) < slot.cores]
            if not usable:
                return {"busy": True}
        shunned = {slot.site.name for slot in self.hub.slots.values() if slot.name in avoid}
        shunned |= self.hub.losses.sick
        slot = min(usable, key=lambda s: (s.name in avoid, s.site.name in shunned, *self._load(s)))
        there = (s for s in self.seats.values() if s.slot is slot and not s.dying)
        seat = next((s for s in there if s.client is None), None) or self._start(slot)
        seat.client, seat.extra, seat.taken, seat.keeps = client, extra, clock(), False
        described = await self._describe(seat)
        if not client.startswith("job:") and client not in self.hub.scheduler.clients:
            self.give_back(client)  # it left while it waited
        return described

    def there(self, sites: Sequence[str], lease: str | None) -> list[Slot]:
        """Return the workers that are up, or start, at these sites and in this lease."""
        return [
            slot
            for slot in self.hub.slots.values()
            if slot.state in ("starting", "running")
            and not slot.leaving
            and (not sites or slot.site.name in sites)
            and lease in (None, slot.lease)
        ]

    async def _workers(self, sites: list[str], lease: str | None) -> list[Slot]:
        """Return the workers that are up at these sites; waits for those that start."""
        while True:
            there = self.there(sites, lease)
            if not there and self.hub.losses.coming(lease):
                await self.hub.changed(0.2)
                continue
            if not there:
                where = f" at {' or '.join(sites)}" if sites else ""
                where += f" in lease {lease}" if lease else ""
                raise HubError(f"no worker is up{where}; ask for one with `%grid request`")
            if up := [slot for slot in there if slot.state == "running"]:
                return up
            await self.hub.changed(1)

    def _lent(self, slot: Slot) -> int:
        """Count a worker's seats that are in use, or were lent for work just now."""
        just_now = clock() - REST
        return sum(
            seat.slot is slot and (seat.run is not None or self._is_used(seat, just_now))
            for seat in self.seats.values()
            if seat.client is not None
        )

    def _is_used(self, seat: Seat, just_now: float) -> bool:
        """Whether a seat on which nothing runs at this moment is in use: a job gives its back."""
        if (seat.client or "").startswith("job:"):
            return not seat.keeps
        return seat.extra and seat.taken > just_now

    def _load(self, slot: Slot) -> tuple[float, float, str]:
        """Order workers: least taken first, then the fastest."""
        ws = self.hub.scheduler.workers.get(slot.address) if slot.address else None
        busy = len(ws.processing) if ws is not None else 0
        return ((self._lent(slot) + busy) / slot.cores, -float(slot.offer.speed), slot.name)

    def _start(self, slot: Slot) -> Seat:
        seat = Seat(next(self._ids), slot, None, asyncio.get_running_loop().create_future())
        self.seats[seat.id] = seat
        tls = self.hub.host.tls
        spec = {
            **self.spec,
            "env": {**self.spec["env"], ROOT: str(directory(self.hub.grid, slot.site.name))},
            "worker": slot.name,
            "site": slot.site.name,
            "speed": float(slot.offer.speed) if slot.site.provider == "simulated" else 1.0,
            "cores": slot.cores,
            "scheduler": self.hub.host.scheduler,
            "tls_ca": tls.ca,
            "tls_cert": tls.cert,
            "tls_key": tls.key,
        }
        if slot.link is not None:
            slot.link.send("cell", cell=seat.id, spec=spec)
        return seat

    async def _describe(self, seat: Seat) -> dict[str, Any]:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                address = await asyncio.shield(seat.ready)
        except TimeoutError:
            self.kill(seat.id)
            self._drop(seat)
            raise HubError(
                f"the cell process of {seat.slot.name} did not start in {START_TIMEOUT:g} s; "
                "see `%grid logs`, or ask for another worker"
            ) from None
        slot = seat.slot
        return {
            "seat": seat.id,
            "address": address,
            "worker": slot.name,
            "site": slot.site.name,
            "lease": slot.lease,
            "rate": str(slot.rate),
            "cores": slot.cores,
        }

    def kill(self, seat_id: int) -> None:
        """SIGKILL a cell process and what it started; its worker is not touched."""
        seat = self.seats.get(seat_id)
        if seat is not None and seat.slot.link is not None:
            seat.dying = True
            seat.slot.link.send("signal-cell", cell=seat.id, signal=int(signal.SIGKILL))

    def give_back(self, client: str, seat_id: int | None = None) -> None:
        """Take seats back from a client; what still runs in one is ended."""
        for seat in list(self.seats.values()):
            if seat.client == client and seat_id in (None, seat.id):
                seat.client = None
                if seat.run is not None:
                    self.kill(seat.id)

    def leaving(self, seat_id: int) -> bool:
        """Whether a seat's worker is about to end, so that nothing new is to begin there."""
        seat = self.seats.get(seat_id)
        return seat is not None and seat.slot.leaving

    def rest(self, seat_id: int, *, owned: bool = False) -> None:
        """Take back a seat whose run is over, whether the hub has heard that or not.

        One that is still `owned` keeps values of its client, and is not lent to others.
        """
        seat = self.seats.get(seat_id)
        if seat is not None:
            seat.keeps = owned
            seat.client = seat.client if owned else None

    def _event(self, slot: Slot, message: dict[str, Any]) -> None:
        if message["op"] in ("ended", "lost"):
            for seat in [s for s in self.seats.values() if s.slot is slot]:
                self._drop(seat)
            return
        found = self.seats.get(message.get("cell", 0))
        if found is not None:
            self._cell_event(found, message)

    def _cell_event(self, seat: Seat, message: dict[str, Any]) -> None:
        if message["op"] == "cell-ready":
            seat.pid = message["pid"]
            if not seat.ready.done():
                seat.ready.set_result(message["address"])
        elif message["op"] == "run-start":
            self._begin(seat, message["run"], message["t"])
        elif message["op"] == "run-stop":
            self._end(seat, message["t"])
        elif message["op"] == "cell-exit":
            self._end(seat, message["t"])
            self._drop(seat)

    def _begin(self, seat: Seat, run: str, t: float) -> None:
        seat.run = run
        seat.slot.cell_running[str(seat.id)] = (run, t)
        self.hub.seen_run(run, "")
        self.hub.touch(seat.slot)
        if seat.slot.address is not None:
            seat.booked_at = seat.slot.address
            self.hub.scheduler.book(seat.booked_at, 1)

    def _end(self, seat: Seat, t: float) -> None:
        held = seat.slot.cell_running.pop(str(seat.id), None)
        if held is not None:
            run, since = held
            seat.slot.cell_used[run] += max(t - since, 0.0)
            self.hub.touch(seat.slot)
        seat.run = None
        if seat.booked_at is not None:
            self.hub.scheduler.book(seat.booked_at, -1)
            seat.booked_at = None

    def _drop(self, seat: Seat) -> None:
        self.seats.pop(seat.id, None)
        if seat.booked_at is not None:
            self.hub.scheduler.book(seat.booked_at, -1)
            seat.booked_at = None
        if not seat.ready.done():
            seat.ready.set_exception(
                HubError(
                    f"the cell process of {seat.slot.name} ended before it was ready; "
                    "see `%grid logs`, or run the cell again"
                )
            )
            seat.ready.exception()  # it may be that nobody waits
