"""Which offers a request may use at all, and in words why not the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gridnb.broker.policies import Candidate
from gridnb.broker.request import Request
from gridnb.catalog import Catalog, Offer, Site
from gridnb.catalog.problems import did_you_mean
from gridnb.errors import RequestError
from gridnb.units import Money, format_seconds

__all__ = ["Market", "Sieve", "in_places", "paid", "sieve"]


@dataclass(frozen=True)
class Market:
    """The state of things when a quote is made.

    Attributes
    ----------
    taken
        Workers in use: by ``site``, and where it is known for which offer by ``site/offer``.
    left
        What is free in the budget; None for no limit.
    term
        The length of a paid term at sites that name none, in billed seconds.
    avoid
        Sites that are not to be taken now, each with the reason.
    """

    catalog: Catalog
    taken: Mapping[str, int] = field(default_factory=dict)
    left: Money | None = None
    term: float = 300.0
    avoid: Mapping[str, str] = field(default_factory=dict)

    def used(self, site: Site) -> int:
        """How many workers of a site are in use."""
        by_offer = sum(self.taken.get(f"{site.name}/{offer.name}", 0) for offer in site.offers)
        return by_offer + self.taken.get(site.name, 0)

    def free(self, site: Site, offer: Offer | None = None) -> int:
        """How many workers more can be had of a site, or of one of its offers."""
        room = max(0, site.capacity - self.used(site))
        if offer is None:
            return room
        used = self.taken.get(f"{site.name}/{offer.name}", 0)
        if len(site.offers) == 1:
            used = self.used(site)
        return max(0, min(room, offer.count - used))

    def limit(self, request: Request) -> Money | None:
        """Return the most that may be spent: the smaller of the request's cap and the budget.

        Raises
        ------
        RequestError
            If the two are in different currencies.
        """
        most, left = request.max_cost, self.left
        if most is not None and left is not None and most.currency != left.currency:
            raise RequestError(
                f"request.max_cost: {most} is not in the currency of the budget; "
                f"write it in {left.currency}"
            )
        return min((each for each in (most, left) if each is not None), default=None)

    def term_of(self, site: Site) -> float:
        """Return the time that a site is paid for at once, in billed seconds."""
        return self.term if site.term is None else site.term

    def upfront(self, site: Site, offer: Offer, deadline: float | None) -> Fraction:
        """Return what the first term of a worker costs; no term is longer than the deadline."""
        term = self.term_of(site)
        return paid(site, offer, term if deadline is None else min(term, deadline))


def paid(site: Site, offer: Offer, seconds: float) -> Fraction:
    """Return what a worker costs that is up so long: start, minimum and rounding included."""
    card = site.rate_card
    whole = max(Fraction(seconds), Fraction(card.minimum_seconds))
    units = -(-whole // card.rounding_seconds)
    return Fraction(card.per_start) + site.ratio(offer) * units * card.rounding_seconds / 3600


@dataclass(frozen=True)
class Sieve:
    """The candidates for a request, and for each site without one the reason."""

    candidates: tuple[Candidate, ...]
    reasons: Mapping[str, str]


def sieve(request: Request, market: Market, currency: str) -> Sieve:
    """Keep the offers that meet every constraint of the request by themselves."""
    candidates: list[Candidate] = []
    reasons: dict[str, str] = {}
    for site in market.catalog.sites:
        reason = _site_reason(site, request, market, currency)
        if reason is None:
            refused = [_offer_reason(site, offer, request, market) for offer in site.offers]
            fit = [o for o, why in zip(site.offers, refused, strict=True) if why is None]
            candidates += [_candidate(site, offer, request, market) for offer in fit]
            reason = None if fit else "; ".join(dict.fromkeys(w for w in refused if w))
        if reason is not None:
            reasons[site.name] = reason
    return Sieve(tuple(candidates), reasons)


def _candidate(site: Site, offer: Offer, request: Request, market: Market) -> Candidate:
    upfront = market.upfront(site, offer, request.deadline)
    return Candidate(site, offer, market.free(site, offer), site.ratio(offer), upfront)


def in_places(site: Site, request: Request) -> bool:
    """Whether a site is among those that a request allows by name, region and owner."""
    return _place_reason(site, request) is None


def _site_reason(site: Site, request: Request, market: Market, currency: str) -> str | None:
    if (reason := _place_reason(site, request)) is not None:
        return reason
    if not site.free and site.currency != currency:
        return f"charges in {site.currency}, and this is paid for in {currency}"
    if site.capacity == 0:
        return "runs no workers: its max_workers is 0"
    if market.free(site) == 0:
        return f"full: {market.used(site)} of {site.capacity} workers in use"
    return market.avoid.get(site.name)


def _place_reason(site: Site, request: Request) -> str | None:
    if request.sites and site.name not in request.sites:
        return f"not among the sites {', '.join(request.sites)}"
    if request.regions and not _in_regions(site, request.regions):
        return f"in {site.region}, not in {', '.join(request.regions)}"
    if request.owners and site.owner.casefold() not in map(str.casefold, request.owners):
        return f"owned by {site.owner}, not by {' or '.join(request.owners)}"
    return None


def _offer_reason(site: Site, offer: Offer, request: Request, market: Market) -> str | None:
    if request.spot is True and not offer.spot:
        return "not spot"
    if request.spot is False and offer.spot:
        return "spot only"
    if request.deadline is not None and offer.start_delay >= request.deadline:
        starts, end = format_seconds(offer.start_delay), format_seconds(request.deadline)
        return f"starts too late: in {starts}, with a deadline in {end}"
    if market.free(site, offer) == 0:
        return f"full: {offer.count} of {offer.count} workers of {offer.name} in use"
    return None


def _in_regions(site: Site, regions: tuple[str, ...]) -> bool:
    return any(each.casefold() in _region_names(site) for each in regions)


def _region_names(site: Site) -> Iterator[str]:
    """Yield the region, the larger ones that its name begins with, and the country's code."""
    parts = site.region.casefold().split("-")
    for end in range(len(parts), 0, -1):
        yield "-".join(parts[:end])
    if site.country is not None:
        yield site.country.casefold()


def check_names(request: Request, catalog: Catalog) -> None:
    """Refuse names of sites, regions or owners that the catalog does not have.

    Raises
    ------
    RequestError
        Says the nearest name.
    """
    sites, owners = catalog.names, tuple(dict.fromkeys(s.owner for s in catalog.sites))
    regions = tuple(dict.fromkeys(site.region for site in catalog.sites))
    larger = {name for site in catalog.sites for name in _region_names(site)}
    _check("sites", "site", request.sites, sites, set(sites))
    _check("regions", "region", request.regions, regions, larger, fold=True)
    _check("owners", "owner", request.owners, owners, {o.casefold() for o in owners}, fold=True)


def _check(
    field: str,
    noun: str,
    asked: tuple[str, ...],
    shown: tuple[str, ...],
    known: set[str],
    *,
    fold: bool = False,
) -> None:
    for name in asked:
        if (name.casefold() if fold else name) not in known:
            hint = did_you_mean(name, shown)
            raise RequestError(f"request.{field}: there is no {noun} {name!r}; {hint}")
