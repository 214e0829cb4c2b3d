"""What is to be run, with all that its journey needs to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gridnb.cells.pack import Packed

__all__ = ["LIMIT", "Run", "Sink"]

#: Default size (bytes) up to which values come back, and are compared.
LIMIT = 256 * 2**20


class Sink(Protocol):
    """Takes a run's output, in order, in the calling thread."""

    def stream(self, name: str, text: str) -> None:
        """Text of ``stdout`` or ``stderr``."""

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """A mime bundle; ``update`` replaces the one with the same display id."""

    def clear(self, wait: bool) -> None:
        """Clear the output."""


@dataclass
class Run:
    """One body to run.

    Attributes
    ----------
    id
        Names the run in the meter.
    body, namespace
        The cell's text, and the notebook's namespace, which is only read.
    count
        The notebook's execution count.
    shell
        The notebook's IPython shell, or None.
    packed
        What :func:`~gridnb.cells.pack.pack` made, to send it several times.
    bindings
        Names bound at the site beside the captured ones (``--map``).
    returns
        ``names``: everything that the cell assigns and changes; ``result``: its value only.
    fetch_limit, compare_limit
        In bytes.
    keep
        Whether the result and what is assigned stay at the site.
    watch
        Keys of kept values; the outcome says which of them the body has changed.
    first
        The cell's first line.
    patience
        Seconds between an interrupt and `on_stuck`.
    on_stuck
        Called when an interrupt has no effect; has to end the cell process.
    """

    id: str
    body: str
    namespace: dict[str, Any]
    count: int = 0
    shell: Any = None
    packed: Packed | None = None
    bindings: dict[str, Any] = field(default_factory=dict)
    returns: str = "names"
    fetch_limit: int = LIMIT
    compare_limit: int = LIMIT
    keep: bool = False
    watch: Sequence[str] = ()
    first: str = "%%grid"
    patience: float = 1.0
    on_stuck: Callable[[], object] = lambda: None
