"""How the pictures of the notebooks look: in plotly, on light and on dark pages."""

from __future__ import annotations

from typing import Any

__all__ = ["KINDS", "neutral"]

#: Colours of what time was paid for.
KINDS = {"used": "#2e9e6b", "kept": "#5b8def", "idle": "#d9a13b", "overhead": "#9a9a9a"}

_COLOURS = ("#5b8def", "#e07b53", "#2e9e6b", "#d9a13b", "#a06cd5", "#4fb3bf")
_INK = "#8a8a8a"
_RULE = "rgba(138,138,138,.25)"


def neutral(width: int = 760, height: int = 340) -> Any:
    """Return a plotly template in colours that are seen on any page, for pictures of this size."""
    import plotly.graph_objects as go

    axis = {"gridcolor": _RULE, "linecolor": _RULE, "zerolinecolor": _RULE, "automargin": True}
    clear = "rgba(0,0,0,0)"
    layout = go.Layout(
        colorway=_COLOURS,
        font={"color": _INK, "size": 13},
        title={"font": {"size": 15}, "x": 0, "xanchor": "left"},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        xaxis=axis,
        yaxis=axis,
        legend={"title": {"text": ""}},
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        width=width,
        height=height,
    )
    return go.layout.Template(layout=layout)
