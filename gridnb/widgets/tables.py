"""What ``%grid`` shows: plain data of a grid as tables, in HTML and in text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.units import Money, format_bytes, format_seconds
from gridnb.widgets import html

if TYPE_CHECKING:
    import pandas as pd

    from gridnb.broker import Quote
    from gridnb.catalog import Catalog

__all__ = [
    "Part",
    "View",
    "bill",
    "budget",
    "budget_text",
    "ends",
    "hour",
    "jobs",
    "links",
    "meter",
    "protected_text",
    "quote",
    "rate",
    "ready",
    "sites",
    "status",
    "tags",
]


@dataclass(frozen=True)
class Part:
    """One table; columns in `numbers` stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class View:
    """A headline and tables.

    Attributes
    ----------
    data
        What is shown, as plain data or a pandas frame.
    """

    title: str
    after: Sequence[str] = ()
    parts: Sequence[Part] = ()
    tags: Sequence[tuple[str, str]] = ()
    data: Any = field(default=None, repr=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        after = [html.muted(f"· {each}") for each in self.after]
        after += [html.tag(*each) for each in self.tags]
        tables = [html.table(p.head, p.rows, numbers=p.numbers) for p in self.parts if p.rows]
        return {
            "text/plain": repr(self),
            "text/html": html.block(html.title(self.title, *after) + "".join(tables)),
        }

    def __repr__(self) -> str:
        first = " · ".join([self.title, *self.after, *(text for text, _ in self.tags)])
        tables = [html.text_table(p.head, p.rows, numbers=p.numbers) for p in self.parts if p.rows]
        return "\n\n".join([first, *tables])


def _part(head: str, rows: Iterable[Sequence[object]], numbers: str = "") -> Part:
    return Part(head.split("|"), list(rows), frozenset(numbers.split("|")))


def tags(grid: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what has to stand beside amounts that are not real, and why."""
    return _simulated(grid["simulated"], Decimal(grid["time_scale"]))


def _memory(size: int) -> str:
    return format_bytes(size).replace(".00 ", " ")


def _simulated(simulated: bool, scale: Decimal) -> list[tuple[str, str]]:
    if not simulated:
        return []
    if scale == 1:
        return [("simulated", "The money is not real.")]
    times = f"{scale.normalize():f}"
    why = f"The money is not real; a second is billed as {times} seconds."
    return [(f"simulated, {times} × time", why)]


def hour(scale: Decimal) -> str:
    """The hour in which a rate is given: a simulated one where a second is billed as more."""
    return "per hour" if scale == 1 else "per simulated hour"


def rate(found: Quote) -> str:
    """Say what an hour of a quote costs."""
    return "free" if found.free else f"{found.rate} {hour(found.time_scale)}"


def ready(found: Quote) -> str:
    """Say when all workers of a quote are up: in real time, and in simulated time, if any."""
    real = format_seconds(round(found.ready_in / float(found.time_scale), 1))
    if found.time_scale == 1 or not found.ready_in:
        return f"ready in {real}"
    return f"ready in {real} ({format_seconds(found.ready_in)} simulated)"


def sites(catalog: Catalog, state: dict[str, Any] | None = None) -> View:
    """Show what a catalog offers, and what of it is up."""
    up = {each["name"]: each for each in state["sites"]} if state else {}
    rows = []
    for site in catalog.sites:
        here = up.get(site.name, {})
        for n, offer in enumerate(site.offers):
            price = Money(site.price(offer), site.currency)
            rows.append(
                (
                    *((site.name, site.owner, site.region) if n == 0 else ("", "", "")),
                    offer.name,
                    offer.cores,
                    _memory(offer.memory),
                    f"{offer.speed.normalize():f}",
                    "free" if site.free else f"{price}",
                    format_seconds(offer.start_delay),
                    offer.count,
                    _up(here) if n == 0 else "",
                )
            )
    times = f"{hour(catalog.time_scale)}|{_starts(catalog.time_scale)}"
    numbers = f"cores|memory|speed|{times}|at most|up"
    head = f"site|owner|region|offer|{numbers}"
    return View(
        f"Catalog {catalog.name}",
        [f"{len(catalog.sites)} site{'s' if len(catalog.sites) > 1 else ''}"],
        [_part(head, rows, numbers)],
        _simulated(catalog.simulated, catalog.time_scale),
        data=catalog,
    )


def _starts(scale: Decimal) -> str:
    return "starts in" if scale == 1 else "starts in (simulated)"


def _up(site: dict[str, Any]) -> str:
    if not site:
        return ""
    starting = f" (+{site['starting']})" if site["starting"] else ""
    return f"{site['workers']}{starting}" if site["workers"] or starting else "–"


def quote(found: Quote) -> View:
    """Show a quote: what would be taken, and why the rest would not."""
    lines = [
        (
            line.site,
            line.offer,
            line.owner,
            line.region,
            line.count,
            line.cores * line.count,
            _memory(line.memory * line.count),
            f"{line.speed.normalize():f}",
            format_seconds(line.start_delay),
            line.rate,
        )
        for line in found.lines
    ]
    scale = found.time_scale
    numbers = f"workers|cores|memory|speed|{_starts(scale)}|{hour(scale)}"
    head = f"site|offer|owner|region|{numbers}"
    first, _, cost, *_ = found.headline.split(" · ")
    rate = "free" if found.free else f"{found.rate} {hour(scale)}"
    refused = [(each.site, each.reason) for each in found.refused]
    return View(
        first,
        [rate, cost, ready(found)],
        [_part(head, lines, numbers), _part("not taken|why", refused)],
        _simulated(found.simulated, found.time_scale),
        data=found,
    )


def status(state: dict[str, Any]) -> View:
    """Show workers, leases, the last runs and the traffic of a grid."""
    grid, currency = state["grid"], state["grid"]["currency"]
    per = hour(Decimal(grid["time_scale"]))
    workers = [
        (
            w["name"],
            w["site"],
            w["state"],
            w["cores"],
            _memory(w["memory"]),
            _money(w["rate"], currency),
            format_seconds(round(w["up"])),
            format_seconds(round(w["term_left"])),
        )
        for w in state["workers"]
    ]
    leases = [
        (
            lease["id"].rpartition("-")[2],
            ", ".join(f"{each['count']} × {each['site']}" for each in lease["lines"]),
            _money(lease["rate"], currency),
            _cost(lease["spent"], currency),
            ends(lease),
        )
        for lease in state["leases"]
        if lease["state"] != "ended"
    ]
    account = grid["account"].rpartition("/")[2]
    return View(
        f"Grid {grid['id']}",
        [
            f"catalog {grid['catalog']}",
            f"account {account}",
            *budget_text(state),
            *protected_text(state),
        ],
        [
            _part(f"worker|site|state|cores|memory|{per}|up|term left", workers,
                  f"cores|memory|{per}|up|term left"),
            _part(f"lease|workers|{per}|spent|ends", leases, f"{per}|spent"),
            _runs(state),
            _links(state),
            _avoided(state),
            _events(state),
        ],
        tags(grid),
        data=state,
    )  # fmt: skip


def _runs(state: dict[str, Any]) -> Part:
    currency = state["grid"]["currency"]
    rows = [
        (
            run["label"],
            run["state"],
            ", ".join(run["sites"]),
            format_seconds(run["seconds"]),
            _cost(run["cost"], currency),
        )
        for run in state["runs"][-8:]
    ]
    return _part("run|state|sites|time|cost", rows, "time|cost")


def _links(state: dict[str, Any]) -> Part:
    currency = state["grid"]["currency"]
    rows = [
        (
            f"{link['src']} → {link['dst']}",
            format_bytes(link["bytes"]),
            _cost(link["cost"], currency),
            _busy(link),
        )
        for link in sorted(state["links"], key=lambda each: (not each["cut"], -each["bytes"]))[:8]
        if link["bytes"] or link["cut"]
    ]
    return _part("traffic|bytes|cost|busy", rows, "bytes|cost|busy")


def _busy(link: dict[str, Any]) -> str:
    return "cut" if link["cut"] else f"{link['utilisation']:.0%}"


def links(rows: Sequence[dict[str, Any]], grid: dict[str, Any]) -> View:
    """Show links, a row for both directions of each, and what went over them."""
    ways = {(each["src"], each["dst"]): each for each in rows}
    pairs = {tuple(sorted(pair)): pair for pair in reversed(ways)}  # as the catalog has them
    shown = [_link(ways[a, b], ways[b, a], grid["currency"]) for a, b in reversed(pairs.values())]
    numbers = "latency|bandwidth|there|back|cost|busy"
    head = f"between|{numbers}"
    carried = sum(each["bytes"] for each in rows)
    after = [f"{format_bytes(carried)} between sites"] if rows else ["no sites are simulated"]
    return View("Links", after, [_part(head, shown, numbers)], tags(grid), data=list(rows))


def _link(there: dict[str, Any], back: dict[str, Any], currency: str) -> tuple[str, ...]:
    bandwidth = there["bandwidth"]
    return (
        f"{there['src']} – {there['dst']}",
        format_seconds(there["latency"]),
        "unlimited" if bandwidth is None else f"{bandwidth / 1e6:g} MB/s",
        format_bytes(there["bytes"]),
        format_bytes(back["bytes"]),
        _cost(str(Decimal(there["cost"]) + Decimal(back["cost"])), currency),
        _busy(max(there, back, key=lambda each: each["utilisation"])),
    )


def _avoided(state: dict[str, Any]) -> Part:
    rows = [(site["name"], site["health"]["why"]) for site in state["sites"]]
    return _part("avoided site|why", [row for row in rows if row[1]])


def _events(state: dict[str, Any]) -> Part:
    rows = [
        (f"{format_seconds(round(event['ago']))} ago", event["site"], event["text"])
        for event in state["events"][-8:]
    ]
    return _part("when|site|what happened", rows)


def protected_text(state: dict[str, Any]) -> list[str]:
    """Say how many results are held at several sites, of those that are to be."""
    shown = state["replicas"]
    if not shown["wanted"]:
        return []
    size = format_bytes(shown["protected_bytes"])
    of = f"{shown['protected']} of {shown['wanted']} results"
    return [f"protected at {shown['sites']} sites: {of} ({size})"]


def ends(lease: dict[str, Any]) -> str:
    """Say when or why a lease ends."""
    if lease["state"] == "ending":
        return f"ending: {lease['reason']}" if lease["reason"] else "ending"
    if lease["reason"]:
        return str(lease["reason"])
    if lease["ends_in"] is not None:
        return f"deadline in {format_seconds(round(lease['ends_in']))}"
    if lease["released_in"] is not None:
        return f"if idle for {format_seconds(round(lease['released_in']))}"
    return "when released"


def _money(amount: str, currency: str) -> Money:
    return Money(Decimal(amount), currency)


def _cost(amount: str, currency: str) -> str:
    """Write what something has cost; what is hardly anything is not written out."""
    value = Decimal(amount)
    small = 0 < abs(value) < _LEAST
    return f"< {_LEAST} {currency}" if small else str(Money(value, currency))


def budget_text(state: dict[str, Any]) -> list[str]:
    """Say what is spent, and of how much."""
    money, currency = state["budget"], state["budget"]["currency"]
    spent = f"{_money(money['charged'], currency)} spent"
    if money["cap"] is None:
        return [spent, "no budget: free sites only"]
    return [f"{spent} of {_money(money['cap'], currency)}"]


def jobs(found: Sequence[Any]) -> View:
    """Show jobs, the newest first."""
    rows = [
        (
            job.id.partition("-")[2],
            job.label,
            _state(job.state, *job.done_of),
            format_seconds(round(job.seconds, 1)),
            ", ".join(job.sites),
            job.charged,
        )
        for job in found
    ]
    head = "job|what|state|time|sites|cost"
    after = [] if rows else ["none yet; `%%grid --background` makes one"]
    return View("Jobs", after, [_part(head, rows, "time|cost")])


def _state(state: str, finished: int, total: int) -> str:
    return state if total == 1 else f"{state}, {finished} of {total}"


def meter(state: dict[str, Any]) -> View:
    """Show what is spent, held and left, how fast it goes, and until when it lasts."""
    money, currency = state["budget"], state["budget"]["currency"]
    scale = Decimal(state["grid"]["time_scale"])
    rate = sum((Decimal(each["rate"]) for each in state["sites"]), Decimal(0))
    rows: list[Sequence[object]] = [
        ("spent", _money(money["charged"], currency), ""),
        ("held", _money(money["held"], currency), "set aside for terms that run"),
    ]
    if money["cap"] is not None:
        rows.append(
            ("left", _money(money["left"], currency), f"of {_money(money['cap'], currency)}")
        )
    rows.append(("rate", _money(str(rate), currency), hour(scale)))
    rows.append(("lasts", *_lasts(money, rate, scale)))
    return View(
        "Meter",
        budget_text(state)[-1:],
        [_part("|amount| ", rows, "amount")],
        tags(state["grid"]),
        data=state,
    )


def _lasts(money: dict[str, Any], rate: Decimal, scale: Decimal) -> tuple[str, str]:
    if money["cap"] is None or not rate:
        return ("∞", "nothing that costs is running")
    free = Decimal(money["left"]) + Decimal(money["held"])
    hours = free / rate
    real = format_seconds(float(hours * 3600 / scale))
    if scale == 1:
        return (real, "until the budget ends, with what runs now")
    return (
        real,
        f"until the budget ends, with what runs now; {_simulated_time(hours)}",
    )


def _simulated_time(hours: Decimal) -> str:
    return f"{format_seconds(float(hours * 3600))} simulated"


def budget(state: dict[str, Any]) -> View:
    """Show an account and its cap."""
    money, currency = state["budget"], state["budget"]["currency"]
    keys = ["cap", "charged", "held", "left"]
    names = {"charged": "spent"}
    rows = [
        (names.get(key, key), "none" if money[key] is None else _money(money[key], currency))
        for key in keys
    ]
    return View(
        f"Budget of {money['account'].rpartition('/')[2]}",
        (),
        [_part(" |amount", rows, "amount")],
        tags(state["grid"]),
        data=money,
    )


_LEAST = Decimal("0.0001")
_KINDS = ("used", "kept", "idle", "overhead", "egress", "total")


def bill(frame: pd.DataFrame, columns: Sequence[str], grid: dict[str, Any]) -> View:
    """Sum a bill up: by site and by run, or by the columns that are given.

    `data` is a frame with exact Decimals.
    """
    from gridnb.metering.bill import by

    if frame.empty:
        return View("Bill", ["nothing was charged yet"], (), tags(grid), data=frame)
    single = frame["currency"].nunique() == 1
    if columns:
        sums = by(frame, *columns)
        parts = [_sums(sums, columns, single)]
    else:
        sums = by(frame, "site", "run")
        parts = [_sums(by(frame, "site"), ["site"], single), _by_run(frame, single)]
    return View("Bill", _totals(sums), parts, tags(grid), data=sums)


def _sums(sums: pd.DataFrame, columns: Sequence[str], single: bool) -> Part:
    rows: list[Sequence[object]] = []
    for key, row in zip(sums.index, sums.to_dict("records"), strict=True):
        names = key if isinstance(key, tuple) else (key,)
        rows.append((*(str(name) or "–" for name in names), *_amounts(row, single)))
    for currency, part in sums.groupby("currency", sort=False):
        total = {kind: sum(part[kind], Decimal(0)) for kind in _KINDS}
        blanks = [""] * (len(columns) - 1)
        rows.append(("total", *blanks, *_amounts({**total, "currency": currency}, single)))
    return _part("|".join([*columns, *_KINDS]), rows, "|".join(_KINDS))


def _by_run(frame: pd.DataFrame, single: bool) -> Part:
    from gridnb.metering.bill import by

    sums = by(frame, "run", "label")
    rows = []
    for (run, label), row in zip(sums.index, sums.to_dict("records"), strict=True):
        rows.append((_short(label or run or "starting and idle (no run)"), *_amounts(row, single)))
    return _part("|".join(["run", *_KINDS]), rows, "|".join(_KINDS))


def _totals(sums: pd.DataFrame) -> list[str]:
    parts = sums.groupby("currency", sort=False)
    return [str(Money(sum(part["total"], Decimal(0)), str(name))) for name, part in parts]


def _short(text: str) -> str:
    return text if len(text) <= 32 else text[:31] + "…"


def _amounts(row: dict[Any, Any], single: bool) -> list[object]:
    unit = "" if single else f" {row['currency']}"
    return [_amount(row[kind]) + unit for kind in _KINDS]


def _amount(amount: Decimal) -> str:
    """Write amounts so that they stand under each other."""
    if not amount:
        return "–"
    return f"< {_LEAST}" if abs(amount) < _LEAST else f"{amount.quantize(_LEAST):,f}"
