"""The line under a cell: where it ran, how long, what it cost, what is left."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gridnb.units import Money, format_seconds
from gridnb.widgets import html
from gridnb.widgets.display import Show

__all__ = ["Footer", "Money", "Rates"]


@dataclass(frozen=True)
class Rates:
    """How a grid counts: its currency, and billed seconds for a real one."""

    currency: str
    scale: Decimal
    simulated: bool
    free: bool = False

    def money(self, amount: Decimal) -> Money:
        """Write an amount in this currency."""
        return Money(amount, self.currency)

    def estimate(self, rate: Decimal, cores: int, seconds: float) -> Decimal:
        """Return what a core of a worker costs for some real seconds."""
        billed = Decimal(str(round(seconds, 6))) * self.scale
        return rate / cores * billed / 3600

    @property
    def label(self) -> str:
        """What is not real, in two words; empty if all of it is."""
        if not self.simulated:
            return ""
        return "simulated" if self.scale == 1 else f"simulated, {self.scale.normalize():f} × time"

    @property
    def why(self) -> str:
        """The same in a sentence."""
        if self.scale == 1:
            return "The money is not real."
        return f"The money is not real; a second is billed as {self.scale.normalize():f} seconds."


@dataclass
class Footer:
    """What one line says. It is shown once and then updated.

    Attributes
    ----------
    run
        The run whose cost it shows.
    sites
        Where it ran, as far as known.
    seconds
        How long, in real seconds.
    cost, exact
        In the grid's currency; an estimate at first.
    left
        Of the budget; None when there is no budget or it is not known yet.
    notes
        What a user should know of names: rebound, remote, not looked at.
    released_in
        Real seconds until an idle lease ends, or None.
    keeps
        Whether it made values that stay at a site, and are lost with its workers.
    """

    run: str
    rates: Rates
    sites: tuple[str, ...]
    seconds: float
    cost: Decimal | None = None
    exact: bool = False
    left: Decimal | None = None
    failed: bool = False
    notes: list[str] = field(default_factory=list)
    released_in: float | None = None
    released: bool = False
    keeps: bool = False
    ended: float = field(default_factory=time.monotonic)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _show: Show | None = None

    def parts(self) -> list[str]:
        """Return what stands between the dots."""
        money = self.rates.money
        parts = [", ".join(self.sites) or "the grid", format_seconds(self.seconds)]
        if self.rates.free:
            parts.append("free")
        elif self.cost is not None:
            parts.append(f"{'' if self.exact else '≈ '}{money(self.cost)}")
        if self.left is not None:
            parts.append(f"{money(self.left)} left")
        if self.released:
            parts.append("released, with what was kept" if self.keeps else "released")
        elif self.released_in is not None:
            what = " with what is kept" if self.keeps else ""
            parts.append(f"warm for {_clock(self.released_in)}, then released{what}")
        return parts

    def text(self) -> str:
        """The line for a terminal."""
        label = [self.rates.label] if self.rates.label else []
        return "\n".join([" · ".join([*self.parts(), *label]), *self.notes])

    def html(self) -> str:
        """The line for a notebook."""
        site, *rest = self.parts()
        mark = "var(--jp-error-color1,#c62828)" if self.failed else "var(--jp-brand-color1,#1976d2)"
        dot = f'<span style="color:{mark};font-size:.8em">●</span>'
        body = f'{dot} <b style="font-weight:500">{html.safe(site)}</b>'
        body += "".join(html.muted(f" · {part}") for part in rest)
        if self.rates.label:
            body += " " + html.tag(self.rates.label, self.rates.why)
        body += "".join(f"<br>{html.muted(note)}" for note in self.notes)
        style = "font-size:.92em;font-variant-numeric:tabular-nums"
        return html.block(f'<div class="gridnb-line" style="{style}">{body}</div>')

    def bundle(self) -> dict[str, str]:
        """Both forms."""
        return {"text/plain": self.text(), "text/html": self.html()}

    def show(self, show: Show, instead: str | None = None) -> None:
        """Show it under the cell that is running, or in place of the display with this id."""
        self._show = show
        self.id = instead or self.id
        show(self.bundle(), self.id, instead is not None)

    def update(self) -> None:
        """Show it anew, where it is."""
        if self._show is not None:
            self._show(self.bundle(), self.id, True)

    def take(self, info: dict[str, Any], *, exact: bool) -> None:
        """Take what the hub says of the run, of the budget, and of the leases.

        Until the workers have reported the last of a run its cost is not `exact`.
        """
        cost = Decimal(info["cost"])
        if exact or cost:
            self.cost, self.exact = cost, exact
        self.sites = tuple(info["sites"]) or self.sites
        self.left = None if info["left"] is None else Decimal(info["left"])
        self.released_in = info["released_in"]
        self.released = not info["active"]


def _clock(seconds: float) -> str:
    whole = max(int(seconds), 0)
    return f"{whole // 60}:{whole % 60:02d}"
