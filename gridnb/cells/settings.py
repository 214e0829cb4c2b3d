"""Settings of libraries that change what a cell computes or shows.

Looked at before each cell, so a look that finds nothing new costs microseconds: the state is
compared with the one of the last look, and only a new one is written as text.
"""

from __future__ import annotations

import base64
import decimal
import importlib
import locale
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import cloudpickle

__all__ = ["PARTS", "Part", "Seen", "Table", "Whole"]


class Part(Protocol):
    """Something around a cell that has a text."""

    title: str

    def here(self) -> str | None:
        """Describe it; None where its library is not imported."""

    def put(self, text: str) -> None:
        """Make it so; raises whatever the library raises if it cannot be."""


class Seen:
    """The text of a state, made anew only when the state is another one."""

    def __init__(self) -> None:
        self._state: Any = None
        self._text: str | None = None

    def text(self, state: Any) -> str:
        """Write a state; it must not change afterwards."""
        if self._text is None or state != self._state:
            self._text, self._state = self.pack(state), state
        return self._text

    @staticmethod
    def pack(state: Any) -> str:
        """Write a state that nobody compares."""
        return base64.b64encode(cloudpickle.dumps(state, protocol=5)).decode("ascii")

    @staticmethod
    def value(text: str) -> Any:
        """Read what was written."""
        return cloudpickle.loads(base64.b64decode(text))


class Whole:
    """Settings that a library hands out and takes as one mapping."""

    def __init__(
        self,
        title: str,
        module: str,
        get: Callable[[Any], Mapping[str, Any]],
        put: Callable[[Any, Mapping[str, Any]], object],
    ) -> None:
        self.title = title
        self._module, self._get, self._put = module, get, put
        self._seen = Seen()

    def here(self) -> str | None:
        """Describe them."""
        module = sys.modules.get(self._module)
        return None if module is None else self._seen.text(dict(self._get(module)))

    def put(self, text: str) -> None:
        """Set them."""
        self._put(importlib.import_module(self._module), self._seen.value(text))


class Table:
    """Many settings by name; those travel that differ from the library's defaults.

    `look` returns what is compared, `read` all of them by name, `defaults` likewise, and `write`
    sets one.
    """

    def __init__(
        self,
        title: str,
        module: str,
        look: Callable[[Any], dict[str, Any]],
        read: Callable[[Any], Mapping[str, Any]],
        defaults: Callable[[Any], Mapping[str, Any]],
        write: Callable[[Any, str, Any], object],
    ) -> None:
        self.title = title
        self._module, self._look, self._read = module, look, read
        self._defaults, self._write = defaults, write
        self._state: dict[str, Any] | None = None
        self._text: str | None = None
        self._seen = Seen()
        #: The text of the defaults.
        self.usual = self._seen.pack({})

    def here(self) -> str | None:
        """Describe what differs."""
        module = sys.modules.get(self._module)
        if module is None:
            return None
        look = self._look(module)
        if self._text is None or not dict.__eq__(look, self._state or {}):
            self._state = _copy(look)
            self._text = self._seen.pack(self._different(module))
        return self._text

    def _different(self, module: Any) -> dict[str, Any]:
        defaults = self._defaults(module)
        now = self._read(module)
        return {k: v for k, v in now.items() if k not in defaults or defaults[k] != v}

    def put(self, text: str) -> None:
        """Set what differs, and the others to their defaults."""
        wanted = self._seen.value(text)
        if not wanted and self._module not in sys.modules:
            return
        module = importlib.import_module(self._module)
        now = self._read(module)
        for name, value in {**self._defaults(module), **wanted}.items():
            if name not in now or now[name] != value:
                self._write(module, name, value)


def _copy(state: Any) -> Any:
    """Copy what changes in place; sentinels stay themselves."""
    if isinstance(state, dict):
        return {name: _copy(value) for name, value in dict.items(state)}
    return list(state) if isinstance(state, list) else state


def _pandas_defaults(_: Any) -> dict[str, Any]:
    from pandas._config import config as module

    # It has no public way to ask for all defaults.
    config: Any = module
    return {name: option.defval for name, option in config._registered_options.items()}


def _pandas_read(module: Any) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    stack: list[tuple[str, dict[str, Any]]] = [("", module.options.d)]
    while stack:
        above, table = stack.pop()
        for name, value in table.items():
            if isinstance(value, dict):
                stack.append((f"{above}{name}.", value))
            else:
                flat[above + name] = value
    return flat


#: Which window system draws is the process's own.
_SCREEN = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})


def _figures(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in dict.items(table) if name not in _SCREEN}


def _context(context: decimal.Context) -> dict[str, Any]:
    kept = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    traps = sorted(kind.__name__ for kind, on in context.traps.items() if on)
    return {**{name: getattr(context, name) for name in kept}, "traps": traps}


def _set_context(module: Any, wanted: Mapping[str, Any]) -> None:
    context = module.getcontext()
    for name, value in wanted.items():
        if name != "traps":
            setattr(context, name, value)
    for kind in context.traps:
        context.traps[kind] = kind.__name__ in wanted["traps"]


def _limits(_: Any) -> dict[str, int]:
    return {"recursion": sys.getrecursionlimit(), "digits": sys.get_int_max_str_digits()}


def _set_limits(_: Any, wanted: Mapping[str, Any]) -> None:
    sys.setrecursionlimit(wanted["recursion"])
    sys.set_int_max_str_digits(wanted["digits"])


def _default_of(title: str, module: str, attribute: str, usual: str) -> Table:
    """One default of plotly; `usual` is what it is in a Jupyter kernel."""

    def read(found: Any) -> dict[str, Any]:
        return {"default": getattr(found, attribute).default}

    def write(found: Any, name: str, value: Any) -> None:
        setattr(getattr(found, attribute), name, value)

    return Table(title, module, read, read, lambda _: {"default": usual}, write)


PARTS: dict[str, Part] = {
    "interpreter": Whole("limits of the interpreter", "sys", _limits, _set_limits),
    "locale": Whole(
        "the locale",
        "locale",
        lambda _: {"all": locale.setlocale(locale.LC_ALL)},
        lambda _, wanted: locale.setlocale(locale.LC_ALL, wanted["all"]),
    ),
    "decimal": Whole(
        "the decimal context", "decimal", lambda module: _context(module.getcontext()), _set_context
    ),
    "numpy print": Whole(
        "print options of NumPy",
        "numpy",
        lambda module: module.get_printoptions(),
        lambda module, wanted: module.set_printoptions(**wanted),
    ),
    "numpy errors": Whole(
        "error handling of NumPy",
        "numpy",
        lambda module: module.geterr(),
        lambda module, wanted: module.seterr(**wanted),
    ),
    "pandas": Table(
        "options of pandas",
        "pandas",
        lambda module: module.options.d,
        _pandas_read,
        _pandas_defaults,
        lambda module, name, value: module.set_option(name, value),
    ),
    "matplotlib": Table(
        "rcParams of matplotlib",
        "matplotlib",
        lambda module: module.rcParams,
        lambda module: _figures(module.rcParams),
        lambda module: _figures(module.rcParamsDefault),
        lambda module, name, value: module.rcParams.update({name: value}),
    ),
    "plotly renderer": _default_of(
        "the renderer of plotly", "plotly.io._renderers", "renderers", "plotly_mimetype"
    ),
    "plotly template": _default_of(
        "the template of plotly", "plotly.io._templates", "templates", "plotly"
    ),
}
