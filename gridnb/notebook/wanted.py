"""What a cell asks for, and which of the workers that are up meet it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.errors import BudgetError
from gridnb.units import Money

if TYPE_CHECKING:
    from gridnb.broker import Request
    from gridnb.catalog import Catalog

__all__ = ["IN_TIME", "Ask", "Places", "allowed", "limits", "missing", "usable"]

#: How much of its deadline a cell has to find in a lease that is there already.
IN_TIME = 0.8

#: A row of the status of a grid.
Row = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What a cell asks for: keywords of a request; none for a bare ``%%grid``.

    Attributes
    ----------
    began
        When it was asked for, on the monotonic clock, in seconds.
    leases
        Those that were used for it so far; its limits hold for all of them together.
    """

    request: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic, compare=False)
    leases: list[str] = field(default_factory=list, compare=False)

    @property
    def bare(self) -> bool:
        """Whether any worker that is up will do."""
        return not self.request

    def parsed(self) -> Request:
        """Check it.

        Raises
        ------
        RequestError
            Says the first mistake.
        """
        from gridnb.broker import Request

        return Request.of(**self.request)

    def left(self, rows: Sequence[Row], scale: float) -> dict[str, Any]:
        """Return what is left of its limits, for a lease that takes the place of a lost one.

        `rows` are the leases of the grid's status, `scale` is the catalog's time scale.

        Raises
        ------
        BudgetError
            If nothing is left.
        """
        request = self.parsed()
        left: dict[str, Any] = {}
        if not self.leases:
            return left
        if (limit := request.max_cost) is not None:
            spent = sum((Decimal(r["spent"]) for r in rows if r["id"] in self.leases), Decimal(0))
            left["max_cost"] = Money(limit.amount - spent, limit.currency)
            if spent >= limit.amount:
                raise BudgetError(f"its cost has reached --max-cost {limit}")
        if request.deadline is not None:
            seconds = request.deadline - (time.monotonic() - self.began) * scale
            if seconds <= 0:
                raise BudgetError("its deadline has come")
            left["deadline"] = seconds
        return left


@dataclass(frozen=True)
class Places:
    """Where a cell may run: at these sites, in this lease if it has to be that one."""

    sites: list[str]
    lease: str | None = None


def allowed(catalog: Catalog, request: Request) -> list[str]:
    """Return the sites that fit a request, as far as it names sites, regions and owners."""
    from gridnb.broker.market import in_places

    return [site.name for site in catalog.sites if in_places(site, request)]


def limits(request: Request | None) -> tuple[Any, ...]:
    """Return the wishes that only a lease of its own can meet; empty if there are none."""
    if request is None:
        return ()
    given = [request.max_cost, request.deadline, request.spot or None]
    policy = request.optimize if request.optimize != "cost" else None
    return (*given, policy) if any((*given, policy)) else ()


def usable(
    state: Row, request: Request, catalog: Catalog, asked: Mapping[str, Request]
) -> list[Row]:
    """Return the workers of a grid's status that a request can use.

    `asked` has the requests of leases, by their ids.
    """
    sites = allowed(catalog, request)
    leases = {each["id"]: each for each in state["leases"] if each["state"] == "active"}
    wishes = limits(request)
    found = [
        worker
        for worker in state["workers"]
        if worker["site"] in sites
        and worker["state"] in ("starting", "running")
        and worker["lease"] in leases
        and _in_time(leases[worker["lease"]], request, float(catalog.time_scale))
        # Limits of money and time belong to a lease as a whole: another one will not do.
        and wishes in ((), limits(asked.get(worker["lease"])))
    ]
    if wishes and found:
        # A limit holds for one lease: what is there of another adds nothing to it.
        return [worker for worker in found if worker["lease"] == found[-1]["lease"]]
    return found


def _in_time(lease: Row, request: Request, scale: float) -> bool:
    """Whether a lease with a deadline leaves a cell the time that it gives itself."""
    if request.deadline is None or lease["ends_in"] is None:
        return True
    return float(lease["ends_in"]) >= IN_TIME * float(request.deadline) / scale


def missing(request: Request, workers: Sequence[Row]) -> dict[str, Any]:
    """Return what has to be asked for beside these workers; empty if they are enough."""
    if not workers:
        return {"cores": max(request.cores, _default_cores(request))}
    cores = request.cores - sum(each["cores"] for each in workers)
    memory = (request.memory or 0) - sum(each["memory"] for each in workers)
    gpus = request.gpus - sum(each.get("gpus", 0) for each in workers)
    if cores <= 0 and memory <= 0 and gpus <= 0:
        return {}
    more = memory if memory > 0 else None
    return {"cores": max(cores, 1), "gpus": max(gpus, 0), "memory": more}


def _default_cores(request: Request) -> int:
    from gridnb.config import settings

    given = {"cores", "memory", "gpus", "workers"} & request.model_fields_set
    return 1 if given else settings().cores
