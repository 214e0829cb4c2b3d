"""Whether a page is still open, by what the browser sends as long as it is."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["Presence"]

INTERVAL = 5.0  # seconds between two signs; browsers let a hidden page send one a minute


class Presence:
    """Put :attr:`widget` into a page: nobody sees it, and while it is asked to it says that it is.

    An animation that the browser runs, and tells of each step.
    """

    def __init__(self) -> None:
        import ipywidgets

        self._heard = time.monotonic()
        self.widget: Any = ipywidgets.Play(
            max=2**31 - 1, interval=int(INTERVAL * 1000), layout={"display": "none"}
        )
        self.widget.observe(self._hear, "value")

    def _hear(self, change: Any) -> None:
        self._heard = time.monotonic()

    def listen(self, listening: bool) -> None:
        """Begin to ask for signs, or ask no more."""
        self._heard = time.monotonic()
        self.widget.playing = listening  # the browser begins when this changes

    @property
    def silent(self) -> float:
        """Seconds since something was heard."""
        return time.monotonic() - self._heard
