"""Widgets between two processes: what they hold travels, what is bound to them does not."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["is_widget", "reduce_widget", "traits", "update_widget"]

#: A process's own.
_OWN = frozenset({"comm", "keys", "log"})


def is_widget(value: Any) -> bool:
    """Whether a value is an ipywidget, without importing ipywidgets."""
    module = sys.modules.get("ipywidgets")
    return module is not None and isinstance(value, module.Widget)


def traits(widget: Any) -> dict[str, Any]:
    """What a widget holds, by name."""
    names = [name for name in widget.trait_names() if name not in _OWN and name[0] != "_"]
    return {name: getattr(widget, name) for name in sorted(names)}


def reduce_widget(widget: Any) -> Any:
    """How to pickle a widget: another one of its kind that holds the same."""
    kind = type(widget)
    if (kind.__module__, kind.__name__) == ("ipywidgets.widgets.interaction", "interactive"):
        # It calls a function, which nobody is left to call: what it shows is this.
        kind = sys.modules["ipywidgets"].VBox
    state = {name: value for name, value in traits(widget).items() if value is not None}
    return _make, (kind, {name: state[name] for name in state.keys() & set(kind.class_traits())})


def _make(kind: Any, state: dict[str, Any]) -> Any:
    read_only = {name for name, trait in kind.class_traits().items() if trait.read_only}
    return kind(**{name: value for name, value in state.items() if name not in read_only})


def update_widget(local: Any, changed: Mapping[str, Any]) -> None:
    """Let a widget here hold what its counterpart holds now."""
    with local.hold_trait_notifications():
        for name, value in changed.items():
            setattr(local, name, value)
