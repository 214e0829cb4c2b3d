"""Rows with a button each: what goes on, and can be ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets

from gridnb.widgets.live import Button
from gridnb.widgets.panel import pieces
from gridnb.widgets.panel.tasks import Tasks, told

__all__ = ["Entry", "Rows"]


@dataclass(frozen=True)
class Entry:
    """What a row shows; without `button` there is nothing to press.

    Attributes
    ----------
    instead
        What stands on a button that cannot be pressed, since something else does it.
    """

    key: str
    markup: str
    button: bool = True
    instead: str = ""


class Rows:
    """As many rows as there is something to show, at most `most`; widgets are used again.

    Parameters
    ----------
    verb, doing
        What stands on a button, before and after it was pressed.
    act
        What it does with a row's key; returns what there is to say.
    """

    def __init__(
        self, verb: str, doing: str, act: Callable[[str], str], tasks: Tasks, most: int = 12
    ) -> None:
        self._verb, self._doing, self._act, self._tasks, self._most = verb, doing, act, tasks, most
        self._pool: list[_Row] = []
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        self._note = ipywidgets.HTML()
        self._empty = ipywidgets.HTML()
        self._more = ipywidgets.HTML()
        self._box = ipywidgets.VBox()
        self.widget = ipywidgets.VBox([self._box, self._more, self._note])

    def show(self, entries: Sequence[Entry], empty: str) -> None:
        """Show these, or that there are none."""
        with self._lock:
            shown = entries[: self._most]
            self._asked &= {entry.key for entry in entries}
            while len(self._pool) < len(shown):
                self._pool.append(_Row(self._press))
            for row, entry in zip(self._pool, shown, strict=False):
                asked = entry.key in self._asked
                row.show(entry, self._doing if asked else entry.instead or self._verb,
                         asked or bool(entry.instead))  # fmt: skip
            more = len(entries) - len(shown)
            self._more.value = pieces.faint(f"and {more:,} more" if more else "")
            self._empty.value = pieces.faint(empty)
            boxes = tuple(row.box for row in self._pool[: len(shown)]) or (self._empty,)
            if self._box.children != boxes:
                self._box.children = boxes

    def _press(self, row: _Row) -> None:
        key = row.key
        with self._lock:
            if key in self._asked:
                return
            self._asked.add(key)
            row.wait(self._doing)
        self._note.value = ""
        self._tasks.do(lambda: self._do(key))

    def _do(self, key: str) -> None:
        said = told(lambda: self._act(key))
        self._note.value = pieces.problem(said)
        if said.startswith("✗"):
            with self._lock:
                self._asked.discard(key)


class _Row:
    """A line of text and a button."""

    def __init__(self, press: Callable[[_Row], None]) -> None:
        self.key = ""
        self._text = ipywidgets.HTML(layout={"flex": "1 1 auto", "min_width": "0"})
        self._button = Button(layout={"width": "98px", "flex": "0 0 auto"})
        self._button.on_click(lambda _: press(self))
        self.box = ipywidgets.HBox(
            [self._text, self._button],
            layout={"align_items": "center", "width": "100%", "grid_gap": "0 12px"},
        )

    def show(self, entry: Entry, word: str, disabled: bool) -> None:
        self.key = entry.key
        self._text.value = entry.markup
        self._button.description = word
        self._button.disabled = disabled
        self._button.layout.visibility = "visible" if entry.button else "hidden"

    def wait(self, doing: str) -> None:
        self._button.description, self._button.disabled = doing, True
