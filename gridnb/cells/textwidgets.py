"""Widgets at a site: there is no way from the screen to them, so they show as text.

The text follows the widget while the cell runs: a progress bar made of widgets moves.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["MIME", "TextWidgets"]

#: What stands for a widget in a mime bundle.
MIME = "application/vnd.jupyter.widget-view+json"

#: Seconds between two texts of a widget.
_EVERY = 0.1
_LONGEST = 2000  # characters


class TextWidgets:
    """The widgets that the body under way has shown.

    `put` sends a message to the kernel, `write` makes the text of a widget.
    """

    def __init__(
        self, put: Callable[[dict[str, Any]], None], write: Callable[[Any], str | None]
    ) -> None:
        self._put, self._write = put, write
        self._followed: list[_Followed] = []
        self._seen = False

    def text(self, data: dict[str, Any]) -> dict[str, Any]:
        """A mime bundle without the widget, as it is if there is none."""
        if MIME not in data:
            return data
        self._seen = True
        return {kind: value for kind, value in data.items() if kind != MIME}

    def follow(self, data: dict[str, Any], transient: dict[str, Any]) -> dict[str, Any]:
        """Show a widget's text anew when it changes; returns what makes its display known."""
        widget = _find(data)
        if widget is None:
            return transient
        transient = {"display_id": uuid.uuid4().hex, **transient}
        name = transient["display_id"]
        self._followed.append(_Followed(widget, lambda: self._show(widget, name)))
        return transient

    def _show(self, widget: Any, name: str) -> None:
        self._put(
            {
                "op": "display",
                "data": {"text/plain": (self._write(widget) or "")[:_LONGEST]},
                "metadata": {},
                "transient": {"display_id": name},
                "update": True,
            }
        )

    def finish(self) -> list[str]:
        """Show the last of each, follow none any more; returns what a user should know."""
        for each in self._followed:
            each.finish()
        self._followed.clear()
        seen, self._seen = self._seen, False
        if not seen:
            return []
        return ["widgets show as text at a site; make those to be used by hand in a plain cell"]


class _Followed:
    """One widget and those in it."""

    def __init__(self, widget: Any, show: Callable[[], None]) -> None:
        self._show = show
        self._parts = _parts(widget)
        self._dirty, self._last = False, time.monotonic()
        for part in self._parts:
            part.observe(self._changed)

    def _changed(self, _change: Any) -> None:
        self._dirty = True
        if time.monotonic() - self._last >= _EVERY:
            self._update()

    def _update(self) -> None:
        self._dirty, self._last = False, time.monotonic()
        self._show()

    def finish(self) -> None:
        for part in self._parts:
            part.unobserve(self._changed)
        if self._dirty:
            self._update()


def _find(data: dict[str, Any]) -> Any:
    """The widget that a mime bundle stands for."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    view = data.get(MIME)
    if module is None or not isinstance(view, dict):
        return None
    return getattr(module, "_instances", {}).get(view.get("model_id"))


def _parts(widget: Any) -> list[Any]:
    found = [widget]
    for child in getattr(widget, "children", ()):
        found += _parts(child)
    return found
