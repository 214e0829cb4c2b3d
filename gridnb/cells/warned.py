"""The filters of :mod:`warnings`, as text."""

from __future__ import annotations

import json
import re
import sys
import warnings
from typing import Any

__all__ = ["Filters"]

_Filter = tuple[Any, ...]


class Filters:
    """Which warnings are shown, and which are errors."""

    title = "filters of warnings"

    def __init__(self) -> None:
        self._key: tuple[_Filter, ...] | None = None
        self._text = ""
        self._own: list[_Filter] = []
        self._below: list[_Filter] = []

    def settle(self) -> None:
        """Keep, below all that is put, those that this process has by itself: at a site."""
        self._own = self._own or list(warnings.filters)

    def here(self) -> str:
        """Describe them, the first one to be asked first."""
        key = tuple(warnings.filters)
        if key != self._key:
            self._key = key
            self._text = json.dumps([_write(each) for each in key if each not in self._below])
        return self._text

    def put(self, text: str) -> None:
        """Set them; those that this process had by itself come after them."""
        wanted = [found for each in json.loads(text) if (found := _read(each)) is not None]
        self._below = [each for each in self._own if each not in wanted]
        self._key = None
        # It also tells the interpreter that what it has noted of warnings shown is void.
        warnings.resetwarnings()
        filters: Any = warnings.filters
        filters += [*wanted, *self._below]


def _write(entry: _Filter) -> list[Any]:
    action, message, category, module, line = entry
    return [
        action,
        _pattern(message),
        f"{category.__module__}:{category.__qualname__}",
        _pattern(module),
        line,
    ]


def _pattern(value: Any) -> Any:
    return [value.pattern, value.flags] if isinstance(value, re.Pattern) else value


def _read(written: list[Any]) -> _Filter | None:
    """One filter; None if its category is of a module that nobody here has imported."""
    action, message, category, module, line = written
    name, _, path = category.partition(":")
    found: Any = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        return None
    return action, _compiled(message), found, _compiled(module), line


def _compiled(value: Any) -> Any:
    return re.compile(value[0], value[1]) if isinstance(value, list) else value
