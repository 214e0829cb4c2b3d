"""The panel's parts as HTML, made from a snapshot: nothing here knows of widgets."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from gridnb.units import format_bytes
from gridnb.widgets import html, tables
from gridnb.widgets.panel.amounts import amount, lasts, price, rate_of, short_time, unit
from gridnb.widgets.panel.model import Snapshot

__all__ = [
    "ACTIVE",
    "faint",
    "head",
    "heading",
    "lease_row",
    "meter",
    "problem",
    "run_part",
    "run_row",
    "runs_ended",
    "site_part",
    "sites",
]

#: States of runs that are not over.
ACTIVE = frozenset({"running", "pending"})

_DIGITS = "font-variant-numeric:tabular-nums;white-space:nowrap"
_FAINT = "var(--jp-ui-font-color2,inherit)"
_RULE = "var(--jp-border-color2,rgba(128,128,128,.35))"
_SPENT = "#4c78a8"
_HELD = "#a3bfdb"
_BAD = "color:var(--jp-error-color1,#d0413a)"


def head(status: dict[str, Any]) -> str:
    """Which grid it is."""
    grid = status["grid"]
    account = grid["account"].rpartition("/")[2]
    after = [f"catalog {grid['catalog']}", f"account {account}"]
    tags = tables.tags(grid)
    return html.block(
        html.title(
            f"Grid {grid['id']}",
            *(html.muted(f"· {each}") for each in after),
            *(html.tag(*each) for each in tags),
        )
    )


def heading(text: str) -> str:
    """Write what a part is."""
    style = f"color:{_FAINT};font-weight:600;border-bottom:1px solid {_RULE};margin:4px 0 2px"
    return html.block(f'<div style="{style}">{html.safe(text)}</div>')


def faint(text: str) -> str:
    """Write what matters less; nothing for nothing."""
    return html.block(html.muted(text)) if text else ""


def problem(text: str) -> str:
    """Write what is wrong, or what there is to say, in place."""
    if not text:
        return ""
    style = f' style="{_BAD}"' if text.startswith("✗") else ""
    return html.block(f"<span{style}>{html.safe(text)}</span>")


# the meter


def meter(snapshot: Snapshot) -> str:
    """Spent, held, left, how fast it goes and until when it lasts."""
    status = snapshot.status
    budget, currency = status["budget"], status["budget"]["currency"]
    cap = budget["cap"]
    tiles = [
        ("spent", amount(budget["charged"], currency), "" if cap else "no budget: free sites only"),
        ("held", amount(budget["held"], currency), "for terms that run"),
    ]
    if cap is not None:
        tiles.append(("left", amount(budget["left"], currency), f"of {amount(cap, currency)}"))
    tiles.append(("rate", amount(rate_of(status), currency), unit(status)))
    tiles.append(("lasts", *_lasts(status)))
    body = "".join(_tile(*each) for each in tiles)
    columns = "display:grid;grid-template-columns:repeat(auto-fill,minmax(132px,1fr));gap:2px 12px"
    return html.block(_bar(budget) + f'<div style="{columns}">{body}</div>')


def _tile(name: str, value: str, note: str) -> str:
    return (
        f'<div><div style="color:{_FAINT};font-size:.88em">{name}</div>'
        f'<div class="gridnb-{name}" style="font-size:1.15em;{_DIGITS}">{html.safe(value)}</div>'
        f'<div style="color:{_FAINT};font-size:.88em;min-height:1.5em;{_DIGITS}">'
        f"{html.safe(note)}</div></div>"
    )


def _lasts(status: dict[str, Any]) -> tuple[str, str]:
    seconds = lasts(status)
    if seconds is None:
        return "∞", "nothing that costs runs"
    if seconds > 7 * 86400:
        return "> 7 days", "at this rate"
    end = time.localtime(time.time() + seconds)
    return short_time(seconds), f"budget ends {time.strftime('%H:%M', end)}"


def _bar(budget: dict[str, Any]) -> str:
    """How much of the cap is spent, and how much is held."""
    cap = Decimal(budget["cap"] or 0)
    if not cap:
        return ""
    spent, held = (min(Decimal(budget[key]) / cap, Decimal(1)) for key in ("charged", "held"))
    parts = "".join(
        f'<div style="width:{float(share) * 100:.2f}%;background:{colour}"></div>'
        for share, colour in ((spent, _SPENT), (min(held, 1 - spent), _HELD))
    )
    frame = f"display:flex;height:8px;border:1px solid {_RULE};border-radius:4px;overflow:hidden"
    return f'<div style="{frame};margin:4px 0 6px">{parts}</div>'


# tables


def sites(snapshot: Snapshot) -> str:
    """What is up where, what it costs, and what went in and out."""
    part = site_part(snapshot)
    return html.block(html.table(part.head, part.rows, numbers=part.numbers))


def site_part(snapshot: Snapshot) -> tables.Part:
    """The same as a table that can be written in HTML and as text."""
    status = snapshot.status
    currency = status["budget"]["currency"]
    ins, outs = _traffic(status["links"])
    rows = [
        (
            site["name"],
            _state(site, status),
            site["workers"] + site["starting"],
            site["cores"],
            price(site["rate"], site["currency"]) if _up(site) else "–",
            amount(site["spent"], currency),
            format_bytes(ins[site["name"]]) if site["name"] in ins else "–",
            format_bytes(outs[site["name"]]) if site["name"] in outs else "–",
        )
        for site in status["sites"]
    ]
    numbers = ("workers", "cores", unit(status), "spent", "in", "out")
    return tables.Part(("site", "state", *numbers), rows, frozenset(numbers))


def _up(site: dict[str, Any]) -> bool:
    return bool(site["workers"] or site["starting"])


def _state(site: dict[str, Any], status: dict[str, Any]) -> str:
    if site["starting"]:
        return "starting"
    if not site["workers"]:
        return "–"
    ending = any(
        lease["state"] == "ending" and any(line["site"] == site["name"] for line in lease["lines"])
        for lease in status["leases"]
    )
    return "ending" if ending else "up"


def _traffic(links: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """Sum up what came into sites and went out of them, in bytes."""
    ins: dict[str, int] = {}
    outs: dict[str, int] = {}
    for link in links:
        if link["src"] != link["dst"] and link["bytes"]:
            outs[link["src"]] = outs.get(link["src"], 0) + link["bytes"]
            ins[link["dst"]] = ins.get(link["dst"], 0) + link["bytes"]
    return ins, outs


def runs_ended(snapshot: Snapshot, most: int) -> str:
    """The newest runs that are over, and how many more there are."""
    part, counts = run_part(snapshot, most), snapshot.status["counts"]
    if not part.rows:
        return "" if counts["runs_running"] else html.block(html.muted("no run has ended yet"))
    more = counts["runs_total"] - counts["runs_running"] - len(part.rows)
    rest = html.muted(f"and {more:,} older ones, in %grid bill") if more > 0 else ""
    return html.block(html.table(part.head, part.rows, numbers=part.numbers) + rest)


def run_part(snapshot: Snapshot, most: int, *, active: bool = False) -> tables.Part:
    """The newest runs that are over, or those that are not, as a table."""
    status = snapshot.status
    currency = status["budget"]["currency"]
    chosen = [run for run in status["runs"] if (run["state"] in ACTIVE) == active][::-1]
    rows = [
        (
            run["label"],
            run["state"],
            ", ".join(run["sites"]),
            short_time(run["seconds"]) if run["seconds"] >= 1 else "< 1 s",
            amount(run["cost"], currency),
        )
        for run in chosen[:most]
    ]
    return tables.Part(("run", "state", "sites", "time", "cost"), rows, frozenset(("time", "cost")))


def run_row(run: dict[str, Any], currency: str) -> str:
    """A run that goes on, beside its button."""
    sites = ", ".join(run["sites"])
    return _row(run["label"], sites, short_time(run["seconds"]), amount(run["cost"], currency))


def lease_row(lease: dict[str, Any], status: dict[str, Any]) -> str:
    """A lease, beside its button."""
    currency = status["budget"]["currency"]
    name = lease["id"].rpartition("-")[2]
    what = ", ".join(f"{each['count']} × {each['site']} {each['offer']}" for each in lease["lines"])
    ends = tables.ends(lease)
    rate = price(lease["rate"], currency)
    return _row(f"{name} · {what or 'no workers'}", ends,
                f"{rate} {unit(status)}" if Decimal(lease["rate"]) else rate,
                amount(lease["spent"], currency))  # fmt: skip


def _row(name: str, note: str, *numbers: str) -> str:
    cells = "".join(
        f'<span style="{_DIGITS};min-width:5.5em;text-align:right">{html.safe(each)}</span>'
        for each in numbers
    )
    cut = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    return html.block(
        '<div style="display:flex;flex-wrap:wrap;gap:0 12px;align-items:baseline;line-height:1.9">'
        f'<span style="flex:2 1 11em;{cut}" title="{html.safe(name)}">{html.safe(name)}</span>'
        f'<span style="flex:1 1 7em;color:{_FAINT};{cut}">{html.safe(note)}</span>{cells}</div>'
    )
