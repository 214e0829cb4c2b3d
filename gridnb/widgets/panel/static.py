"""The panel as it stands, in HTML and text: for what saves, prints, or shows no widgets."""

from __future__ import annotations

import time
from dataclasses import replace

from gridnb.widgets import html, tables, traffic
from gridnb.widgets.panel import pieces
from gridnb.widgets.panel.amounts import amount, lasts, rate_of, short_time, unit
from gridnb.widgets.panel.model import Snapshot

__all__ = ["static_html", "static_text"]

_MOST = 8  # runs that are shown


def static_html(snapshot: Snapshot, note: str = "") -> str:
    """Write all parts under each other."""
    status = snapshot.status
    leases = [each for each in status["leases"] if each["state"] != "ended"]
    parts = [
        pieces.head(status),
        html.block(html.muted(_when(snapshot, note))),
        pieces.meter(snapshot),
        pieces.heading("sites"),
        pieces.sites(snapshot),
        traffic.table(status),
    ]
    if leases:
        parts += [pieces.heading("leases"), *(pieces.lease_row(each, status) for each in leases)]
    parts.append(pieces.heading("runs"))
    currency = status["budget"]["currency"]
    running = [run for run in status["runs"] if run["state"] in pieces.ACTIVE]
    parts += [pieces.run_row(run, currency) for run in running[:_MOST]]
    parts.append(pieces.runs_ended(snapshot, _MOST))
    return "".join(parts)


def static_text(snapshot: Snapshot, note: str = "") -> str:
    """Write the same for a terminal."""
    status = snapshot.status
    grid, currency, seconds = status["grid"], status["budget"]["currency"], lasts(status)
    tags = [text for text, _ in tables.tags(grid)]
    first = [f"Grid {grid['id']}", f"catalog {grid['catalog']}", *tags]
    meter = [*tables.budget_text(status), f"{amount(status['budget']['held'], currency)} held"]
    meter.append(f"{amount(rate_of(status), currency)} {unit(status)}")
    if seconds is not None:
        meter.append(f"lasts {short_time(seconds)}")
    running, over = (pieces.run_part(snapshot, _MOST, active=each) for each in (True, False))
    runs = replace(over, rows=[*running.rows, *over.rows])
    parts = [pieces.site_part(snapshot), runs]
    texts = [html.text_table(p.head, p.rows, numbers=p.numbers) for p in parts if p.rows]
    head = "\n".join([" · ".join(first), _when(snapshot, note), " · ".join(meter)])
    return "\n\n".join([head, *texts])


def _when(snapshot: Snapshot, note: str) -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    after = "the connection was closed then" if snapshot.over else ""
    return " · ".join(each for each in (f"as of {now}", after, snapshot.problem, note) if each)
