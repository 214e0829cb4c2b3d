"""What can be asked for, from the offers of a catalog; nothing here knows of widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridnb.broker import policies
from gridnb.broker.request import size_text
from gridnb.widgets.tables import hour, ready

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.catalog import Catalog
    from gridnb.errors import ConsentError

__all__ = ["Choices", "bought_for", "choices", "described", "priced", "request_of"]

_GIB = 2**30


@dataclass(frozen=True)
class Choices:
    """The limits of a request form.

    Attributes
    ----------
    cores, gpus
        The most that all offers have together.
    memory
        Sizes to choose from, as text.
    sites, regions, policies
        Names.
    spot
        Whether anything is offered that a site may take back.
    """

    cores: int
    gpus: int
    memory: tuple[str, ...]
    sites: tuple[str, ...]
    regions: tuple[str, ...]
    policies: tuple[str, ...]
    spot: bool


def choices(catalog: Catalog) -> Choices:
    """Return what can be asked for of a catalog."""
    totals = {"cores": 0, "memory": 0, "gpus": 0}
    spot = False
    for site in catalog.sites:
        room = site.capacity
        for offer in site.offers:
            count = min(offer.count, room)
            for name in totals:
                totals[name] += getattr(offer, name) * count
            spot = spot or offer.spot
    return Choices(
        cores=totals["cores"],
        gpus=totals["gpus"],
        memory=_sizes(totals["memory"]),
        sites=catalog.names,
        regions=tuple(sorted({site.region for site in catalog.sites})),
        policies=tuple(policies.names()),
        spot=spot,
    )


def _sizes(most: int) -> tuple[str, ...]:
    """Powers of two, from a GiB (or the most there is) up to the most."""
    sizes, size = [], _GIB
    while size <= most:
        sizes.append(size_text(size))
        size *= 2
    return tuple(sizes)


def priced(quote: Quote) -> str:
    """What a quote costs, short enough for a button."""
    return "free" if quote.free else f"{quote.rate} {hour(quote.time_scale)}"


def described(quote: Quote) -> list[str]:
    """What a quote would buy, in lines: the price, the workers, until when."""
    workers = ", ".join(f"{line.count} × {line.site} {line.offer}" for line in quote.lines)
    first = [priced(quote)]
    if not quote.free:
        first.append(f"{quote.upfront} set aside at first")
    if quote.cap is not None:
        first.append(f"at most {quote.cap}")
    size = f"{quote.cores} core{'s' if quote.cores > 1 else ''}, {size_text(quote.memory)}"
    return [
        " · ".join(first),
        workers,
        f"{size} · {ready(quote)}",
    ]


def bought_for(error: ConsentError) -> str:
    """Say what was refused for want of a yes, and what there is to pay for it."""
    from gridnb.broker import Quote
    from gridnb.hub.consent import bought

    budget = error.budget
    what = bought([Quote.from_json(quote) for quote in error.quotes])
    return f"{what}, from a budget with {budget['left']} left of {budget['cap']}"


def request_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return keywords of a request: what was left empty is not asked for."""
    # Nothing for `spot` says something: either kind will do.
    return {
        n: value for n, value in values.items() if n == "spot" or value not in ("", None, (), 0)
    }
