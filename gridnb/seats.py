"""The kernel's seats: open connections to cell processes at sites.

One seat is the notebook's own, on which its cells run one after the other.
Jobs and maps borrow more, at most one for each core that is up.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gridnb.cells.call import CellConnection, Run, Sink
from gridnb.cells.outcome import Outcome
from gridnb.errors import CellError
from gridnb.providers.base import Tls

__all__ = ["Seat", "Seats"]

_POLL = 0.2  # seconds between looks whether another client has given a seat back


@dataclass
class Seat:
    """A cell process that is lent to this kernel: where, and what its worker costs an hour."""

    id: int
    worker: str
    site: str
    lease: str
    rate: Decimal
    cores: int
    connection: CellConnection

    @property
    def alive(self) -> bool:
        """Whether the process still listens: nothing is to be read from one at rest."""
        descriptor = self.connection.fileno()
        if descriptor < 0:
            return False
        looking = select.poll()  # unlike select, it takes any descriptor
        looking.register(descriptor, select.POLLIN)
        return not looking.poll(0)


class Seats:
    """Takes seats from the hub, keeps them, gives them back.

    `call` asks the hub; `client` is the id of the Dask client, which owns them.
    """

    def __init__(self, call: Callable[..., dict[str, Any]], client: str, tls: Tls) -> None:
        self._call = call
        self._client = client
        self._tls = tls
        self._own: Seat | None = None
        self._idle: list[Seat] = []
        self._given_back = threading.Condition()

    def _take(self, sites: Sequence[str], lease: str | None, *, extra: bool) -> Seat | None:
        """Ask for a seat; None if all cores have one."""
        try:
            return self._ask(sites, lease, extra=extra)
        except CellError:
            # Its process had ended and the hub had not heard of it yet.
            return self._ask(sites, lease, extra=extra)

    def _ask(self, sites: Sequence[str], lease: str | None, *, extra: bool) -> Seat | None:
        answer = self._call(
            "seat", client=self._client, sites=list(sites), lease=lease, extra=extra
        )
        if answer.get("busy"):
            return None
        tls = self._tls
        try:
            connection = CellConnection(
                answer["address"],
                tls_ca=tls.ca,
                tls_cert=tls.cert,
                tls_key=tls.key,
                site=answer["site"],
            )
        except CellError:
            self._call("kill_seat", seat=answer["seat"])
            raise
        return Seat(
            id=answer["seat"],
            worker=answer["worker"],
            site=answer["site"],
            lease=answer["lease"],
            rate=Decimal(answer["rate"]),
            cores=answer["cores"],
            connection=connection,
        )

    def ready(self) -> Seat | None:
        """Return the notebook's seat if it is there and its process lives; asks nobody."""
        seat = self._own
        return seat if seat is not None and seat.alive else None

    def own(self, sites: Sequence[str] = (), lease: str | None = None) -> Seat:
        """Return the notebook's seat, at one of `sites` and in `lease` if they are named.

        Raises
        ------
        HubError
            If no worker is up there.
        """
        seat = self._own
        if seat is not None and not (seat.alive and _fits(seat, sites, lease)):
            self._leave(seat)
            seat = None
        if seat is None:
            seat = self._own = self._take(sites, lease, extra=False)
        assert seat is not None
        return seat

    @contextmanager
    def borrow(self, sites: Sequence[str] = (), lease: str | None = None) -> Iterator[Seat]:
        """Lend another seat for one run; waits while every core has one."""
        while (seat := self._resting(sites, lease) or self._take(sites, lease, extra=True)) is None:
            with self._given_back:
                self._given_back.wait(_POLL)
        try:
            yield seat
        finally:
            if seat.alive:
                with self._given_back:
                    self._idle.append(seat)
                    self._given_back.notify()
            else:
                self._leave(seat)

    def _resting(self, sites: Sequence[str], lease: str | None) -> Seat | None:
        with self._given_back:
            for seat in self._idle:
                if seat.alive and _fits(seat, sites, lease):
                    self._idle.remove(seat)
                    return seat
        return None

    def run(self, seat: Seat, run: Run, sink: Sink) -> Outcome:
        """Run a body on a seat; a process that cannot be interrupted is killed."""
        run.on_stuck = lambda: self.kill(seat)
        return seat.connection.run(run, sink=sink)

    def kill(self, seat: Seat) -> None:
        """End a seat's process, and what it started; the worker beside it goes on."""
        self._call("kill_seat", seat=seat.id)

    def _leave(self, seat: Seat) -> None:
        alive = seat.alive
        seat.connection.close()
        if seat is self._own:
            self._own = None
        if alive:
            self._call("unseat", client=self._client, seat=seat.id)
        else:
            # Given back it might be lent again before the hub hears of its end.
            self.kill(seat)

    def drop_idle(self) -> None:
        """Give back the seats that nothing runs on, except the notebook's own."""
        with self._given_back:
            idle, self._idle = self._idle, []
        for seat in idle:
            self._leave(seat)

    def close(self) -> None:
        """Close all connections; the hub takes the seats back with the client."""
        for seat in [*self._idle, *([self._own] if self._own else [])]:
            seat.connection.close()
        self._idle.clear()
        self._own = None


def _fits(seat: Seat, sites: Sequence[str], lease: str | None) -> bool:
    return (not sites or seat.site in sites) and lease in (None, seat.lease)
