"""A form made from a function's parameters, as :func:`ipywidgets.interact` makes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gridnb.errors import RequestError

__all__ = ["Form"]

_WIDTH = "min(100%, 30em)"


class Form:
    """Fields, and their values by name.

    Parameters
    ----------
    function
        Each of its parameters becomes a field.
    fields
        Abbreviations of ipywidgets by name: ``(1, 10)`` and ``(0.0, 1.0, 0.1)`` are sliders, a
        list or dict is a choice, text is text, True a box to tick; or a widget.
    more
        Fields that are not the function's. What is one plain value there is no field, but fixed.

    Raises
    ------
    RequestError
        If there is no telling what the field of a parameter is, or there is no such parameter.
    """

    def __init__(
        self, function: Callable[..., Any], fields: Mapping[str, Any], more: Mapping[str, Any]
    ) -> None:
        self._own: dict[str, Any] = {each._kwarg: each for each in _made(function, fields)}
        self._more: dict[str, Any] = {}
        self._fixed: dict[str, Any] = {}
        for name, value in more.items():
            widget = _field(value)
            if widget is None:
                self._fixed[name] = value
            else:
                self._more[name] = widget
        for name, widget in [*self._own.items(), *self._more.items()]:
            widget.description = widget.description or name.replace("_", " ")
            widget.style = {"description_width": "9em"}
            widget.layout.width = _WIDTH

    @property
    def widgets(self) -> list[Any]:
        """The fields, in the order of the function's parameters, then the others."""
        return [*self._own.values(), *self._more.values()]

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen for the function."""
        return {name: each.get_interact_value() for name, each in self._own.items()}

    @property
    def more(self) -> dict[str, Any]:
        """What is chosen, or fixed, besides."""
        return self._fixed | {name: each.value for name, each in self._more.items()}

    def on_more(self, changed: Callable[[], None]) -> None:
        """Call `changed` when one of the fields that are not the function's is changed."""
        for widget in self._more.values():
            widget.observe(lambda _: changed(), "value")

    def disable(self, disabled: bool) -> None:
        """Let nothing be changed, or let it be changed again."""
        for widget in self.widgets:
            if hasattr(widget, "disabled"):
                widget.disabled = disabled


def _made(function: Callable[..., Any], fields: Mapping[str, Any]) -> list[Any]:
    import ipywidgets

    name = getattr(function, "__name__", "the function")
    known = inspect.signature(function).parameters
    any_name = any(each.kind is each.VAR_KEYWORD for each in known.values())
    if not any_name and (unknown := [each for each in fields if each not in known]):
        raise RequestError(
            f"app of {name}: it has no parameter {unknown[0]!r}; it has "
            f"{', '.join(known) or 'none'}"
        )
    try:
        made = ipywidgets.interactive(function, {"manual": True}, **fields)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"app of {name}: {error}; give each parameter a default or a field, like n=(1, 10)"
        ) from None
    return list(made.kwargs_widgets)


def _field(value: Any) -> Any:
    import ipywidgets

    if isinstance(value, (tuple, list, dict)):
        return ipywidgets.interactive.widget_from_abbrev(value)
    return value if isinstance(value, ipywidgets.ValueWidget) else None
