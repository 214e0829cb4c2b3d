"""The modelled links of a grid: looked at, cut, restored and set while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any

from gridnb.catalog import Catalog
from gridnb.errors import CatalogError, RequestError
from gridnb.units import Money, parse_bytes, parse_seconds

__all__ = ["Link", "Links", "checked", "setting"]


class Link:
    """What lies between two simulated sites, in both directions.

    All figures are those of now; what can be set holds in both directions, for all
    transfers that go on or begin.
    """

    def __init__(self, links: Links, a: str, b: str) -> None:
        self._links = links
        self.between = (a, b)

    def cut(self) -> None:
        """Break it: transfers and connections over it end, and none can begin."""
        self._change(cut=True)

    def restore(self) -> None:
        """Undo :meth:`cut`."""
        self._change(cut=False)

    def set(
        self, *, bandwidth: str | float | None = None, latency: str | float | None = None
    ) -> None:
        """Set bandwidth (like ``"5 MB/s"``, or bytes a second) or latency (``"50ms"``, seconds).

        Raises
        ------
        RequestError
            If it is neither, or neither is given.
        """
        self._change(**setting(bandwidth, latency))

    def _change(self, **change: Any) -> None:
        self._links.call("link", between=list(self.between), **change)

    def directions(self) -> list[dict[str, Any]]:
        """Return both directions as plain data; see :meth:`gridnb.Grid.status`."""
        ends = sorted(self.between)
        return [each for each in self._links.rows() if sorted((each["src"], each["dst"])) == ends]

    @property
    def bytes(self) -> int:
        """What has arrived, in both directions together."""
        return sum(each["bytes"] for each in self.directions())

    @property
    def messages(self) -> int:
        """How many messages have arrived, in both directions together."""
        return sum(each["messages"] for each in self.directions())

    @property
    def cost(self) -> Money:
        """What that has cost."""
        amount = sum((Decimal(each["cost"]) for each in self.directions()), Decimal(0))
        return Money(amount, self._links.currency)

    @property
    def utilisation(self) -> float:
        """The share of the last seconds in which its busier direction was busy, 0 to 1."""
        return float(max(each["utilisation"] for each in self.directions()))

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second in each direction, shared by its transfers; None for unlimited."""
        return self._now()["bandwidth"]  # type: ignore[no-any-return]

    @property
    def latency(self) -> float:
        """In seconds, one way."""
        return float(self._now()["latency"])

    @property
    def is_cut(self) -> bool:
        """Whether it is cut."""
        return bool(self._now()["cut"])

    def _now(self) -> dict[str, Any]:
        return self.directions()[0]

    def __repr__(self) -> str:
        return f"<Link {' – '.join(self.between)}{': cut' if self.is_cut else ''}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self._links.shown(self.directions())


class Links(Mapping[tuple[str, str], Link]):
    """The links of a grid by their two sites, in either order; shows itself as a table.

    >>> grid.links["alpha", "beta"].cut()  # doctest: +SKIP
    """

    def __init__(
        self, call: Callable[..., dict[str, Any]], catalog: Catalog, currency: str
    ) -> None:
        self.call, self.catalog, self.currency = call, catalog, currency

    def __getitem__(self, between: tuple[str, str]) -> Link:
        """Return the link between two sites.

        Raises
        ------
        CatalogError
            If one of them is unknown.
        RequestError
            If there is no modelled link between them.
        """
        return Link(self, *checked(self.catalog, between))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        names = [site.name for site in self.catalog.sites if site.simulated]
        return combinations(names, 2)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, between: object) -> bool:
        try:
            checked(self.catalog, between)
        except (CatalogError, RequestError):
            return False
        return True

    def rows(self) -> list[dict[str, Any]]:
        """Return all directions as plain data, those that carried nothing, too."""
        return list(self.call("links")["links"])

    def __repr__(self) -> str:
        return str(self._repr_mimebundle_()["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.shown(self.rows())

    def shown(self, rows: list[dict[str, Any]]) -> dict[str, str]:
        """Write links as a table, in HTML and in text."""
        from gridnb.widgets import tables

        return tables.links(rows, self.call("status", runs=0)["grid"])._repr_mimebundle_()


def checked(catalog: Catalog, between: object) -> tuple[str, str]:
    """Return the names of two simulated sites.

    Raises
    ------
    CatalogError
        If one of them is unknown.
    RequestError
        If they are not two names, or not simulated: real links cannot be set.
    """
    if not isinstance(between, tuple | list) or len(between) != 2:
        raise RequestError(
            f"links: {between!r} are not two sites; write it like `grid.links['alpha', 'beta']`"
        )
    a, b = (catalog.site(str(name)) for name in between)
    if a.name == b.name:
        raise RequestError(f"links: {a.name} is one site; name two, between which a link lies")
    for site in (a, b):
        if not site.simulated:
            raise RequestError(
                f"links: {site.name} is not simulated, and its links are as they are; "
                "only those between simulated sites are modelled"
            )
    return a.name, b.name


def setting(bandwidth: str | float | None, latency: str | float | None) -> dict[str, float]:
    """Return a bandwidth in bytes a second and a latency in seconds, those that are given.

    Raises
    ------
    RequestError
        If they are not what they should be.
    """
    found: dict[str, float] = {}
    if bandwidth is not None:
        text = bandwidth.strip().removesuffix("/s") if isinstance(bandwidth, str) else bandwidth
        try:
            found["bandwidth"] = parse_bytes(text if isinstance(text, str) else int(text))
        except (RequestError, ValueError, OverflowError):
            found["bandwidth"] = 0
        if not found["bandwidth"]:
            raise RequestError(
                f"bandwidth: {bandwidth!r} is not a bandwidth above 0; write it like '25 MB/s'"
            )
    if latency is not None:
        found["latency"] = parse_seconds(latency, what="latency")
    if not found:
        raise RequestError("links: give a bandwidth or a latency, like latency='50ms'")
    return found
