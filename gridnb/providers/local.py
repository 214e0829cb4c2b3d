"""Workers on this machine: a guard each, started by the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridnb.catalog import Site
from gridnb.errors import ProviderError
from gridnb.providers.base import GuardLink, Host, WorkerOrder
from gridnb.staged import ROOT, directory

__all__ = ["LocalProvider"]


class LocalProvider:
    """Start workers as processes of the hub's machine."""

    def __init__(self, site: Site, host: Host) -> None:
        self.site = site
        self.host = host

    async def start(
        self, order: WorkerOrder, events: Callable[[dict[str, Any]], None]
    ) -> GuardLink:
        """See :meth:`gridnb.providers.base.Provider.start`."""
        try:
            channel = self.host.start_guard(self.guard_order(order))
        except OSError as error:
            raise ProviderError(
                f"site {self.site.name}: could not start a process on this machine: {error}"
            ) from error
        return await GuardLink(events).connect(channel)

    def guard_order(self, order: WorkerOrder) -> dict[str, Any]:
        """Return what the guard is told (see :class:`gridnb.providers.guard.Guard`)."""
        host = self.host
        return {
            "grid": host.grid,
            "owner": host.owner,
            "lease": order.lease,
            "worker": order.worker,
            "site": self.site.name,
            "offer": order.offer.name,
            "hold": order.hold,
            "end": order.end,
            "delay": 0,
            "record": str(host.records / f"{order.worker}.json"),
            "entry": "gridnb.cluster.worker:main",
            "spec": self.worker_spec(order),
            "cell_entry": "gridnb.cells.process:serve_spec",
        }

    def worker_spec(self, order: WorkerOrder) -> dict[str, Any]:
        """Return what the worker is told (see :func:`gridnb.cluster.worker.main`)."""
        host = self.host
        stage = str(directory(host.grid, self.site.name))
        return {
            "name": order.worker,
            "site": self.site.name,
            "lease": order.lease,
            "scheduler": host.scheduler,
            "tls": host.tls.as_dict(),
            "cores": order.offer.cores,
            "memory": order.offer.memory,
            "directory": str(host.directory / "scratch" / order.worker),
            "cwd": order.cwd,
            "env": {**order.env, ROOT: stage},
            "preload": list(self.site.preload),
            "speed": 1.0,
            "links": None,
            "stage": {"root": stage, "limit": host.stage_limit},
        }
