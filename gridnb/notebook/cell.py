"""Running the body of a ``%%grid`` cell at a site."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.jobs.table import some
from gridnb.notebook.attempts import Attempts
from gridnb.notebook.current import cancellable, stoppable
from gridnb.notebook.footer import Footer, Rates
from gridnb.notebook.keeping import Keeper
from gridnb.notebook.logbook import Logbook
from gridnb.notebook.progress import Progress
from gridnb.notebook.sinks import CellSink
from gridnb.widgets.display import show_as_rendered, shower

if TYPE_CHECKING:
    from gridnb.cells.outcome import Outcome
    from gridnb.grid import Grid
    from gridnb.notebook.session import Session
    from gridnb.notebook.wanted import Ask
    from gridnb.seats import Seat

__all__ = [
    "Cell",
    "cost_of",
    "count_of",
    "label",
    "notes",
    "rates",
    "run_cell",
    "state_of",
    "warnings",
]


@dataclass
class Cell:
    """A cell that is to be run: its text, what it asks for, and how it is to be shown.

    Attributes
    ----------
    body, first
        Its text, and the line above it.
    ask
        What it asks for.
    into
        A name for the result.
    quiet
        No line under it.
    pieces
        With ``--map`` or ``--sweep`` the names and values that are bound for each run of the
        body, else None.
    names
        The names in these.
    sweep
        Whether the results become a DataFrame.
    retries
        How often the body, or a piece, is run again after a failure.
    keep
        Whether the result and what is assigned stay at the site.
    replicas
        At how many sites what is kept is held.
    background
        Whether it runs as a job.
    """

    body: str
    first: str
    ask: Ask
    into: str | None = None
    quiet: bool = False
    pieces: list[dict[str, Any]] | None = None
    names: tuple[str, ...] = ()
    sweep: bool = False
    retries: int = 0
    keep: bool = False
    replicas: int = 1
    background: bool = False


def rates(grid: Grid) -> Rates:
    """Return how a grid counts."""
    catalog = grid.catalog
    free = all(site.free for site in catalog.sites)
    return Rates(grid.currency, catalog.time_scale, catalog.simulated, free)


def count_of(shell: Any) -> int:
    """Return the number of the cell that is running (IPython counts on before or after it)."""
    return int(shell.displayhook.prompt_count)


def label(count: int, body: str) -> str:
    """Name a run in status and bill: ``In [5] first words``."""
    line = next((each.strip() for each in body.splitlines() if each.strip()), "")
    short = line if len(line) <= 40 else line[:39] + "…"
    return f"In [{count}] {short}".rstrip()


def run_cell(cell: Cell, session: Session, shell: Any, follow: Callable[[Footer], None]) -> None:
    """Run a cell: output, value, names and errors are as if it had run here.

    Raises
    ------
    BaseException
        What the body raised, with its traceback from the site.
    GridError
        If it could not run, or its outcome not come back.
    """
    with stoppable(session):
        _Running(cell, session, shell).run(follow)


class _Running:
    """A cell from its first byte to the line under it."""

    def __init__(self, cell: Cell, session: Session, shell: Any) -> None:
        from gridnb.cells.call import Run
        from gridnb.cells.pack import pack
        from gridnb.config import settings

        self.cell, self.session, self.shell = cell, session, shell
        self.say = Progress(shell, cell.quiet)
        self.keeper = Keeper(cell, session, self.say)
        self.keeper.check()
        packed, config = pack(cell.body, shell.user_ns, shell=shell), settings()
        self.needs = packed.remotes
        seat = session.seat(cell.ask, self.say, self.needs)
        self.grid = session.connected()
        self.attempts = Attempts(cell, session, seat, self.needs, self.say)
        self.body = Run(
            self.grid.new_run(),
            cell.body,
            shell.user_ns,
            count=count_of(shell),
            shell=shell,
            packed=packed,
            first=cell.first,
            fetch_limit=config.fetch_limit,
            compare_limit=config.compare_limit,
            keep=cell.keep,
        )
        self.name = label(self.body.count, cell.body)
        self.book = Logbook(self.grid, self.body.id, self.name, cell.body)
        self.sink = CellSink(shell, self.book)
        self.outcome: Outcome | None = None

    def run(self, follow: Callable[[Footer], None]) -> None:
        """Run it; raises what the body raised."""
        from gridnb.cells.outcome import apply

        grid, run = self.grid, self.body
        copies = self.cell.replicas if self.cell.replicas > 1 else None
        grid.client.announce(run.id, self.name, "running", copies)
        began, state = time.monotonic(), "failed"
        try:
            with cancellable(grid, run.id, self.session):
                self.outcome = self.attempts.run(run, self.sink)
            apply(self.outcome, self.shell.user_ns)
            state = state_of(self.outcome.error)
        except KeyboardInterrupt:
            state = "cancelled"
            raise
        finally:
            try:
                self._show(time.monotonic() - began, state, follow)
            finally:  # last, since it wakes another thread
                grid.client.announce(run.id, self.name, state)
        if self.outcome.error is not None:
            show_as_rendered(self.shell, self.outcome.error)
            raise self.outcome.error

    def _show(self, seconds: float, state: str, follow: Callable[[Footer], None]) -> None:
        """Show the value and the line; names are bound already."""
        outcome, attempts = self.outcome, self.attempts
        sites = list(dict.fromkeys(seat.site for seat, _ in attempts.spent))
        cost = cost_of(self.grid, attempts.spent)
        self.book.end(state, sites, str(cost))
        _give(self.cell, outcome, self.sink, self.shell)
        try:
            self._keep(outcome)
        finally:
            if not self.cell.quiet:
                footer = Footer(
                    run=self.body.id,
                    rates=rates(self.grid),
                    sites=tuple(sites or [attempts.seat.site]),
                    seconds=seconds,
                    cost=cost,
                    left=self.session.left,
                    failed=state != "done",
                    keeps=outcome is not None and bool(outcome.remote),
                    notes=self._notes(outcome),
                )
                self.sink.flush()
                if self.sink.used:
                    footer.show(shower(self.shell))
                else:
                    self.say.settle(footer)
                follow(footer)

    def _keep(self, outcome: Outcome | None) -> None:
        """Make the copies that the cell, or what it has changed, is to have."""
        if outcome is None:
            return
        if self.cell.replicas > 1:
            values = [*outcome.assigned.values(), outcome.value]
            found = [v for v in values if type(v).__name__ == "Remote"]
            self.keeper.replicate(found, self.cell.replicas)
        if outcome.altered:
            place = self.attempts.seat.connection
            self.keeper.renew(outcome.altered, self.needs, place)

    def _notes(self, outcome: Outcome | None) -> list[str]:
        found = [*self.attempts.notes]
        if outcome is not None:
            found += notes(outcome, stayed=not self.cell.keep)
            if self.cell.keep:
                found += self.keeper.where([*outcome.assigned.items(), ("Out", outcome.value)])
        return [*found, *self.keeper.notes]


def state_of(error: BaseException | None) -> str:
    """Return how a run ended whose body raised `error`."""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    return "failed" if error else "done"


def cost_of(grid: Grid, spent: Iterable[tuple[Seat, float]]) -> Decimal:
    """Return an estimate of what some seconds on seats cost."""
    how = rates(grid)
    costs = (how.estimate(seat.rate, seat.cores, seconds) for seat, seconds in spent)
    return sum(costs, Decimal(0))


def _give(cell: Cell, outcome: Outcome | None, sink: CellSink, shell: Any) -> None:
    if outcome is None:
        return
    if outcome.has and sink.shown is not None:
        sink.value(outcome.value)
    if cell.into and outcome.ok:
        # None if there is no value; an older one must not pass for this cell's.
        shell.user_ns[cell.into] = outcome.value


def notes(outcome: Outcome, *, stayed: bool = True) -> list[str]:
    """Say what happened to names that a user would not expect; with `stayed` what stayed."""
    found = []
    if outcome.rebound:
        found.append(f"rebound to new objects: {', '.join(outcome.rebound)}")
    if outcome.remote and stayed:
        values = [*outcome.assigned.values(), outcome.value]
        fetch = any(getattr(v, "nbytes", None) for v in values if type(v).__name__ == "Remote")
        how = "use it in %%grid, or .fetch() it" if fetch else "use it in %%grid"
        found.append(f"stayed at the site: {', '.join(outcome.remote)} ({how})")
    if outcome.unlooked:
        found.append(f"too large to look for changes: {', '.join(outcome.unlooked)}")
    return [*found, *warnings(outcome)]


def warnings(outcome: Outcome) -> list[str]:
    """Say what differs from a plain cell beside its names."""
    found = []
    if outcome.unloadable:
        found.append(f"cannot be loaded in the notebook: {outcome.unloadable}")
    if outcome.unlike:
        found.append(
            f"not at the site as it is here: {some(outcome.unlike)} (local modules travel as "
            "files, without what has changed in them since; pass such values in variables)"
        )
    if "cwd" in outcome.ambient:
        found.append("the working directory was changed at the site only")
    if outcome.kept_back:
        found.append(f"changed at the site only: {some(outcome.kept_back)}")
    if outcome.threads:
        found.append(
            f"goes on at the site: {some(outcome.threads)} (what it prints comes here, what it "
            "changes stays there)"
        )
    found += outcome.told
    return found
