"""The provider protocol: how a site starts workers, each under a guard.

A provider is found by the entry point group ``gridnb.providers`` under the name
that a site's ``provider`` says. It gets one site and the hub's :class:`Host`,
and turns a :class:`WorkerOrder` into a running guard, which it hands back as a
:class:`GuardLink`. Renewing, stopping and listening go over that link and are
the same for all providers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from gridnb.catalog import Offer, Site
from gridnb.errors import ProviderError

__all__ = ["GuardLink", "Host", "Provider", "Tls", "WorkerOrder", "provider_for"]


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of the grid's certificate authority, and of one role's certificate and key."""

    ca: str
    cert: str
    key: str

    def as_dict(self) -> dict[str, str]:
        """Return the three paths as JSON-able text."""
        return {"ca": self.ca, "cert": self.cert, "key": self.key}


@dataclass(frozen=True, slots=True)
class Host:
    """What a provider may know of the hub.

    Attributes
    ----------
    grid, owner
        Tags for everything that is started.
    directory
        The grid's runtime directory (mode 0700); keys lie there.
    records
        Where guards write their records of up-time; outlives the hub.
    scheduler
        Address of the scheduler, as workers reach it.
    tls
        The workers' certificate.
    start_guard
        Starts a guard on this machine for an order; returns the channel to it.
    time_scale
        Billed seconds a real second.
    links
        Path of the table of modelled links, or None where nothing is simulated.
    stage_limit
        Bytes that staged files may take at a site.
    """

    grid: str
    owner: str
    directory: Path
    records: Path
    scheduler: str
    tls: Tls
    start_guard: Callable[[dict[str, Any]], socket.socket]
    time_scale: float = 1.0
    links: str | None = None
    stage_limit: int = 10 * 2**30


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """One worker to start: whose, where, of which shape, and until when it is paid.

    ``end`` is in seconds of the guard's clock (:func:`gridnb.providers.guard.clock`).
    """

    worker: str
    lease: str
    site: Site
    offer: Offer
    hold: str
    end: float
    cwd: str
    env: dict[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """What a site's provider has to offer."""

    def __init__(self, site: Site, host: Host) -> None: ...

    async def start(
        self, order: WorkerOrder, events: Callable[[dict[str, Any]], None]
    ) -> GuardLink:
        """Start a guard with the worker; its messages go to `events`.

        Raises
        ------
        ProviderError
            If nothing was started; then nothing is left behind.
        """
        ...


class GuardLink:
    """The hub's end of a guard's channel."""

    def __init__(self, events: Callable[[dict[str, Any]], None]) -> None:
        self._events = events
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()

    async def connect(self, channel: socket.socket) -> GuardLink:
        """Take over a connected socket."""
        reader, self._writer = await asyncio.open_unix_connection(sock=channel)
        self._task = asyncio.create_task(self._listen(reader))
        return self

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._events(json.loads(line))
        except (ConnectionError, ValueError):
            self.closed.set()  # what follows treats a broken channel as an ended one
        finally:
            self.closed.set()
            self._events({"op": "lost"})
            self.close()

    def send(self, op: str, **more: Any) -> None:
        """Send a message; a guard that has ended does not hear it, and `lost` says so."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps({"op": op, **more}).encode() + b"\n")

    def renew(self, end: float, hold: str) -> None:
        """Move the end of the paid term; `hold` is what pays for it."""
        self.send("renew", end=end, hold=hold)

    def stop(self, grace: float, reason: str) -> None:
        """Ask the worker to end; after `grace` seconds the guard kills it."""
        self.send("stop", grace=grace, reason=reason)

    def close(self) -> None:
        """Drop the channel; a guard that still runs ends its worker then."""
        if self._writer is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be gone
                self._writer.close()


def provider_for(site: Site, host: Host) -> Provider:
    """Return the provider of a site.

    Raises
    ------
    ProviderError
        If no installed package provides the name.
    """
    found = {e.name: e for e in importlib.metadata.entry_points(group="gridnb.providers")}
    if site.provider not in found:
        near = get_close_matches(site.provider, found, 1) or sorted(found)
        raise ProviderError(
            f"site {site.name}: there is no provider {site.provider!r} here; "
            f"use {' or '.join(repr(n) for n in near)}, or install the package that has it"
        )
    provider: Provider = found[site.provider].load()(site, host)
    return provider
