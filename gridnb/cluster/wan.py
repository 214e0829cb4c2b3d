"""A comm backend, ``wan://``: TLS, over which simulated sites are as far apart as they say.

Found by Dask through the entry point group ``distributed.comm.backends``. Each
end says its site in the handshake; a message between two sites waits for its
turn on their link (:class:`gridnb.cluster.links.LinkTable`), then for the
link's latency. Within a site, and to the scheduler, it is plain TLS.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from distributed.comm.core import CommClosedError
from tornado.iostream import StreamClosedError

from gridnb.cluster.links import LinkTable
from gridnb.cluster.private import (
    TLS,
    TLSBackend,
    TLSConnector,
    TLSListener,
    _add_frames_header,
    convert_stream_closed_error,
    to_frames,
)

__all__ = ["WanBackend", "place"]

_ALLOWANCE_POLL = 0.05  # seconds between looks whether the egress allowance was raised


@dataclass
class _Place:
    site: str | None = None
    links: LinkTable | None = None


_here = _Place()


def place(site: str, links: LinkTable | None) -> None:
    """Say at which site this process stands, and over which links it speaks."""
    _here.site = site
    _here.links = links


class WanComm(TLS):
    """A TLS connection that knows which sites it joins."""

    def handshake_info(self) -> dict[str, Any]:
        """Add this end's site to what the peers tell each other."""
        return {**super().handshake_info(), "site": _here.site}

    async def write(self, msg: Any, serializers: Any = None, on_error: str = "message") -> int:
        """Send a message after the time that its link takes; returns its size in bytes."""
        peer = self.remote_info.get("site") if self.remote_info else None
        if peer is None or peer == _here.site or _here.links is None:
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
        await self._carry(_here.links, str(_here.site), peer, total)
        self._send(frames)
        return int(total)

    async def _carry(self, links: LinkTable, site: str, peer: str, size: int) -> None:
        while (seconds := links.reserve(site, peer, size)) is None:  # noqa: ASYNC110 - another process raises it
            await asyncio.sleep(_ALLOWANCE_POLL)
        await asyncio.sleep(seconds)

    def _send(self, frames: list[Any]) -> None:
        if self.stream is None:
            raise CommClosedError
        try:
            for frame in frames:
                if len(frame):
                    self.stream.write(frame)
        except StreamClosedError as error:
            self.stream = None
            self._closed = True
            convert_stream_closed_error(self, error)
        except BaseException:
            self.abort()  # nobody knows how much was written
            raise


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
