"""The set-up of :mod:`logging`, as text: levels, and handlers that write to the screen.

A handler that writes elsewhere, into a file or to a service, stays in the notebook. At a site
one stands in for it that only notes that a record did not reach it, so that this can be told.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

__all__ = ["Logs"]

#: Loggers of the kernel itself.
_KERNEL = frozenset({"IPKernelApp", "ipykernel", "traitlets", "tornado", "asyncio"})
#: Level, whether it propagates, whether it is disabled, handlers: of a logger that nobody set.
_USUAL: list[Any] = [0, True, False, []]
_STYLES = {"PercentStyle": "%", "StrFormatStyle": "{", "StringTemplateStyle": "$"}


class StandIn(logging.Handler):
    """Notes whom a record did not reach."""

    def __init__(self, what: str, missed: set[str]) -> None:
        super().__init__()
        self.what, self._missed = what, missed

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self._missed.add(self.what)


class Logs:
    """Levels and handlers of all loggers that have any."""

    title = "the set-up of logging"

    def __init__(self) -> None:
        self._look: Any = None
        self._text = ""
        #: Loggers that were set, with what they were before.
        self._before: dict[str, Any] = {}
        self._missed: set[str] = set()
        self._own: frozenset[str] = frozenset()

    def settle(self) -> None:
        """Leave alone what this process has set up by itself: at a site."""
        self._own = self._own or frozenset(name for name, _ in _loggers())

    def missed(self) -> list[str]:
        """Handlers of the notebook that records did not reach since this was asked last."""
        found = sorted(self._missed)
        self._missed.clear()
        return found

    def here(self) -> str:
        """Describe them."""
        look = _look()
        if look != self._look:
            self._look = look
            self._text = json.dumps(_described())
        return self._text

    def put(self, text: str) -> None:
        """Set them, and give back those that were set before and are named no more."""
        described = json.loads(text)
        logging.disable(described["disable"])
        wanted: dict[str, Any] = described["loggers"]
        now = _described()["loggers"]
        for name in (now.keys() | self._before.keys()) - wanted.keys():
            if name in self._before or name not in self._own:
                self._set(name, self._before.pop(name, _USUAL))
        for name, state in wanted.items():
            if now.get(name) != state:
                self._before.setdefault(name, now.get(name, _USUAL))
                self._set(name, state)
        self._look = None

    def _set(self, name: str, state: Any) -> None:
        logger = logging.getLogger(name)
        level, logger.propagate, logger.disabled, handlers = state
        logger.setLevel(level)
        have = [(_handler(each), each) for each in logger.handlers]
        logger.handlers = [self._take(have, each) for each in handlers]

    def _take(self, have: list[tuple[Any, logging.Handler]], wanted: Any) -> logging.Handler:
        """The handler that is there already, or one like it."""
        for entry in have:
            if entry[0] == wanted:
                have.remove(entry)
                return entry[1]
        return self._make(wanted)

    def _make(self, wanted: Any) -> logging.Handler:
        kind, level, *rest = wanted
        made: logging.Handler
        if kind == "null":
            made = logging.NullHandler()
        elif kind == "other":
            made = StandIn(rest[0], self._missed)
        else:
            made = logging.StreamHandler(getattr(sys, kind))
            if rest[0] is not None:
                made.setFormatter(logging.Formatter(*rest[0]))
        made.setLevel(level)
        return made


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = logging.root.manager.loggerDict
    return [
        ("", logging.root),
        *(
            (name, each)
            for name, each in list(known.items())
            if isinstance(each, logging.Logger)
            and (each.level or each.handlers or each.disabled or not each.propagate)
            and name.partition(".")[0] not in _KERNEL
        ),
    ]


def _look() -> Any:
    """What is compared, by identity where that is enough."""
    return logging.root.manager.disable, [
        (
            name,
            each.level,
            each.propagate,
            each.disabled,
            [(handler, handler.level, handler.formatter) for handler in each.handlers],
        )
        for name, each in _loggers()
    ]


def _described() -> dict[str, Any]:
    return {
        "disable": logging.root.manager.disable,
        "loggers": {
            name: [
                each.level,
                each.propagate,
                each.disabled,
                [_handler(handler) for handler in each.handlers],
            ]
            for name, each in _loggers()
        },
    }


def _handler(handler: logging.Handler) -> list[Any]:
    """A handler as plain data."""
    if isinstance(handler, StandIn):
        return ["other", handler.level, handler.what]
    if type(handler) is logging.NullHandler:
        return ["null", handler.level]
    if type(handler) is logging.StreamHandler and not handler.filters:
        stream, form = _stream(handler.stream), _form(handler.formatter)
        if stream is not None and form is not False:
            return [stream, handler.level, form]
    return ["other", handler.level, _what(handler)]


def _stream(stream: Any) -> str | None:
    for name in ("stdout", "stderr"):
        if stream is getattr(sys, name) or getattr(stream, "name", "") in (name, f"<{name}>"):
            return name
    return None


def _form(formatter: logging.Formatter | None) -> Any:
    """Arguments of a formatter; False for one that is not the usual kind."""
    if formatter is None:
        return None
    style = _STYLES.get(type(getattr(formatter, "_style", None)).__name__)
    if type(formatter) is not logging.Formatter or style is None:
        return False
    return [formatter._fmt, formatter.datefmt, style]


def _what(handler: logging.Handler) -> str:
    """What a user knows a handler by."""
    name, file = type(handler).__name__, getattr(handler, "baseFilename", "")
    return f"{name} ({file.rpartition('/')[2]})" if file else name
