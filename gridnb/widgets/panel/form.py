"""The form that asks for workers: a quote follows what is chosen, a button accepts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from gridnb.errors import ConsentError, GridError
from gridnb.widgets import html
from gridnb.widgets.live import Button, Dropdown, IntSlider, SelectionSlider, Text, ToggleButton
from gridnb.widgets.panel import pieces
from gridnb.widgets.panel.ask import Question
from gridnb.widgets.panel.tasks import Latest, Tasks, told
from gridnb.widgets.panel.wishes import (
    Choices,
    bought_for,
    choices,
    described,
    priced,
    request_of,
)

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.catalog import Catalog

__all__ = ["Form"]

_STYLE = {"description_width": "74px"}
_WIDE = {"width": "auto", "min_width": "0"}
_ANY = "any"
_SPOT = {"on demand": False, "either": None, "spot only": True}


class Form:
    """Sliders and boxes made from a catalog's offers.

    Parameters
    ----------
    quote
        Says what keywords of a request would cost; called from a thread, raises GridError.
    lease
        Takes a lease on keywords of a request; returns what there is to say.
    consent
        Agrees to real money for this session, after a question.
    """

    def __init__(
        self,
        catalog: Catalog,
        quote: Callable[..., Quote],
        lease: Callable[[dict[str, Any]], str],
        consent: Callable[[], None],
        tasks: Tasks,
    ) -> None:
        self._ask_quote, self._lease, self._consent, self._tasks = quote, lease, consent, tasks
        self._quote: Quote | None = None
        self._seen: object = None
        self._busy = False
        self._fields = _fields(choices(catalog))
        self._answer = ipywidgets.HTML(layout={"min_height": "72px"})
        self._said = ipywidgets.HTML(layout={"min_height": "22px"})
        self._button = Button(
            description="Request", button_style="primary", disabled=True, layout={"width": "auto"}
        )
        self._button.on_click(lambda _: self._press())
        self._question = Question(tasks)
        self._latest: Latest[dict[str, Any]] = Latest(tasks, self._find)
        for field in self._fields.values():
            field.observe(self._changed, names="value")
        self.widget = ipywidgets.VBox(
            [
                *(field.widget for field in self._fields.values()),
                self._answer,
                self._button,
                self._question.widget,
                self._said,
            ]
        )

    def begin(self) -> None:
        """Quote what the form starts with."""
        self._changed()

    def show(self, status: dict[str, Any]) -> None:
        """Quote anew when there is other money or other workers than before."""
        up = [(site["workers"], site["starting"]) for site in status["sites"]]
        seen = (status["budget"]["left"], up)
        if self._seen not in (None, seen):
            self._latest.put(self.values)
        self._seen = seen

    @property
    def values(self) -> dict[str, Any]:
        """What is asked for, as keywords of a request."""
        return request_of({name: field.value for name, field in self._fields.items()})

    def _changed(self, _: object = None) -> None:
        self._question.hide()
        self._latest.put(self.values)

    def _find(self, values: dict[str, Any]) -> None:
        """Quote, in a thread."""
        try:
            found: Quote | None = self._ask_quote(**values)
        except (GridError, OSError, RuntimeError) as error:
            found, text = None, pieces.problem(f"✗ {error}".partition("\n")[0])
        else:
            assert found is not None
            text = html.block("<br>".join(html.safe(each) for each in described(found)))
        if values != self.values:
            return  # a newer one comes
        self._quote = found
        self._answer.value = text
        self._button.disabled = found is None or self._busy
        self._button.description = "Request" if found is None else f"Request · {priced(found)}"

    def _press(self) -> None:
        if self._quote is not None:
            self._busy = self._button.disabled = True
            self._said.value = pieces.faint("requesting…")
            values = self.values
            self._tasks.do(lambda: self._take(values))

    def _take(self, values: dict[str, Any]) -> None:
        """Lease, in a thread; before the first real money of a session there is a question."""
        try:
            said = pieces.problem(told(lambda: self._lease(values)))
        except ConsentError as error:
            said = ""
            self._question.ask(
                f"This is real money. Lease {bought_for(error)}?",
                "Yes, pay for it",
                lambda: self._agreed(values),
            )
        finally:
            self._busy = False
        self._said.value = said
        self._latest.put(self.values)

    def _agreed(self, values: dict[str, Any]) -> None:
        self._said.value = pieces.problem(told(lambda: self._with_consent(values)))

    def _with_consent(self, values: dict[str, Any]) -> str:
        self._consent()
        return self._lease(values)


class _Field:
    """One wish: a widget, and what its state means to a request."""

    def __init__(self, widget: Any, value: Callable[[], Any], parts: tuple[Any, ...] = ()) -> None:
        self.widget, self._value, self._parts = widget, value, parts or (widget,)

    @property
    def value(self) -> Any:
        return self._value()

    def observe(self, handler: Callable[[object], None], names: str) -> None:
        for part in self._parts:
            part.observe(handler, names=names)


def _fields(of: Choices) -> dict[str, _Field]:
    found = {"cores": _slider("cores", 1, of.cores), "memory": _memory(of.memory)}
    if of.gpus:
        found["gpus"] = _slider("gpus", 0, of.gpus)
    if len(of.sites) > 1:
        found["sites"] = _chips("sites", of.sites)
    if len(of.regions) > 1:
        found["regions"] = _chips("regions", of.regions)
    found["optimize"] = _select("optimize", {name: name for name in of.policies})
    found["max_cost"] = _text("max cost", "no limit, or like 2 GD")
    found["deadline"] = _text("deadline", "none, or like 10 min")
    if of.spot:
        found["spot"] = _select("spot", _SPOT)
    return found


def _slider(name: str, least: int, most: int) -> _Field:
    widget = IntSlider(
        least, least, max(most, least + 1), description=name, style=_STYLE, layout=_WIDE
    )
    return _Field(widget, lambda: widget.value)


def _memory(sizes: tuple[str, ...]) -> _Field:
    widget = SelectionSlider(
        options=(_ANY, *sizes), description="memory", style=_STYLE, layout=_WIDE
    )
    return _Field(widget, lambda: None if widget.value == _ANY else widget.value)


def _select(name: str, options: dict[str, Any]) -> _Field:
    widget = Dropdown(options=list(options), description=name, style=_STYLE, layout=_WIDE)
    return _Field(widget, lambda: options[widget.value])


def _text(name: str, hint: str) -> _Field:
    widget = Text(description=name, placeholder=hint, style=_STYLE, layout=_WIDE)
    return _Field(widget, lambda: widget.value.strip())


def _chips(name: str, names: tuple[str, ...]) -> _Field:
    """Any of several, none meaning all: buttons that stay down, in as many lines as it takes."""
    buttons = [
        ToggleButton(description=each, layout={"width": "auto", "height": "24px"}) for each in names
    ]
    style = {"flex_flow": "row wrap", "max_height": "92px", "overflow": "auto", "flex": "1 1 0"}
    label = ipywidgets.Label(name, layout={"width": "74px", "justify_content": "flex-end"})
    box = ipywidgets.HBox([label, ipywidgets.HBox(buttons, layout=style)])
    return _Field(
        box,
        lambda: tuple(each.description for each in buttons if each.value),
        tuple(buttons),
    )
