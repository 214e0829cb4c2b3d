"""What a cell finds around it beside its names, and has to find at a site, too.

``random.seed(1)`` in one cell and ``random.random()`` in the next have to fit together wherever
they run, and so do ``os.chdir`` and ``open``, ``pandas.set_option`` and a frame, and what else
changes results or output. Each is a part with a text; only parts whose library is imported have
one. Both ends speak of them by the same names.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

from gridnb.cells.logs import Logs
from gridnb.cells.settings import PARTS as SETTINGS
from gridnb.cells.settings import Part, Seen
from gridnb.cells.shellstate import PARTS as SHELL
from gridnb.cells.warned import Filters

__all__ = ["LOGS", "PARTS", "Ambient", "enter", "fresh", "here", "left", "restore", "title"]

Ambient = dict[str, str]


class Random:
    """The generator of :mod:`random`."""

    title = "random numbers"

    def __init__(self) -> None:
        self._seen = Seen()

    def here(self) -> str:
        """Describe it."""
        return self._seen.text(random.getstate())

    def put(self, text: str) -> None:
        """Make it go on from there."""
        random.setstate(self._seen.value(text))


class NumpyRandom:
    """The generator behind ``numpy.random.rand`` and the like."""

    title = "random numbers of NumPy"

    def __init__(self) -> None:
        self._key, self._text = b"", ""
        self._seen = Seen()

    def here(self) -> str | None:
        """Describe it."""
        if "numpy.random" not in sys.modules:
            return None
        import numpy

        state: Any = numpy.random.get_state()
        key = state[1].tobytes() + repr(state[2:]).encode()
        if key != self._key:
            self._key, self._text = key, self._seen.pack(state)
        return self._text

    def put(self, text: str) -> None:
        """Make it go on from there."""
        try:
            import numpy
        except ModuleNotFoundError:
            # What is not there draws no numbers.
            return
        numpy.random.set_state(self._seen.value(text))


class Directory:
    """The working directory."""

    title = "the working directory"

    def here(self) -> str | None:
        """Name it."""
        try:
            return str(Path.cwd())
        except FileNotFoundError:
            # Somebody removed it.
            return None

    def put(self, text: str) -> None:
        """Go there."""
        os.chdir(text)


LOGS = Logs()
_FILTERS = Filters()
PARTS: dict[str, Part] = {
    "random": Random(),
    "numpy": NumpyRandom(),
    "cwd": Directory(),
    "logging": LOGS,
    "warnings": _FILTERS,
    **SETTINGS,
    **SHELL,
}
#: These go on from run to run; the others are a site's own again when nobody says otherwise.
_GOING_ON = frozenset({"random", "numpy", "cwd"})
#: Parts as they were before the first run in this process.
_OWN: Ambient = {}
#: What this process was when a run had ended.
_LAST: Ambient = {}


def title(name: str) -> str:
    """What a user calls a part."""
    return PARTS[name].title


def here() -> Ambient:
    """Describe this process, as text."""
    found = {}
    for name, part in PARTS.items():
        text = part.here()
        if text is not None:
            found[name] = text
    return found


def restore(ambient: Ambient) -> list[str]:
    """Take over in the notebook what a run has left; returns the parts that refused.

    The working directory of a site is not the notebook's, and a library that nobody here has
    imported is not imported for its settings.
    """
    failed = []
    for name, text in ambient.items():
        part = PARTS.get(name)
        if part is None or name == "cwd":
            continue
        if name not in _GOING_ON and part.here() is None:
            continue
        if not _put(part, text):
            failed.append(name)
    return failed


def enter(ambient: Ambient) -> tuple[Ambient, list[str]]:
    """Make this process like that one; returns what it is now, and the parts that refused."""
    LOGS.settle()
    _FILTERS.settle()
    # Nothing has run here since it was looked at last.
    now = dict(_LAST) or here()
    _LAST.clear()
    for name, text in now.items():
        _OWN.setdefault(name, getattr(PARTS[name], "usual", text))
    failed = []
    for name, part in PARTS.items():
        wanted = ambient.get(name, None if name in _GOING_ON else _OWN.get(name))
        if wanted is None or wanted == now.get(name):
            continue
        if not _put(part, wanted):
            failed.append(name)
        # What was put may be described in other words here.
        described = part.here()
        if described is not None:
            now[name] = described
    return now, failed


def _put(part: Part, text: str) -> bool:
    try:
        part.put(text)
    except Exception:  # noqa: BLE001 - libraries of other versions refuse as they like
        # Whoever asked says so.
        return False
    return True


def fresh() -> None:
    """Begin other random numbers than any process that has heard the same."""
    random.seed()
    if "numpy.random" in sys.modules:
        import numpy

        numpy.random.seed()


def left(before: Ambient) -> Ambient:
    """What differs now; whoever enters next begins with it."""
    _LAST.clear()
    _LAST.update(here())
    return {name: text for name, text in _LAST.items() if before.get(name) != text}
