"""The sites on which the benefits are measured: simulated ones, with six workers in all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gridnb.catalog import Catalog

if TYPE_CHECKING:
    from gridnb.grid import Lease

__all__ = ["BUDGET", "THREE", "catalog", "end"]

#: More than any of the measurements costs.
BUDGET = "100 GD"
#: The usual sites, and how many workers each has.
THREE = {"alpha": 2, "beta": 2, "gamma": 2}

#: Speed and price of a core-hour. `solo` stands for having one site only; it
#: is as fast as the mean of the others.
_SITES = {
    "alpha": ("1.0", "0.20"),
    "beta": ("0.8", "0.12"),
    "gamma": ("0.6", "0.06"),
    "solo": ("0.8", "0.12"),
}


def catalog(**workers: int) -> Catalog:
    """Return a catalog of some of alpha, beta, gamma and solo with so many workers each."""
    return Catalog.of(
        {
            "name": "benefits",
            "time_scale": 60,
            "sites": [_site(name, count) for name, count in workers.items()],
            "default_link": {"latency": "10ms", "bandwidth": "25 MB/s"},
        }
    )


def _site(name: str, count: int) -> dict[str, object]:
    speed, price = _SITES[name]
    offer = {"name": "core", "cores": 1, "memory": "512 MiB", "speed": speed, "count": count}
    return {
        "name": name,
        "provider": "simulated",
        "owner": f"{name.capitalize()} Ltd",
        "rate_card": {"core_hour": price},
        "offers": [offer],
        "preload": ["numpy", "gridnb.demo.benefits.work"],
    }


def end(*leases: Lease, patience: float = 30.0) -> None:
    """Release leases, and wait until their workers are charged and make room for others.

    Raises
    ------
    TimeoutError
        If they take longer than `patience` seconds.
    """
    for lease in leases:
        lease.release()
    until = time.monotonic() + patience
    while any(lease.state != "ended" for lease in leases):
        if time.monotonic() > until:
            raise TimeoutError(f"leases did not end within {patience:g} s")
        time.sleep(0.05)
