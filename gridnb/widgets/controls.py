"""Controls that are heard while a cell runs, and whether this kernel and its front end can do that.

A front end with subshells sends what happens to a widget on a thread of its own,
beside the one that runs cells. ipykernel 7.4 hands it to the thread that last
published on the widget's comm instead, which is busy; :class:`Live` undoes that.
Importing this module does not import ipywidgets.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.widgets.live import (
        Button,
        Dropdown,
        IntSlider,
        Live,
        SelectionSlider,
        Text,
        ToggleButton,
    )

__all__ = [
    "HINT",
    "Button",
    "Dropdown",
    "IntSlider",
    "Live",
    "SelectionSlider",
    "Text",
    "ToggleButton",
    "live",
    "widgets",
]

#: What stands beside buttons that are not heard while a cell runs.
HINT = (
    "Here buttons are heard between cells only: while a cell runs, "
    "interrupt the kernel (■) to cancel it."
)

SUBSHELL_PATIENCE = 5.0  # seconds in which a front end that has subshells asks for one

#: When the first live control was opened; front ends ask for a subshell then.
_opened: list[float] = []


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gridnb.widgets import live as classes

    return getattr(classes, name)


def widgets(shell: Any = None) -> bool:
    """Whether widgets can be shown: in a kernel with comms, with ipywidgets installed."""
    kernel = getattr(_shell(shell), "kernel", None)
    return getattr(kernel, "comm_manager", None) is not None and _installed("ipywidgets")


def live(shell: Any = None) -> bool:
    """Whether clicks are heard while a cell runs: kernel and front end both have subshells.

    A front end cannot be asked. One that has shown a control for some seconds, and
    has not asked for a subshell, has none.
    """
    shell = _shell(shell)
    if not widgets(shell) or not _kernel_has_subshells(shell.kernel):
        return False
    if "__vsc_ipynb_file__" in shell.user_ns or "google.colab" in sys.modules:
        return False
    waited = time.monotonic() - _opened[0] if _opened else 0.0
    return waited < SUBSHELL_PATIENCE or bool(_subshells(shell.kernel))


def opened() -> None:
    """Note that a live control was opened."""
    if not _opened:
        _opened.append(time.monotonic())


def _shell(shell: Any) -> Any:
    if shell is not None:
        return shell
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _kernel_has_subshells(kernel: Any) -> bool:
    return "kernel subshells" in kernel.kernel_info.get("supported_features", ())


def _subshells(kernel: Any) -> list[str]:
    thread = getattr(kernel, "shell_channel_thread", None)
    return thread.manager.list_subshell() if thread is not None else []


def _installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return importlib.util.find_spec(name) is not None
