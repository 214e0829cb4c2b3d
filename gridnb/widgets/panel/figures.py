"""Cost over time by site, stacked: a plotly figure that only listens.

Plotly's own FigureWidget takes seconds to import, since it brings a validator of
notebooks, and answers each update with messages that wait until the cell has ended.
So plotly.js, as it comes with the package, is used in a widget of our own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from gridnb.widgets.panel.model import Point

__all__ = ["CostOverTime", "columns"]

#: Told apart with any kind of eyes, on light and dark ground.
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b", "#9d755d")
_INK = "#808080"
_GRID = "rgba(128,128,128,0.22)"
_OTHERS = "other sites"


_CHART = (files("gridnb.widgets.panel") / "chart.js").read_text(encoding="utf-8")


@cache
def _plotly() -> bytes:
    """Return plotly.js as a module: it looks for a `module` to export itself to."""
    script = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return b"const module = { exports: {} };\n" + script + b"\nexport default module.exports;\n"


def columns(
    series: Sequence[Point], names: Sequence[str]
) -> tuple[list[str], dict[str, list[float]]]:
    """Return times (as local dates) and costs by site; what is not in `names` is summed up.

    Sites that never cost anything are left out.
    """
    times = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t)) for t, _ in series]
    costs: dict[str, list[float]] = {name: [0.0] * len(series) for name in (*names, _OTHERS)}
    for n, (_, by_site) in enumerate(series):
        for site, cost in by_site.items():
            costs[site if site in costs else _OTHERS][n] += float(cost)
    return times, {name: values for name, values in costs.items() if any(values)}


class _Chart(anywidget.AnyWidget):
    _esm = _CHART
    plotly = traitlets.Bytes().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)


class CostOverTime:
    """A figure that is drawn anew when the cost has changed."""

    def __init__(self, names: Sequence[str], currency: str) -> None:
        self._names = names[: len(_COLOURS) - 1]
        self.widget = _Chart(plotly=_plotly(), data={"x": [], "lines": []}, frame=_frame(currency))
        self._drawn: Point | None = None

    def show(self, series: Sequence[Point]) -> bool:
        """Draw; returns whether there was anything to draw."""
        if series and series[-1] != self._drawn:
            self._drawn = series[-1]
            times, costs = columns(series, self._names)
            lines = [{"name": n, "colour": self._colour(n), "y": y} for n, y in costs.items()]
            self.widget.data = {"x": times, "lines": lines}
        return bool(self.widget.data["lines"])

    def _colour(self, name: str) -> str:
        return dict(zip(self._names, _COLOURS, strict=False)).get(name, _COLOURS[-1])


def _frame(currency: str) -> dict[str, Any]:
    axis = {"gridcolor": _GRID, "zerolinecolor": _GRID, "linecolor": _GRID, "fixedrange": True}
    return {
        "height": 210,
        "autosize": True,
        "margin": {"l": 56, "r": 12, "t": 8, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _INK, "size": 11},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#606060", "font": {"color": "#ffffff"}},
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": {**axis, "type": "date"},
        "yaxis": {**axis, "title": {"text": currency}, "rangemode": "tozero"},
    }
