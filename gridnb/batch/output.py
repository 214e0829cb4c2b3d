"""The executed copy: saved after each cell, it carries what each cell has cost, and the bill."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.batch import bill
from gridnb.errors import GridError
from gridnb.ledger import Charge

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["BILL", "GRID", "Output", "without_results"]

#: Tags of the cells that a run adds beside papermill's.
BILL, GRID = "gridnb-bill", "gridnb-connect"


def without_results(book: NotebookNode) -> NotebookNode:
    """Take away what an earlier run has left in a notebook."""
    added = {BILL, GRID}
    book.cells = [cell for cell in book.cells if not added & set(cell.metadata.get("tags", ()))]
    book.metadata.pop("gridnb", None)
    for cell in book.cells:
        told = cell.metadata.pop("gridnb", {})
        kept = {key: told[key] for key in told if key not in ("cost", "seconds", "runs")}
        if kept:
            cell.metadata["gridnb"] = kept
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return book


@dataclass
class Output:
    """A notebook that is being run, and where its copy goes.

    Attributes
    ----------
    runs, seconds
        The ids of the runs of each cell that has run, by its place, and how long it took.
    """

    book: NotebookNode
    path: Path
    runs: dict[int, list[str]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def save(self) -> None:
        """Write the copy; who reads it sees the one before or this one, never a half.

        Raises
        ------
        GridError
            If it cannot be written.
        """
        import nbformat

        text = nbformat.writes(self.book) + "\n"
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            with contextlib.ExitStack() as undo:
                undo.callback(os.unlink, name)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(name).chmod(_mode(self.path))
                Path(name).replace(self.path)
                undo.pop_all()
        except OSError as error:
            raise GridError(f"{self.path} cannot be written: {error.strerror}") from None

    def note(self, charges: Iterable[Charge], about: dict[str, Any]) -> None:
        """Write down what has been charged so far: for each cell, and for the whole."""
        charges = list(charges)
        for index, seconds in self.seconds.items():
            told = self.book.cells[index].metadata.setdefault("gridnb", {})
            told["seconds"] = round(seconds, 3)
            if runs := self.runs[index]:
                mine = bill.add(charge for charge in charges if charge.run in runs)
                told |= {"cost": bill.plain(mine), "runs": runs}
        known = {run for runs in self.runs.values() for run in runs}
        self.book.metadata["gridnb"] = {
            **about,
            "total": bill.plain(bill.add(charges)),
            "between_cells": bill.plain(bill.add(c for c in charges if c.run not in known)),
            "bill": bill.rows(charges),
        }

    def add_bill(self) -> None:
        """Show in a last cell what :meth:`note` wrote down."""
        import nbformat

        cell = nbformat.v4.new_markdown_cell(bill.text(self.book))
        cell.metadata["tags"] = [BILL]
        self.book.cells.append(cell)


def _mode(path: Path) -> int:
    """Return the mode of a file that is there, or that of a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
