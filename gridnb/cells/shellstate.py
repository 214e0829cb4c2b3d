"""What of IPython's own settings changes what a cell shows: both ends have a shell."""

from __future__ import annotations

import json
import sys
from typing import Any

from gridnb.cells.settings import Part, Seen

__all__ = ["PARTS"]

_PLAIN = ("pprint", "max_width", "max_seq_length", "float_format", "float_precision")
_FIGURES = ("figure_formats", "print_figure_kwargs", "close_figures", "rc")


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


class Display:
    """How results and tracebacks are shown: ``%precision``, ``%xmode``, node interactivity."""

    title = "settings of IPython"

    def here(self) -> str | None:
        """Describe it."""
        if "IPython" not in sys.modules or (shell := _shell()) is None:
            return None
        plain = shell.display_formatter.formatters["text/plain"]
        return json.dumps(
            {
                "nodes": shell.ast_node_interactivity,
                "mode": shell.InteractiveTB.mode,
                "colors": shell.colors,
                **{name: getattr(plain, name) for name in _PLAIN},
            }
        )

    def put(self, text: str) -> None:
        """Set it."""
        wanted, shell = json.loads(text), _shell()
        shell.ast_node_interactivity = wanted["nodes"]
        shell.InteractiveTB.set_mode(mode=wanted["mode"])
        if shell.colors != wanted["colors"]:
            shell.colors = wanted["colors"]
        plain = shell.display_formatter.formatters["text/plain"]
        for name in _PLAIN:
            # A precision that is set computes a format, which is set anyway.
            if getattr(plain, name) != wanted[name]:
                setattr(plain, name, wanted[name])


class Figures:
    """How matplotlib's figures are shown: ``%config InlineBackend.figure_format``."""

    title = "settings of the inline backend"

    def __init__(self) -> None:
        self._seen = Seen()

    def here(self) -> str | None:
        """Describe it; it may be set before the backend is loaded."""
        backend = self._backend()
        if backend is None:
            return None
        return self._seen.text({name: _frozen(getattr(backend, name)) for name in _FIGURES})

    def _backend(self) -> Any:
        module: Any = sys.modules.get("matplotlib_inline.config")
        if module is not None and module.InlineBackend.initialized():
            return module.InlineBackend.instance()
        if "IPython" not in sys.modules or (shell := _shell()) is None:
            return None
        if "InlineBackend" not in shell.config:
            return None
        from matplotlib_inline.config import InlineBackend

        return InlineBackend.instance(parent=shell)

    def put(self, text: str) -> None:
        """Set it."""
        from matplotlib_inline.config import InlineBackend

        backend = InlineBackend.instance(parent=_shell())
        backend.shell = _shell()
        for name, value in self._seen.value(text).items():
            if getattr(backend, name) != value:
                setattr(backend, name, value)


def _frozen(value: Any) -> Any:
    """A copy, since these change in place."""
    return value.copy() if isinstance(value, set | dict) else value


PARTS: dict[str, Part] = {"display": Display(), "figures": Figures()}
