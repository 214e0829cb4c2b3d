"""Why a place at a site was lost, and what may be tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridnb.errors import CellLost, GridError

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.seats import Seat

__all__ = ["never_began", "of_piece", "retriable", "why_ended", "why_lost"]


def retriable(error: BaseException) -> bool:
    """Whether a body that raised this may do better another time."""
    return isinstance(error, Exception) and not isinstance(error, SyntaxError)


def never_began(grid: Grid, run: str) -> bool:
    """Whether no worker has told the hub of this run: guards report a beginning before all else."""
    try:
        return not grid.cluster.call("run_info", run=run)["sites"]
    except GridError:
        return False


def why_ended(grid: Grid, seat: Seat) -> str | None:
    """Return why the worker beside a seat has ended, or None if it has not."""
    try:
        state = grid.status()
    except GridError:
        return None
    worker = next((each for each in state["workers"] if each["name"] == seat.worker), None)
    # The hub may hear of the end a little later than this connection.
    if worker is not None and worker["state"] == "running" and worker["term_left"] > 1:
        return None
    reasons = [each["reason"] for each in state["leases"] if each["id"] == seat.lease]
    return next(filter(None, reasons), "its paid term is over, or its site was lost")


def of_piece(error: CellLost) -> CellLost:
    """Leave out of a loss what is said of names: those of a piece never come back."""
    return CellLost(str(error).partition("; what it assigned is lost")[0])


def why_lost(seat: Seat, error: CellLost, reason: str | None) -> CellLost:
    """Add to the loss of a cell process why its worker ended, if that is the cause."""
    if reason is None:
        return error
    return CellLost(f"{error}; worker {seat.worker} was ended: {reason}")
