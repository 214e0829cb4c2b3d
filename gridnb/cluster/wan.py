"""A comm backend, ``wan://``: TLS, over which simulated sites are as far apart as they say.

Found by Dask through the entry point group ``distributed.comm.backends``. Each
end says its site in the handshake. The bytes of a message between two sites pass their
link (:class:`gridnb.cluster.links.LinkTable`) as fast as its share of it allows, and arrive
one latency later; the next message may follow meanwhile. When the link is cut, comms
over it end, and new ones fail. Within a site, and to the scheduler, it is plain TLS.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn
from weakref import WeakKeyDictionary, WeakSet

from distributed.comm.core import CommClosedError
from tornado.iostream import StreamClosedError

from gridnb.cluster.links import LinkDown, LinkTable
from gridnb.cluster.private import (
    TLS,
    TLSBackend,
    TLSConnector,
    TLSListener,
    _add_frames_header,
    convert_stream_closed_error,
    ensure_memoryview,
    to_frames,
)

__all__ = ["WanBackend", "WanComm", "place"]

logger = logging.getLogger("gridnb.wan")

_ALLOWANCE_POLL = 0.05  # seconds between looks whether the egress allowance was raised
_LOOK = 0.05  # seconds between looks at a transfer: bytes move, others begin, links are cut
_CUT_POLL = 0.05  # seconds between looks whether links were cut


@dataclass
class _Place:
    site: str | None = None
    links: LinkTable | None = None


_here = _Place()


def place(site: str, links: LinkTable | None) -> None:
    """Say at which site this process stands, and over which links it speaks."""
    _here.site = site
    _here.links = links


@dataclass(frozen=True)
class _Way:
    """The link that a comm goes over, as it was when the comm was made."""

    links: LinkTable
    src: str
    dst: str
    epoch: int

    @classmethod
    def to(cls, peer: str | None) -> _Way | None:
        """Return the way to a peer's site, or None if there is no link between."""
        links, here = _here.links, _here.site
        if links is None or here is None or peer is None or peer == here:
            return None
        return cls(links, here, peer, links.epoch(here, peer))

    @property
    def broken(self) -> bool:
        """Whether it is cut, or was meanwhile."""
        return self.epoch % 2 == 1 or self.links.epoch(self.src, self.dst) != self.epoch

    @property
    def latency(self) -> float:
        """In seconds, as it is now."""
        return self.links.latency(self.src, self.dst)

    @property
    def problem(self) -> str:
        """What there is to say when it is broken."""
        return f"the link between {self.src} and {self.dst} is cut"


class _Parts:
    """The frames of a message, given out bit by bit; nothing is copied."""

    def __init__(self, frames: Iterable[Any]) -> None:
        self._frames = deque(view for f in frames if len(view := ensure_memoryview(f)))
        self.sent = 0

    def upto(self, end: int) -> list[memoryview]:
        """Return what comes before byte `end` and was not given out yet."""
        found = []
        while self._frames and self.sent < end:
            frame = self._frames.popleft()
            if len(frame) > end - self.sent:
                self._frames.appendleft(frame[end - self.sent :])
                frame = frame[: end - self.sent]
            found.append(frame)
            self.sent += len(frame)
        return found


class WanComm(TLS):
    """A TLS connection that knows which sites it joins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._met = False
        self._way: _Way | None = None
        self._turn = asyncio.Lock()
        self._arriving: deque[list[memoryview]] = deque()
        self._last_due = 0.0

    def handshake_info(self) -> dict[str, Any]:
        """Add this end's site to what the peers tell each other."""
        return {**super().handshake_info(), "site": _here.site}

    async def read(self, deserializers: Any = None) -> Any:
        """Receive a message; the first one says where the peer stands."""
        message = await super().read(deserializers)
        if not self._met:
            self._met = True
            await self._meet(message.get("site"))
        return message

    async def _meet(self, peer: str | None) -> None:
        way = _Way.to(peer)
        if way is None:
            return
        await asyncio.sleep(2 * way.latency)  # TCP's own handshake goes there and back
        if way.broken:
            self._end(way.problem)
        self._way = way
        _Watch.of_loop().add(self)

    async def write(self, msg: Any, serializers: Any = None, on_error: str = "message") -> int:
        """Send a message; returns its size in bytes when the link is free of it.

        Raises
        ------
        CommClosedError
            If the comm is closed or its link is cut, before or meanwhile.
        """
        if self._way is None:
            return int(await super().write(msg, serializers=serializers, on_error=on_error))
        if self.stream is None:
            raise CommClosedError
        context = {
            "sender": self.local_info,
            "recipient": self.remote_info,
            **self.handshake_options,
        }
        frames = await to_frames(
            msg,
            allow_offload=self.allow_offload,
            serializers=serializers,
            on_error=on_error,
            context=context,
            frame_split_size=self.max_shard_size,
        )
        frames, _, total = _add_frames_header(frames)
        async with self._turn:  # bytes of one message do not get between those of another
            await self._carry(self._way, _Parts(frames), total)
        return int(total)

    async def _carry(self, way: _Way, parts: _Parts, size: int) -> None:
        """Send what is through the link, until all is; each byte arrives a latency later."""
        try:
            transfer = way.links.begin(way.src, way.dst, size)
            while transfer is None:
                await self._pause(way, _ALLOWANCE_POLL)
                transfer = way.links.begin(way.src, way.dst, size)
            try:
                while left := way.links.look(transfer):
                    if transfer.moved > parts.sent:
                        self._arrive_at(time.monotonic() + way.latency, parts.upto(transfer.moved))
                    await self._pause(way, min(left, _LOOK))
            except BaseException:
                way.links.drop(transfer)
                if parts.sent:
                    self.abort()  # the peer has a part of a message and will not get the rest
                raise
        except LinkDown:
            self._end(way.problem)
        self._arrive_at(transfer.due / 1e9 + way.latency, parts.upto(size))

    async def _pause(self, way: _Way, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.stream is None:
            self._end(way.problem if way.broken else "closed while a message was under way")

    def _end(self, why: str) -> NoReturn:
        self.abort()
        raise CommClosedError(f"in {self}: {why}")

    def _arrive_at(self, due: float, frames: list[memoryview]) -> None:
        self._last_due = max(self._last_due, due)  # never before what was sent earlier
        self._arriving.append(frames)
        asyncio.get_running_loop().call_at(self._last_due, self._arrive)

    def _arrive(self) -> None:
        frames = self._arriving.popleft()
        if self._way is not None and self._way.broken:
            self.abort()
        if self.stream is None:
            return
        try:
            for frame in frames:
                self.stream.write(frame)
        except StreamClosedError as error:
            self._lost(error)

    def _lost(self, error: StreamClosedError) -> None:
        """Close; the next one who reads or writes is told, as with any connection that breaks."""
        self.stream = None
        self._closed = True
        try:
            convert_stream_closed_error(self, error)
        except CommClosedError as told:
            logger.debug("a message did not arrive: %s", told)

    async def close(self) -> None:  # type: ignore[override] # Dask only awaits it
        """Close the comm when what is under way has arrived."""
        loop = asyncio.get_running_loop()
        while self._arriving and self.stream is not None:  # noqa: ASYNC110 - it is known when
            await asyncio.sleep(max(self._last_due - loop.time(), 0.001))
        await super().close()

    @property
    def broken(self) -> bool:
        """Whether its link was cut since it was made."""
        return self._way is not None and self._way.broken


class _Watch:
    """Ends the comms of an event loop whose link is cut."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._comms: WeakSet[WanComm] = WeakSet()
        self._looks = False

    @classmethod
    def of_loop(cls) -> _Watch:
        """Return the watch of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._all:
            cls._all[loop] = cls()
        return cls._all[loop]

    def add(self, comm: WanComm) -> None:
        """Watch a comm until it is closed."""
        self._comms.add(comm)
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_later(_CUT_POLL, self._look)

    def _look(self) -> None:
        for comm in list(self._comms):
            if not comm.closed() and comm.broken:
                comm.abort()
            if comm.closed():
                self._comms.discard(comm)
        self._looks = bool(self._comms)
        if self._looks:
            asyncio.get_running_loop().call_later(_CUT_POLL, self._look)


class _WanConnector(TLSConnector):
    prefix = "wan://"
    comm_class = WanComm


class _WanListener(TLSListener):
    prefix = "wan://"
    comm_class = WanComm


class WanBackend(TLSBackend):
    """The backend of ``wan://`` addresses."""

    _connector_class = _WanConnector
    _listener_class = _WanListener
