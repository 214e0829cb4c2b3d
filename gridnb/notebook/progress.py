"""The one line that says what is going on, and how far a map or sweep is."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

from gridnb.notebook.footer import Footer
from gridnb.units import format_seconds
from gridnb.widgets import html
from gridnb.widgets.display import can_update, shower

__all__ = ["Pace", "Progress", "bar", "text"]

_WINDOW = 32  # results from which the pace is taken


class Progress:
    """One line that says what is going on, in its place in the cell."""

    def __init__(self, shell: Any, quiet: bool) -> None:
        self._show = shower(shell)
        self._quiet = quiet
        self._updates = can_update(shell)
        self._id: str | None = None

    def __call__(self, text: str, markup: str | None = None) -> None:
        """Show a line, or replace it; with `quiet` not how far it is, which has markup."""
        if self._quiet and markup is not None:
            return
        update, self._id = self._id is not None, self._id or uuid.uuid4().hex
        data = {"text/plain": text, "text/html": html.block(markup or html.muted(text))}
        self._show(data, self._id, update)

    def settle(self, footer: Footer) -> None:
        """Let the line under the cell take the place of this one, or follow it."""
        if self._id is not None and self._updates:
            footer.show(self._show, self._id)
        else:
            footer.show(self._show)


class Pace:
    """How fast results come, judged by the last of them; times are seconds."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    def note(self, now: float, done: int) -> None:
        """Note that so many are done."""
        if not self._ends or self._ends[-1][1] != done:
            self._ends.append((now, done))

    def left(self, now: float, total: int) -> float | None:
        """Return how long the rest will take at this pace, None when it cannot be known yet."""
        if len(self._ends) < 2:
            return None
        (first, before), (_, done) = self._ends[0], self._ends[-1]
        if done == before or done >= total:
            return None
        return max((now - first) / (done - before) * (total - done), 0.0)


def text(
    done: int, total: int, seconds: float, left: float | None, where: str, running: Sequence[str]
) -> str:
    """Return what stands beside the bar."""
    parts = [f"{done:,} of {total:,}", format_seconds(round(seconds))]
    if left is not None:
        parts.append(f"about {_about(left)} left")
    parts += [where] if where else []
    if running:
        parts.append("now " + "; ".join(running[:2]) + (" …" if len(running) > 2 else ""))
    return " · ".join(parts)


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def bar(done: int, total: int, said: str) -> str:
    """Return the markup of the line: a bar, and what is said beside it."""
    width = 100 * done // total if total else 100
    return (
        '<span style="display:inline-block;vertical-align:middle;width:120px;height:6px;'
        "border-radius:3px;margin-right:8px;"
        'background:var(--jp-border-color2,rgba(128,128,128,.35))">'
        f'<span style="display:block;width:{width}%;height:6px;border-radius:3px;'
        'background:var(--jp-brand-color1,#1976d2)"></span></span>' + html.muted(said)
    )
