"""At how many sites the results of a run are to be held, and which may hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridnb.broker.market import in_places

if TYPE_CHECKING:
    from gridnb.hub.hub import Hub
    from gridnb.hub.leases import Lease

__all__ = ["RunWishes"]


class RunWishes:
    """What runs and leases ask for; see :class:`gridnb.cluster.replicas.Wishes`.

    A run that says nothing has the most that an active lease asks for, since its tasks run on the
    workers of all of them.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def _leases(self) -> list[Lease]:
        return [each for each in self.hub.leases.values() if each.state == "active"]

    def _by_lease(self) -> int:
        return max((each.quote.request.replicas for each in self._leases()), default=1)

    def any(self) -> bool:
        """Whether any run asks for copies."""
        runs = self.hub.runs.values()
        return self._by_lease() > 1 or any((run.replicas or 1) > 1 for run in runs)

    def sites(self, run: str) -> int:
        """At how many sites each result of a run is to be held."""
        known = self.hub.runs.get(run)
        if known is not None and known.replicas is not None:
            return known.replicas
        return self._by_lease()

    def allows(self, run: str, site: str) -> bool:
        """Whether a copy may lie at a site: only where a lease that asks for copies may be."""
        place = self.hub.catalog.site(site)
        asking = [lease for lease in self._leases() if lease.quote.request.replicas > 1]
        return not asking or any(in_places(place, lease.quote.request) for lease in asking)

    def distance(self, source: str, target: str) -> tuple[float, ...]:
        """Order sites by the price of bytes to them, then by their time; sick ones come last."""
        catalog = self.hub.catalog
        link = catalog.link(source, target)
        price = float(catalog.egress(source, target))
        sick = float(target in self.hub.losses.sick)
        return (sick, price, 0.0 if link.bandwidth is None else 1 / link.bandwidth, link.latency)
