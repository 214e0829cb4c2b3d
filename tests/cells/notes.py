"""A notebook without IPython: a namespace, and cells that run in it or at a site."""

from __future__ import annotations

from typing import Any

from gridnb.cells.call import CellConnection, Run, apply
from gridnb.cells.outcome import Outcome
from tests.cells.site import Sink


class Notebook:
    """Runs cells and applies what comes back."""

    def __init__(self, connection: CellConnection, **names: Any) -> None:
        self.connection, self.names, self.sink = connection, dict(names), Sink()
        self.number = 0

    def plain(self, text: str) -> None:
        exec(compile(text, "<plain>", "exec"), self.names)

    def grid(self, body: str, **options: Any) -> Outcome:
        self.number += 1
        self.sink = Sink()
        run = Run(f"run-{self.number}", body, self.names, count=self.number, **options)
        outcome = self.connection.run(run, sink=self.sink)
        apply(outcome, self.names)
        return outcome
