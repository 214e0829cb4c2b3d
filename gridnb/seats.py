"""The kernel's seats: open connections to cell processes at sites.

One seat is the notebook's own, on which its cells run one after the other.
Maps borrow more, at most one for each core that is up. A seat in which a value
is kept is not given back before the value is forgotten: it rests, and work that
needs the value goes there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gridnb.cells.call import CellConnection, Run, Sink
from gridnb.cells.kept import Kept
from gridnb.cells.outcome import Outcome
from gridnb.cells.remote import Remote
from gridnb.errors import CaptureError, CellError
from gridnb.providers.base import Tls

__all__ = ["Seat", "Seats"]

_POLL = 0.2  # seconds between looks whether another client has given a seat back

#: Carries bytes from one site to another: waits as long as that takes, and pays for it.
Carry = Callable[[str, str, int], None]


@dataclass(eq=False)
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
        """Whether the process still listens."""
        return self.connection.alive

    def holds(self, remote: Remote) -> bool:
        """Whether a kept value is here."""
        kept = self.connection.loader.kept
        return self.connection in kept.places(kept.key(remote))


class Seats:
    """Takes seats from the hub, keeps them, gives them back.

    `call` asks the hub; `client` is the id of the Dask client, which owns them; `kept` knows
    the values that stayed in them, and `carry` moves copies of these between sites.
    """

    def __init__(
        self, call: Callable[..., dict[str, Any]], client: str, tls: Tls, kept: Kept, carry: Carry
    ) -> None:
        self.kept = kept
        self._call = call
        self._client = client
        self._tls = tls
        self._carry = carry
        self._own: Seat | None = None
        self._idle: list[Seat] = []
        self._given_back = threading.Condition()
        #: Workers that are about to end: nothing new is begun in seats there.
        self._leaving: frozenset[str] = frozenset()

    def _take(
        self,
        sites: Sequence[str],
        lease: str | None,
        *,
        extra: bool,
        avoid: Sequence[str] = (),
    ) -> Seat | None:
        """Ask for a seat; None if all cores have one."""
        try:
            return self._ask(sites, lease, extra=extra, avoid=avoid)
        except CellError:
            # Its process had ended and the hub had not heard of it yet.
            return self._ask(sites, lease, extra=extra, avoid=avoid)

    def _ask(
        self, sites: Sequence[str], lease: str | None, *, extra: bool, avoid: Sequence[str]
    ) -> Seat | None:
        answer = self._call(
            "seat",
            client=self._client,
            sites=list(sites),
            lease=lease,
            extra=extra,
            avoid=list(avoid),
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
                kept=self.kept,
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

    # the notebook's own

    def ready(self, needs: Sequence[Remote] = ()) -> Seat | None:
        """Return a seat that is there and holds all that is needed, or None; asks nobody."""
        with self._given_back:
            there = [self._own, *self._idle] if needs else [self._own]
        found = (s for s in there if s and all(map(s.holds, needs)) and self._usable(s))
        seat = next(found, None)
        if seat is not None and seat is not self._own:
            self._switch(seat)
        return seat

    def own(
        self,
        sites: Sequence[str] = (),
        lease: str | None = None,
        needs: Sequence[Remote] = (),
        avoid: Sequence[str] = (),
    ) -> Seat:
        """Return the notebook's seat, at one of `sites` and in `lease` if they are named.

        It is one that holds as much as possible of what is needed, and not at the workers to
        `avoid` if there are others.

        Raises
        ------
        HubError
            If no worker is up there.
        """
        with self._given_back:
            there = [s for s in (self._own, *self._idle) if s is not None]
        fit = [
            s for s in there if _fits(s, sites, lease) and s.worker not in avoid and self._usable(s)
        ]
        seat = max(fit, key=lambda s: _bytes_of(filter(s.holds, needs)), default=None)
        if seat is None:
            seat = self._take(sites, lease, extra=False, avoid=avoid)
            assert seat is not None
        if seat is not self._own:
            self._switch(seat)
        return seat

    def _switch(self, seat: Seat) -> None:
        """Make a seat the notebook's own; the one before rests or is given back."""
        before, self._own = self._own, seat
        with self._given_back:
            if seat in self._idle:
                self._idle.remove(seat)
        if before is not None:
            self._rest_or_leave(before)

    def _rest_or_leave(self, seat: Seat) -> None:
        if seat.alive and self.kept.holds(seat.connection):
            with self._given_back:
                self._idle.append(seat)
        else:
            self._leave(seat)

    # more of them

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
                self.rest(seat)
            else:
                self._leave(seat)

    def rest(self, seat: Seat) -> None:
        """Put a seat aside that may be used again."""
        with self._given_back:
            self._idle.append(seat)
            self._given_back.notify()

    def _resting(self, sites: Sequence[str], lease: str | None) -> Seat | None:
        with self._given_back:
            for seat in self._idle:
                if _fits(seat, sites, lease) and self._usable(seat):
                    self._idle.remove(seat)
                    return seat
        return None

    def at(self, site: str) -> Seat:
        """Return a seat at a site for a copy of something: one that rests there, or another.

        Raises
        ------
        HubError
            If no worker is up there.
        """
        own = self._own
        if own is not None and own.site == site and self._usable(own):
            return own
        seat = self._resting([site], None) or self._take([site], None, extra=False)
        assert seat is not None
        self.rest(seat)
        return seat

    def of(self, remote: Remote) -> list[Seat]:
        """Return the seats that hold a kept value."""
        with self._given_back:
            there = [s for s in (self._own, *self._idle) if s is not None]
        return [seat for seat in there if seat.holds(remote)]

    # when a site's workers are about to end

    def _usable(self, seat: Seat) -> bool:
        return seat.alive and seat.worker not in self._leaving

    def any_at(self, site: str) -> bool:
        """Whether a seat at a site is lent to this kernel."""
        with self._given_back:
            there = [s for s in (self._own, *self._idle) if s is not None]
        return any(seat.site == site and seat.alive for seat in there)

    def kept_only(self, site: str) -> list[Remote]:
        """Return the values that are kept at a site and nowhere else."""
        return self.kept.only_at(site)

    def move(self, source: str, target: str) -> None:
        """Begin nothing more at a site, and copy what is kept only there to another one.

        What cannot be copied stays behind.

        Raises
        ------
        GridError
            If a copy cannot be made.
        """
        with self._given_back:
            there = [s for s in (self._own, *self._idle) if s is not None]
        self._leaving = frozenset(seat.worker for seat in there if seat.site == source)
        needs = [each for each in self.kept_only(source) if each.nbytes is not None]
        if needs:
            self.bring(self.at(target), needs)

    def come_back(self) -> None:
        """Use all seats again."""
        self._leaving = frozenset()

    # work

    def bring(self, seat: Seat, needs: Sequence[Remote]) -> int:
        """Copy to a seat what is needed there and is elsewhere; returns the bytes that moved.

        Raises
        ------
        CellLost
            If something is nowhere any more.
        CaptureError
            If something cannot be copied.
        """
        missing: dict[int, tuple[CellConnection, list[str]]] = {}
        for remote in dict.fromkeys(needs):
            if not seat.holds(remote):
                source, key = self._source(remote, seat), self.kept.key(remote)
                missing.setdefault(id(source), (source, []))[1].append(key)
        moved = 0
        for source, keys in missing.values():
            parcel = source.pack(keys)
            self._carry(source.site, seat.site, parcel.nbytes)
            seat.connection.unpack(parcel)
            moved += parcel.nbytes
        return moved

    def _source(self, remote: Remote, seat: Seat) -> CellConnection:
        places = self.kept.places(self.kept.key(remote))
        if not places:
            raise remote.lost()
        source = next((each for each in places if isinstance(each, CellConnection)), None)
        if source is None or remote.nbytes is None:
            raise CaptureError(
                f"{remote!r} cannot be copied to {seat.site}; "
                + ("use it where it is" if source else "bring it here with .fetch() first")
            )
        return source

    def run(self, seat: Seat, run: Run, sink: Sink) -> Outcome:
        """Run a body on a seat; a process that cannot be interrupted is killed."""
        run.on_stuck = lambda: self.kill(seat)
        return seat.connection.run(run, sink=sink)

    # the end

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
        """Give back the seats that nothing runs on and nothing is kept in, except the own one."""
        with self._given_back:
            idle, self._idle = self._idle, []
        for seat in idle:
            self._rest_or_leave(seat)

    def close(self) -> None:
        """Close all connections; the hub takes the seats back with the client."""
        for seat in [*self._idle, *([self._own] if self._own else [])]:
            seat.connection.close()
        self._idle.clear()
        self._own = None


def _fits(seat: Seat, sites: Sequence[str], lease: str | None) -> bool:
    return (not sites or seat.site in sites) and lease in (None, seat.lease)


def _bytes_of(remotes: Iterable[Remote]) -> float:
    """Weigh values; what cannot be copied weighs more than anything that can."""
    sizes = [remote.nbytes for remote in remotes]
    return float(sum(math.inf if size is None else size + 1 for size in sizes))
