"""Widgets whose changes and clicks are heard while a cell runs; see :mod:`gridnb.widgets.controls`.

What they call runs in another thread than the cells: it should only hand on what was
asked for, to something that is safe to be called from any thread.
"""

from __future__ import annotations

from typing import Any

import ipywidgets

from gridnb.widgets import controls

__all__ = [
    "Button",
    "Dropdown",
    "IntSlider",
    "Live",
    "SelectionSlider",
    "Text",
    "ToggleButton",
]


class Live:
    """Mix it into a widget class, first, and its messages stay where its front end sends them."""

    comm: Any

    def open(self) -> None:
        """Open the comm, and keep ipykernel from handing its messages to another subshell."""
        super().open()  # type: ignore[misc]
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = _as_sent
        controls.opened()


def _as_sent(data: Any, default: str | None) -> str | None:
    return default


class Button(Live, ipywidgets.Button):  # type: ignore[misc]
    """A button; ``on_click`` takes what is to be called, from a thread of its own."""


class Dropdown(Live, ipywidgets.Dropdown):  # type: ignore[misc]
    """One of several."""


class IntSlider(Live, ipywidgets.IntSlider):  # type: ignore[misc]
    """A whole number."""


class SelectionSlider(Live, ipywidgets.SelectionSlider):  # type: ignore[misc]
    """One of several that stand in a row."""


class Text(Live, ipywidgets.Text):  # type: ignore[misc]
    """A line of text."""


class ToggleButton(Live, ipywidgets.ToggleButton):  # type: ignore[misc]
    """A button that stays down."""
