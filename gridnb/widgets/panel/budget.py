"""Changing the budget: a new cap, a question, and then it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from gridnb.errors import GridError
from gridnb.units import Money, parse_money
from gridnb.widgets.live import Button, Text
from gridnb.widgets.panel import pieces
from gridnb.widgets.panel.ask import Question
from gridnb.widgets.panel.tasks import Tasks, told

__all__ = ["Budget"]


class Budget:
    """A box for the new cap, and a button; `change` sets it, from a thread."""

    def __init__(self, currency: str, change: Callable[[Money], None], tasks: Tasks) -> None:
        self._change, self._currency = change, currency
        self._cap: Money | None = None
        self._text = Text(placeholder=f"new budget, like 8 {currency}", layout={"width": "180px"})
        self._button = Button(description="Change budget", layout={"width": "auto"})
        self._button.on_click(lambda _: self._press())
        self._question = Question(tasks)
        self._said = ipywidgets.HTML()
        row = ipywidgets.HBox([self._text, self._button], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([row, self._question.widget, self._said])

    def show(self, status: dict[str, Any]) -> None:
        """Take note of the present cap."""
        cap = status["budget"]["cap"]
        self._cap = None if cap is None else parse_money(f"{cap} {self._currency}")

    def _press(self) -> None:
        self._said.value = ""
        try:
            wanted = parse_money(self._read(), what="budget")
        except GridError as error:
            self._said.value = pieces.problem(f"✗ {error}")
            return
        self._question.ask(*self._words(wanted), lambda: self._do(wanted))

    def _read(self) -> str:
        """What was typed; a number alone is in the grid's currency."""
        text = str(self._text.value).strip()
        return f"{text} {self._currency}" if text[-1:].isdigit() else text

    def _words(self, wanted: Money) -> tuple[str, str]:
        if self._cap is None:
            return f"Set a budget of {wanted}?", "Yes, set it"
        same = wanted.currency == self._cap.currency
        verb = "Raise" if same and self._cap < wanted else "Change"
        return f"{verb} the budget from {self._cap} to {wanted}?", f"Yes, {verb.lower()} it"

    def _do(self, wanted: Money) -> None:
        self._said.value = pieces.problem(told(lambda: self._set(wanted)))

    def _set(self, wanted: Money) -> str:
        self._change(wanted)
        self._text.value = ""
        return f"the budget is {wanted} now"
