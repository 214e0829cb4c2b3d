"""A catalog: the sites that a grid can use, and how they are linked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from gridnb.catalog.models import _NAME, Bandwidth, Link, Model, Seconds, Site, _Number
from gridnb.catalog.problems import did_you_mean, mistake, problems
from gridnb.errors import CatalogError

__all__ = ["Catalog", "DefaultLink"]


class DefaultLink(Model):
    """The link between sites for which none is listed: latency in seconds, bytes a second."""

    latency: Seconds = Field(default=0.0, ge=0, description="a time, like '20ms'")
    bandwidth: Bandwidth | None = Field(
        default=None, gt=0, description="a bandwidth, like '25 MB/s'"
    )


class Catalog(Model):
    """What a grid may choose from.

    Attributes
    ----------
    time_scale
        Billed seconds in a real second; other than 1 only when all sites are simulated.
    links, default_link
        Links that are listed, and the one for all others.
    """

    name: str = Field(pattern=_NAME, description="a name, like 'demo'")
    description: str = Field(default="", description="a sentence")
    time_scale: _Number = Field(
        default=Decimal(1),
        gt=0,
        decimal_places=9,
        max_digits=18,
        description="a number above 0, like 60",
    )
    sites: tuple[Site, ...] = Field(min_length=1, description="a list of at least one site")
    links: tuple[Link, ...] = Field(default=(), description="a list of links")
    default_link: DefaultLink = Field(
        default_factory=DefaultLink,
        description="a mapping like {latency: 20ms, bandwidth: 25 MB/s}",
    )

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Make a catalog from a mapping such as YAML gives.

        Raises
        ------
        CatalogError
            Says the first mistake, where it is, and what would be right.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise CatalogError(f"catalog: {problems(error, cls)[0]}") from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        CatalogError
            If it is not a catalog.
        """
        try:
            return cls.of(json.loads(text))
        except json.JSONDecodeError as error:
            raise CatalogError(f"catalog: not JSON ({error}); write it with to_json()") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sites, in the catalog's order."""
        return tuple(site.name for site in self.sites)

    @property
    def simulated(self) -> bool:
        """Whether all of its sites are simulated."""
        return all(site.simulated for site in self.sites)

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies in which anything is charged, in the order of the sites."""
        return tuple(dict.fromkeys(site.currency for site in self.sites if not site.free))

    def site(self, name: str) -> Site:
        """Return a site by its name.

        Raises
        ------
        CatalogError
            If there is none; says the nearest name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            hint = did_you_mean(name, self.names)
            raise CatalogError(f"catalog {self.name} has no site {name!r}; {hint}") from None

    def link(self, source: str, target: str) -> Link:
        """Return the link between two sites; inside a site it is unlimited unless listed.

        Raises
        ------
        CatalogError
            If a site is unknown.
        """
        listed = self._by_pair.get(frozenset((source, target)))
        if listed is not None:
            return listed
        pair = (self.site(source).name, self.site(target).name)
        if source == target:
            return Link(between=pair)
        usual = self.default_link
        return Link(between=pair, latency=usual.latency, bandwidth=usual.bandwidth)

    def egress(self, source: str, target: str) -> Decimal:
        """Return the price of a GiB from one site to another, in the currency of the source.

        Raises
        ------
        CatalogError
            If a site is unknown.
        """
        price = self.link(source, target).price
        if price is not None:
            return price
        return Decimal(0) if source == target else self.site(source).rate_card.egress_gib

    @cached_property
    def _by_name(self) -> dict[str, Site]:
        return {site.name: site for site in self.sites}

    @cached_property
    def _by_pair(self) -> dict[frozenset[str], Link]:
        return {frozenset(link.between): link for link in self.links}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _once(self.names, "site", "sites", "name")
        for index, site in enumerate(self.sites):
            names = [offer.name for offer in site.offers]
            _once(names, "offer", "sites", index, "offers", "name")
            if site.simulated and site.currency != "GD":
                raise mistake(
                    f"{site.currency!r} is not for a simulated site, whose money is not real; "
                    "write GD",
                    *("sites", index, "currency"),
                )
        if self.time_scale != 1 and not self.simulated:
            raise mistake(
                f"{self.time_scale} is not for a catalog with real sites; write 1, or make all "
                "sites simulated",
                "time_scale",
            )
        self._check_links()
        return self

    def _check_links(self) -> None:
        known: set[frozenset[str]] = set()
        for index, link in enumerate(self.links):
            for end, name in enumerate(link.between):
                if name not in self._by_name:
                    hint = did_you_mean(name, self.names)
                    at = ("links", index, "between", end)
                    raise mistake(f"there is no site {name!r}; {hint}", *at)
            pair = frozenset(link.between)
            if pair in known:
                text = f"{' and '.join(link.between)} are linked twice; keep one link"
                raise mistake(text, "links", index, "between")
            known.add(pair)


def _once(names: Iterable[str], noun: str, *at: str | int) -> None:
    """Refuse a name that is there twice; `at` ends in the name's key, before it the list's."""
    listed = list(names)
    twice = {name for name, count in Counter(listed).items() if count > 1}
    if twice:
        last = max(index for index, name in enumerate(listed) if name in twice)
        text = f"there are two {noun}s named {listed[last]!r}; give each a name of its own"
        raise mistake(text, *at[:-1], last, at[-1])
