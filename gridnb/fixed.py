"""What whoever runs a notebook from outside has fixed for it: account, budget, catalog.

``gridnb run`` says it in an environment variable, so that it holds for all processes of the
notebook; a grid that is made there takes it instead of what the notebook says. In return the
notebook's processes write down which grids and runs they made.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["VARIABLE", "Fixed", "fixed", "note"]

#: The environment variable.
VARIABLE = "GRIDNB_RUN"


@dataclass(frozen=True)
class Fixed:
    """Bounds of a notebook; None where the notebook's own word holds.

    Attributes
    ----------
    record
        The file where its grids and runs are written down.
    account, budget, catalog
        As for :class:`gridnb.Grid`. With an account, no other budget than this one can be set.
    """

    record: str
    account: str | None = None
    budget: str | None = None
    catalog: str | None = None

    def text(self) -> str:
        """Write it for the environment variable."""
        return json.dumps(dataclasses.asdict(self))

    def within(self, catalog: Any, budget: Any, account: Any) -> tuple[Any, Any, Any]:
        """Return what is to be taken instead of what the notebook says."""
        if self.account is not None:
            account, budget = self.account, self.budget
        return self.catalog or catalog, budget, account

    @property
    def stays(self) -> str:
        """Say that a budget cannot be set here."""
        cap = f" of {self.budget}" if self.budget else ""
        return f"`gridnb run` has set the budget{cap} for all of this notebook; it stays as it is"

    def noted(self, kind: str) -> list[str]:
        """Return the ids of one kind (``grid``, ``run``) that were written down, oldest first."""
        return [each for what, each in self._lines() if what == kind]

    def _lines(self) -> Iterator[list[str]]:
        path = Path(self.record)
        if path.exists():
            yield from (line.split(" ", 1) for line in path.read_text().splitlines())


def fixed() -> Fixed | None:
    """Return the bounds of this process, or None where nobody has set any."""
    text = os.environ.get(VARIABLE)
    return None if text is None else Fixed(**json.loads(text))


def note(kind: str, name: str) -> None:
    """Write down a grid or a run that was made here, if somebody wants to know."""
    bounds = fixed()
    if bounds is None:
        return
    with Path(bounds.record).open("a", encoding="utf-8") as file:
        file.write(f"{kind} {name}\n")  # one write of one line: several processes may do so
