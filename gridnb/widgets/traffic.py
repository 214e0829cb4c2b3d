"""Traffic between sites as a heat map of bytes, from rows to columns: plotly's, and in HTML.

Colours are such that it can be read on light and on dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.errors import HubError
from gridnb.units import Money, format_bytes
from gridnb.widgets import html

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["cells", "figure", "table"]

_INK = "#808080"
#: From hardly anything to most, as red, green and blue; both are seen on white and on black.
_LEAST, _LARGEST = (198, 219, 239), (43, 108, 176)
_DARK = 0.55  # the share of the largest from which on text is white
_CUT = "✕ cut"
_MOST = 12  # sites; with more, those with the most traffic
_CELL, _LABEL = 46, 8  # pixels: a row, a letter of a name


def cells(status: dict[str, Any]) -> dict[str, Any]:
    """Return the heat map as plain data: names, and by row and column bytes, text and hover."""
    links = [each for each in status["links"] if each["bytes"] or each["cut"]]
    currency = status["budget"]["currency"]
    names = _names(links, [site["name"] for site in status["sites"]])
    ways = {(each["src"], each["dst"]): each for each in links}
    found = [[ways.get((src, dst)) for dst in names] for src in names]
    return {
        "names": names,
        "bytes": [[each["bytes"] if each else None for each in row] for row in found],
        "text": [[_text(each) for each in row] for row in found],
        "hover": [[_hover(each, currency) for each in row] for row in found],
        "total": sum(each["bytes"] for each in links),
        "cost": str(_cost(links, currency)),
    }


def _names(links: Sequence[dict[str, Any]], order: Sequence[str]) -> list[str]:
    """Return the sites that have traffic, in the catalog's order."""
    moved: dict[str, int] = {}
    for each in links:
        for name in (each["src"], each["dst"]):
            moved[name] = moved.get(name, 0) + each["bytes"]
    most = sorted(moved, key=lambda name: -moved[name])[:_MOST]
    return [name for name in order if name in most]


def _cost(links: Sequence[dict[str, Any]], currency: str) -> Money:
    return Money(sum((Decimal(each["cost"]) for each in links), Decimal(0)), currency)


def _text(link: dict[str, Any] | None) -> str:
    if link is None:
        return ""
    return _CUT if link["cut"] else _short(link["bytes"])


def _short(size: int) -> str:
    """Write a size in three digits, so that it fits into a cell."""
    number, unit = format_bytes(size).split()
    value = float(number)
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def _hover(link: dict[str, Any] | None, currency: str) -> str:
    if link is None:
        return ""
    rate = "unlimited" if link["bandwidth"] is None else f"{link['bandwidth'] / 1e6:g} MB/s"
    how = "cut" if link["cut"] else f"{link['utilisation']:.0%} busy"
    lines = (
        f"{link['src']} → {link['dst']}",
        f"{format_bytes(link['bytes'])} in {link['messages']:,} messages",
        f"{Money(Decimal(link['cost']), currency)}",
        f"{rate}, {how}",
    )
    return "\n".join(lines)


def _colour(share: float) -> str:
    parts = (round(a + (b - a) * share) for a, b in zip(_LEAST, _LARGEST, strict=True))
    return f"rgb({','.join(map(str, parts))})"


def table(status: dict[str, Any]) -> str:
    """Write the heat map as HTML; nothing if there is no traffic."""
    data = cells(status)
    if not data["names"]:
        return ""
    most = max(size or 0 for row in data["bytes"] for size in row) or 1
    head = "".join(f'<th style="{_HEAD}">{html.safe(name)}</th>' for name in data["names"])
    rows = []
    for n, name in enumerate(data["names"]):
        columns = zip(data["bytes"][n], data["text"][n], data["hover"][n], strict=True)
        boxes = [_box(*each, most) for each in columns]
        first = f'<th style="{_HEAD};text-align:right">{html.safe(name)}</th>'
        rows.append(f'<tr style="background:transparent">{first}{"".join(boxes)}</tr>')
    caption = f"traffic from row to column: {format_bytes(data['total'])}, {data['cost']}"
    corner = f'<th style="{_HEAD}"></th>'
    return html.block(
        f'{html.muted(caption)}<div style="overflow-x:auto"><table class="gridnb-traffic" '
        'style="border-collapse:separate;font-size:inherit;border-spacing:2px;border:0;'
        'margin:2px 0 8px">'
        f"<tr>{corner}{head}</tr>{''.join(rows)}</table></div>"
    )


_HEAD = "padding:2px 8px;border:0;background:transparent;font-weight:500;text-align:center"


def _box(size: int | None, text: str, hover: str, most: int) -> str:
    style = "padding:3px 8px;border:0;text-align:center;white-space:nowrap;min-width:5em"
    if size is not None:
        ink = "#fff" if size >= _DARK * most else "#1a1a1a"
        style += f";border-radius:3px;background:{_colour(size / most)};color:{ink}"
    return f'<td style="{style}" title="{html.safe(hover)}">{html.safe(text)}</td>'


def _layout(data: dict[str, Any]) -> dict[str, Any]:
    """Return plotly's layout for :func:`cells`; its height grows with the sites."""
    names = data["names"]
    axis = {
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "type": "category",
        "ticks": "outside",
        "ticklen": 6,
        "tickcolor": "rgba(0,0,0,0)",
    }
    margin = _LABEL * max((len(name) for name in names), default=0) + 40
    head = f"{format_bytes(data['total'])} between sites, {data['cost']}"
    return {
        "height": _CELL * max(len(names), 1) + 150,
        "margin": {"l": margin, "r": 20, "t": 110, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _INK, "size": 12},
        "hoverlabel": {"bgcolor": "#606060", "font": {"color": "#ffffff"}},
        "title": {"text": head, "font": {"size": 14}, "x": 0, "xref": "container",
                  "xanchor": "left", "pad": {"l": 8}},
        "xaxis": {**axis, "side": "top", "title": {"text": "to", "standoff": 4}},
        "yaxis": {**axis, "autorange": "reversed", "title": {"text": "from", "standoff": 8}},
    }  # fmt: skip


def figure(status: dict[str, Any]) -> Figure:
    """Return a figure of what went from site to site; `status` is that of a grid.

    Raises
    ------
    HubError
        If plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError:
        raise HubError(
            "the figure of traffic needs plotly; install it with `pip install plotly`"
        ) from None
    data = cells(status)
    made = graph_objects.Figure(layout=_layout(data))
    if data["names"]:
        made.add_trace(
            graph_objects.Heatmap(
                x=data["names"],
                y=data["names"],
                z=data["bytes"],
                text=data["text"],
                customdata=[[t.replace("\n", "<br>") for t in row] for row in data["hover"]],
                texttemplate="%{text}",
                hovertemplate="%{customdata}<extra></extra>",
                colorscale=[[0, _colour(0)], [1, _colour(1)]],
                zmin=0,
                showscale=False,
                xgap=2,
                ygap=2,
            )
        )
    else:
        made.add_annotation(text="nothing went between sites yet", showarrow=False)
    return made
