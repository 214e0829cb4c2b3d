"""Simulated sites: real worker processes on this machine with a modelled place to be.

What is modelled: the delay before a worker starts (paid, as a booting machine
is), its speed, and the links between sites (:mod:`gridnb.cluster.wan`). The
work, the processes, the terms and the charges are real.
"""

from __future__ import annotations

from typing import Any

from gridnb.providers.base import WorkerOrder
from gridnb.providers.local import LocalProvider

__all__ = ["SimulatedProvider"]


class SimulatedProvider(LocalProvider):
    """Start workers here that behave as if they stood at their site."""

    def guard_order(self, order: WorkerOrder) -> dict[str, Any]:
        """Add the offer's start delay, in real seconds."""
        delay = float(order.offer.start_delay) / self.host.time_scale
        return {**super().guard_order(order), "delay": delay}

    def worker_spec(self, order: WorkerOrder) -> dict[str, Any]:
        """Add the offer's speed and the table of links."""
        spec = super().worker_spec(order)
        return {**spec, "speed": float(order.offer.speed), "links": self.host.links}
