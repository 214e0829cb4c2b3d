"""A body that is run once, and again after a failure as often as its cell says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gridnb.errors import CellError, CellLost, GridError, HubError
from gridnb.notebook.lost import never_began, retriable, why_ended, why_lost

if TYPE_CHECKING:
    from gridnb.cells.call import Run, Sink
    from gridnb.cells.outcome import Outcome
    from gridnb.cells.remote import Remote
    from gridnb.grid import Grid
    from gridnb.notebook.cell import Cell
    from gridnb.notebook.session import Say, Session
    from gridnb.seats import Seat

__all__ = ["Attempts"]

PATIENCE = 20.0  # seconds in which the hub has to hear of the loss of a worker


class Attempts:
    """Runs the body of a cell; `seat` is where it ran last.

    Attributes
    ----------
    spent
        For each attempt the seat and how long it took, in seconds.
    notes
        What was run again, and why.
    """

    def __init__(
        self, cell: Cell, session: Session, seat: Seat, needs: Sequence[Remote], say: Say
    ) -> None:
        self.cell, self.session, self.seat = cell, session, seat
        self.spent: list[tuple[Seat, float]] = []
        self.notes: list[str] = []
        self._needs, self._say = needs, say
        self._avoid: list[str] = []
        self._count = 0

    @property
    def grid(self) -> Grid:
        """The grid on which it runs."""
        return self.session.connected()

    def run(self, run: Run, sink: Sink) -> Outcome:
        """Run the body; what it returns is the outcome of the last attempt.

        Raises
        ------
        CellLost
            If its place was lost, and it is not to be run again or there is no other place.
        """
        while True:
            try:
                outcome = self._once(run, sink)
            except CellLost as error:
                self._after_loss(run, error)
                continue
            if outcome.error is None or not self._after_error(outcome):
                return outcome

    def _once(self, run: Run, sink: Sink) -> Outcome:
        began = time.monotonic()
        try:
            self.grid.seats.bring(self.seat, self._needs)
            # Where there are copies, or another attempt, a change in place has to be noticed.
            if self.cell.retries or any(len(remote.sites) > 1 for remote in self._needs):
                kept = self.grid.seats.kept
                run.watch = [kept.key(remote) for remote in self._needs]
            return self.grid.seats.run(self.seat, run, sink)
        finally:
            self.spent.append((self.seat, time.monotonic() - began))

    def _after_loss(self, run: Run, error: CellLost) -> None:
        grid, seat = self.grid, self.seat
        lost = grid.seats.kept.lost(self._needs)
        if lost is not None:
            raise lost.lost() from error
        if not self._count and not seat.alive and never_began(grid, run.id):
            self.seat = self._another()  # it was lost while nothing ran there
            return
        if self._count >= self.cell.retries:
            raise why_lost(seat, error, why_ended(grid, seat)) from error
        try:
            self._again("lost")
        except GridError as again:
            why = why_lost(seat, error, why_ended(grid, seat))
            raise CellLost(f"{why}; it cannot be run again: {again}") from error

    def _after_error(self, outcome: Outcome) -> bool:
        """Run a body again that has raised, if it may be; returns whether it is to be."""
        error = outcome.error
        if error is None or not retriable(error) or self._count >= self.cell.retries:
            return False
        kept = self.grid.seats.kept
        for key in outcome.altered:
            if len(kept.places(key)) < 2:
                self.notes.append("not run again: it had changed a kept value that has no copy")
                return False
        for key in outcome.altered:
            kept.remove(key, self.seat.connection)
        said = " ".join(f"{outcome.error_name}: {outcome.error_text}".split())
        try:
            self._again(said if len(said) <= 80 else said[:79] + "…")
        except GridError as again:
            self.notes.append(f"not run again: {again}")  # the body's own error is what counts
            return False
        return True

    def _again(self, what: str) -> None:
        before, self._count = self.seat, self._count + 1
        self._avoid.append(before.worker)
        told = f"{what} at {before.site}"
        self._say(f"{told}; again, {self._count} of {self.cell.retries}…")
        self.seat = self._another()
        said = f"{told}; again at {self.seat.site}, {self._count} of {self.cell.retries}"
        self._say(said)
        self.notes.append(said)

    def _another(self) -> Seat:
        """Return a seat, where there is one elsewhere; the hub may not know yet what has ended."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.session.seat(self.cell.ask, self._say, self._needs, self._avoid)
            except (CellError, HubError):
                if time.monotonic() > until:
                    raise
            time.sleep(0.3)
