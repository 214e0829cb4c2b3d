"""What grids, sites and bills look like in a terminal.

Tables are made from plain data (a grid's status, a catalog, sums of a bill) and
fit into 80 columns. Amounts stand in columns of the same number of decimals;
that is for the eye, `--json` has every digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from gridnb.units import Money, format_bytes, format_seconds

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from gridnb.catalog import Catalog, DefaultLink, Link, Offer, Site
    from gridnb.ledger import Charge

__all__ = [
    "amounts",
    "bill_rows",
    "bill_table",
    "budget_bar",
    "links_table",
    "sites_table",
    "status_view",
    "table",
]

NOTHING = "–"
_BAR = 24
_WIDE = 100
_LINKS = 8  # how many that carried most are shown


def table(*columns: str, title: str = "") -> Table:
    """Return an empty table; a column whose name begins with ``>`` is set to the right."""
    from rich import box
    from rich.table import Table

    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
        show_edge=False,
    )
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=right)
    return made


def amounts(values: Iterable[Decimal | str], *, places: int = 4) -> list[str]:
    """Write amounts with the same number of decimals, and nothing for zero."""
    unit = Decimal(1).scaleb(-places)
    found = [Decimal(value) for value in values]
    return [
        f"{value.quantize(unit, rounding=ROUND_HALF_EVEN):,f}" if value else NOTHING
        for value in found
    ]


# what is on offer


def sites_table(catalog: Catalog, *, width: int = 120) -> Table:
    """Return a table of a catalog's sites, a row an offer.

    Under 100 columns there is no room for the region and the time it takes to start.
    """
    wide = width >= _WIDE
    where, delay = (("region",), (">starts in",)) if wide else ((), ())
    currency = " / ".join(catalog.currencies) or "price"
    made = table(
        "site", "owner", *where, "offer", ">cores", ">memory", ">speed", *delay, ">workers",
        f">{currency}/hour",
    )  # fmt: skip
    for site in catalog.sites:
        for number, offer in enumerate(site.offers):
            head = [site.name, site.owner, *([site.region] if wide else [])]
            cells = head if number == 0 else [""] * len(head)
            made.add_row(*map(_plain, [*cells, *_offer_cells(site, offer, wide)]))
    return made


def _offer_cells(site: Site, offer: Offer, wide: bool) -> tuple[str, ...]:
    return (
        offer.name + (" (spot)" if offer.spot and offer.name != "spot" else ""),
        str(offer.cores),
        format_bytes(offer.memory).replace(".00", ""),
        f"{offer.speed:.2f}".removesuffix("0"),
        *([_short(offer.start_delay)] if wide else []),
        str(min(offer.count, site.capacity)),
        "free" if site.free else amounts([site.price(offer)], places=3)[0],
    )


def _short(seconds: float) -> str:
    return format_seconds(seconds).removesuffix(" 00 s").removesuffix(" 00 min")


def links_table(catalog: Catalog) -> Table:
    """Return a table of what lies between sites, and what a GiB costs each way."""
    made = table("between", "", ">latency", ">bandwidth", ">per GiB →", ">per GiB ←")
    for link in catalog.links:
        a, b = link.between
        made.add_row(a, b, *_link_cells(link), _egress(catalog, a, b), _egress(catalog, b, a))
    by_site = "by site"
    made.add_row("all others", "", *_link_cells(catalog.default_link), by_site, by_site)
    return made


def _link_cells(link: Link | DefaultLink) -> tuple[str, str]:
    rate = NOTHING if link.bandwidth is None else f"{link.bandwidth / 1e6:g} MB/s"
    return format_seconds(link.latency), rate


def _egress(catalog: Catalog, source: str, target: str) -> str:
    price = catalog.egress(source, target)
    return str(Money(price, catalog.site(source).currency)) if price else NOTHING


# what runs


def status_view(status: Mapping[str, Any], *, runs: int = 6) -> Group:
    """Draw a grid's status: budget, sites, leases, its last runs, and its traffic."""
    from rich.console import Group
    from rich.text import Text

    grid, currency = status["grid"], status["budget"]["currency"]
    head = Text.assemble(
        (f"{grid['name']} ", "bold"),
        f"({grid['id']}) · catalog {grid['catalog']} · up {_up(grid)}",
    )
    parts: list[RenderableType] = [head, budget_bar(status["budget"]), Text()]
    parts.append(_sites(status, currency))
    parts += _leases(status, currency)
    parts += _runs(status, currency, runs)
    parts += _traffic(status, currency)
    parts += _troubles(status)
    return Group(*parts)


def _up(grid: Mapping[str, Any]) -> str:
    scale = Decimal(grid["time_scale"])
    text = format_seconds(round(grid["up"]))
    if grid["simulated"] and scale != 1:
        text += f" = {format_seconds(round(grid['up'] * float(scale)))} simulated"
    return text


def budget_bar(budget: Mapping[str, Any]) -> Text:
    """Draw a budget: charged, set aside and free, as a bar and in numbers."""
    from rich.text import Text

    charged, held = Decimal(budget["charged"]), Decimal(budget["held"])
    if budget["cap"] is None:
        spent = f"; {amounts([charged])[0]} {budget['currency']} charged" if charged else ""
        return Text(f"no budget: only free sites{spent}")
    cap = Money(Decimal(budget["cap"]), budget["currency"])
    widths = _shares([charged, held], cap.amount)
    figures = (
        f"{charged:,.4f} charged",
        f"{held:,.2f} held",
        f"{Decimal(budget['left']):,.2f} left of {cap}",
    )
    return Text.assemble(
        ("█" * widths[0], "red"),
        ("▒" * widths[1], "yellow"),
        ("·" * (_BAR - sum(widths)), "dim"),
        "  " + " · ".join(figures),
    )


def _shares(values: Sequence[Decimal], whole: Decimal) -> list[int]:
    """Divide a bar; what is not nothing is seen."""
    widths: list[int] = []
    for value in values:
        exact = int(_BAR * value / whole) if whole else 0
        widths.append(min(max(exact, int(value > 0)), _BAR - sum(widths)))
    return widths


def _sites(status: Mapping[str, Any], currency: str) -> RenderableType:
    from rich.text import Text

    rows = [s for s in status["sites"] if s["workers"] or s["starting"] or Decimal(s["spent"])]
    if not rows:
        return Text("no workers", style="dim")
    made = table("site", "owner", ">workers", ">cores", f">{currency}/h", f">{currency} spent")
    rates, spent = (amounts(row[key] for row in rows) for key in ("rate", "spent"))
    for row, rate, amount in zip(rows, rates, spent, strict=True):
        workers = str(row["workers"]) + (f" +{row['starting']}" if row["starting"] else "")
        made.add_row(row["name"], row["owner"], workers, str(row["cores"]), rate, amount)
    return made


def _leases(status: Mapping[str, Any], currency: str) -> list[RenderableType]:
    from rich.text import Text

    rows = [lease for lease in status["leases"] if lease["state"] != "ended"]
    if not rows:
        return []
    made = table("lease", "workers", f">{currency}/h", f">{currency} spent", "")
    rates, spent = (amounts(row[key] for row in rows) for key in ("rate", "spent"))
    for row, rate, amount in zip(rows, rates, spent, strict=True):
        lines = ", ".join(f"{line['count']} × {line['site']}" for line in row["lines"])
        made.add_row(row["id"], lines or NOTHING, rate, amount, _ends(row))
    return [Text(), made]


def _ends(lease: Mapping[str, Any]) -> str:
    if lease["state"] != "active":
        return str(lease["state"])
    if lease["ends_in"] is not None:
        return f"ends in {format_seconds(lease['ends_in'])}"
    if lease["released_in"] is not None:
        return f"released in {format_seconds(round(lease['released_in']))} without work"
    return ""


def _runs(status: Mapping[str, Any], currency: str, last: int) -> list[RenderableType]:
    from rich.text import Text

    rows = status["runs"][-last:]
    if not rows:
        return []
    made = table("run", "state", ">worker-seconds", f">{currency}", "sites")
    cost = amounts(row["cost"] for row in rows)
    for row, amount in zip(rows, cost, strict=True):
        used = f"{Decimal(row['used']):.1f}"
        made.add_row(_plain(row["label"] or row["id"]), row["state"], used, amount,
                     ", ".join(row["sites"]))  # fmt: skip
    if len(status["runs"]) > last:
        made.caption = f"the last {last} of {len(status['runs'])} runs"
        made.caption_justify = "left"
    return [Text(), made]


def _traffic(status: Mapping[str, Any], currency: str) -> list[RenderableType]:
    from rich.text import Text

    rows = sorted(status["links"], key=lambda link: (not link["cut"], -link["bytes"]))[:_LINKS]
    rows = [link for link in rows if link["bytes"] or link["cut"]]
    if not rows:
        return []
    made = table("traffic", ">bytes", f">{currency}", ">busy")
    costs = amounts(link["cost"] for link in rows)
    for link, cost in zip(rows, costs, strict=True):
        busy = "cut" if link["cut"] else f"{link['utilisation']:.0%}"
        made.add_row(f"{link['src']} → {link['dst']}", format_bytes(link["bytes"]), cost, busy)
    return [Text(), made]


def _troubles(status: Mapping[str, Any], last: int = 4) -> list[RenderableType]:
    """Say what is protected, what was lost and bought again, and which sites are avoided."""
    from rich.text import Text

    shown, lines = status["replicas"], []
    if shown["wanted"]:
        of = f"{shown['protected']} of {shown['wanted']} results"
        lines.append(f"protected at {shown['sites']} sites: {of}")
    lines += [
        f"{format_seconds(round(event['ago']))} ago, {event['site']}: {event['text']}"
        for event in status["events"][-last:]
    ]
    for site in status["sites"]:
        if site["health"]["why"]:
            lines.append(f"{site['name']}: {site['health']['why']}")
    return [Text(), *(Text(line) for line in lines)] if lines else []


# what it cost


def bill_rows(charges: Iterable[Charge], what: str) -> list[dict[Any, Any]]:
    """Sum charges up by one of their columns; a run also has its label.

    They are in the order in which they first occur, what belongs to none of them last.
    """
    from gridnb.metering.bill import bill as frame
    from gridnb.metering.bill import by

    charges = list(charges)
    found = by(frame(charges), what).reset_index()
    rows: list[dict[Any, Any]] = found.to_dict("records")
    labels = {charge.run: charge.label or charge.run for charge in charges}
    for row in rows:
        row["name"] = row.pop(what)
        if what == "run":
            row["label"] = labels[row["name"]] if row["name"] else "(no run)"
    return sorted(rows, key=lambda row: row["name"] == "")


def bill_table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of sums, one row a group; `rows` are those of a bill's sums."""
    kinds = [
        kind
        for kind in ("used", "kept", "idle", "overhead", "egress")
        if any(row[kind] for row in rows)
    ]
    made = table(name, ">seconds", *(f">{kind}" for kind in kinds), ">total", "")
    columns = [amounts(row[kind] for row in rows) for kind in (*kinds, "total")]
    for row, *cells in zip(rows, *columns, strict=True):
        seconds = f"{row['seconds']:,.0f}" if row["seconds"] else NOTHING
        note = row["currency"] + (" (partly estimated)" if row["estimated"] else "")
        shown = _plain(str(row.get("label") or row["name"]) or NOTHING)
        shown.no_wrap, shown.overflow = True, "ellipsis"
        made.add_row(shown, seconds, *cells, note)
    for currency in dict.fromkeys(row["currency"] for row in rows):
        mine = [row for row in rows if row["currency"] == currency]
        sums = [sum((row[kind] for row in mine), Decimal(0)) for kind in (*kinds, "total")]
        seconds = f"{sum(row['seconds'] for row in mine):,.0f}"
        made.add_section()
        made.add_row("total", seconds, *amounts(sums), currency, style="bold")
    return made


def _plain(text: str) -> Text:
    """Names are shown as they are: brackets in them are no markup."""
    from rich.text import Text

    return Text(text)
