"""A question in its place, before something is done that costs."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from gridnb.widgets import html
from gridnb.widgets.live import Button
from gridnb.widgets.panel.tasks import Tasks

__all__ = ["Question"]


class Question:
    """Hidden until it asks; the answer hides it again."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._work: Callable[[], object] | None = None
        self._text = ipywidgets.HTML()
        self._yes = Button(button_style="warning", layout={"width": "auto"})
        self._no = Button(description="No", layout={"width": "auto"})
        self._yes.on_click(lambda _: self._agreed())
        self._no.on_click(lambda _: self.hide())
        self.widget = ipywidgets.VBox(
            [self._text, ipywidgets.HBox([self._yes, self._no])], layout={"display": "none"}
        )

    def ask(self, text: str, yes: str, work: Callable[[], object]) -> None:
        """Ask; on yes do `work`, in a thread."""
        self._work = work
        self._text.value = html.block(f"<b>{html.safe(text)}</b>")
        self._yes.description = yes
        self.widget.layout.display = ""

    def hide(self) -> None:
        """Ask no more."""
        self._work = None
        self.widget.layout.display = "none"

    def _agreed(self) -> None:
        work = self._work
        self.hide()
        if work is not None:
            self._tasks.do(work)
