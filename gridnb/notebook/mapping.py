"""``--map`` and ``--sweep``: the body once for each piece, and what becomes of the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError
from gridnb.jobs import table
from gridnb.jobs.table import short, some
from gridnb.notebook import progress
from gridnb.notebook.cell import Cell, cost_of, count_of, label, rates, warnings
from gridnb.notebook.current import cancellable, stoppable
from gridnb.notebook.footer import Footer
from gridnb.notebook.keeping import Keeper
from gridnb.notebook.pool import Pool
from gridnb.notebook.sinks import CellSink
from gridnb.widgets.display import shower

if TYPE_CHECKING:
    from gridnb.cells.call import Run
    from gridnb.cells.remote import Remote
    from gridnb.notebook.session import Session

__all__ = ["run_map"]

SHOW_AFTER = 2.0  # seconds until progress is shown
SHOW_EVERY = 0.4
BIND_EVERY = 2.0  # seconds between two looks of --into at what has come
BIND_SHARE = 20  # times as long as binding took it waits for the next


def run_map(cell: Cell, session: Session, shell: Any, follow: Callable[[Footer], None]) -> None:
    """Run the body for every piece; the list, or DataFrame, of the results becomes ``Out[n]``.

    So do, after an error, an interrupt, or the end of the budget, the results that there are.

    Raises
    ------
    BaseException
        The first error of a body, which names its piece and says what is kept.
    """
    if not cell.pieces:
        _nothing(cell, shell)
        return
    with stoppable(session):
        _Mapping(cell, session, shell).run(follow)


def _nothing(cell: Cell, shell: Any) -> None:
    """Say that there is nothing to run, and lease nothing for it."""
    say = progress.Progress(shell, cell.quiet)
    say(f"nothing to run: {' or '.join(cell.names)} has no values")
    found: Any = table.frame([], [], cell.names) if cell.sweep else []
    if cell.into:
        shell.user_ns[cell.into] = found
    _show(found, CellSink(shell), shell)


def _show(found: Any, sink: CellSink, shell: Any) -> None:
    sink.result(*shell.display_formatter.format(found))
    sink.value(found)


class _Mapping:
    """The pieces of a cell, from the pack that travels to the line under it."""

    def __init__(self, cell: Cell, session: Session, shell: Any) -> None:
        from gridnb.cells.pack import pack
        from gridnb.config import settings

        assert cell.pieces is not None
        self.cell, self.session, self.shell, self.bound = cell, session, shell, cell.pieces
        self.say = progress.Progress(shell, cell.quiet)
        self.keeper = Keeper(cell, session, self.say)
        self.keeper.check()
        self._packed = pack(cell.body, shell.user_ns, shell=shell, without=cell.names)
        self._fetch_limit = settings().fetch_limit
        grid = self.grid = session.connected()
        self._watch = [grid.seats.kept.key(remote) for remote in self._packed.remotes]
        self._sink = CellSink(shell)
        self._pace = progress.Pace()
        self._began = self._shown = self._tied = time.monotonic()
        self._tied_count = 0
        self._told = False  # how far it is
        self.pool = Pool(
            grid,
            len(self.bound),
            self._run_of,
            describe=self._describe,
            places=lambda: session.places(cell.ask, self.say),
            retries=cell.retries,
        )
        self.id = grid.new_run()

    def _run_of(self, number: int) -> Run:
        from gridnb.cells.call import Run

        return Run(
            self.id,
            self.cell.body,
            self.shell.user_ns,
            count=count_of(self.shell),
            shell=self.shell,
            packed=self._packed,
            bindings=self.bound[number],
            returns="result",
            fetch_limit=self._fetch_limit,
            first=self.cell.first,
            keep=self.cell.keep,
            watch=self._watch,
        )

    def _describe(self, number: int) -> tuple[str, Sequence[Remote]]:
        """Return the name of a piece, and the kept values that it reads."""
        from gridnb.cells.pickles import dump

        bound, needs = self.bound[number], self._packed.remotes
        if self.grid.seats.kept:
            *_, pickler = dump([bound], owns=lambda space: space is self.shell.user_ns)
            needs = [*needs, *pickler.remotes]
        return short(bound), needs

    # while it runs

    def run(self, follow: Callable[[Footer], None]) -> None:
        """Run it; raises what stopped it."""
        grid, title = self.grid, label(count_of(self.shell), self.cell.body)
        copies = self.cell.replicas if self.cell.replicas > 1 else None
        grid.client.announce(self.id, title, "running", copies)
        self._began = time.monotonic()
        self._shown = self._began + SHOW_AFTER - SHOW_EVERY
        state, interrupted = "failed", True
        try:
            with cancellable(grid, self.id, self.session):
                self.pool.work(self._look)
            interrupted = False
            state = "failed" if self.pool.failure else "done"
        except KeyboardInterrupt:
            state = "cancelled"
            raise
        finally:
            try:
                self._finish(state, follow, copies=not interrupted)
            finally:
                grid.client.announce(self.id, title, state)
        if self.pool.failure is not None:
            raise self._named(*self.pool.failure)

    def _look(self) -> None:
        """Pass on what was put out, and say how far it is."""
        self._pass_on()
        now, done = time.monotonic(), len(self.pool.done)
        self._pace.note(now, done)
        if now - self._shown >= SHOW_EVERY:
            self._shown = now
            self._tell(now, done)
        if self.cell.into and done != self._tied_count and now >= self._tied:
            self.shell.user_ns[self.cell.into] = self.results()
            took, self._tied_count = time.monotonic() - now, done
            self._tied = now + max(BIND_EVERY, BIND_SHARE * took)

    def _tell(self, now: float, done: int) -> None:
        total, pool, self._told = len(self.bound), self.pool, True
        said = progress.text(
            done,
            total,
            now - self._began,
            self._pace.left(now, total),
            ", ".join(sorted(pool.used)),
            [piece.name for piece in pool.running],
        )
        if pool.told:
            said += f" · {pool.told[-1]}"
        self.say(said, progress.bar(done, total, said))

    def _tell_end(self) -> None:
        """Leave, above what was put out, how far it came."""
        done, total = len(self.pool.done), len(self.bound)
        said = f"{done:,} of {total:,}"
        self.say(said, progress.bar(done, total, said))

    def _pass_on(self) -> None:
        """Show the output of all that have ended, and of the first that has not, as it comes."""
        for piece in self.pool.pieces:
            piece.sink.give(self._sink)
            if piece.number not in self.pool.outcomes:
                return

    # at the end

    def results(self) -> Any:
        """Return what there is of results, in the order of the pieces."""
        done = self.pool.done
        values = [self.pool.outcomes[n].value for n in done]
        if not self.cell.sweep:
            return values
        return table.frame(values, [self.bound[n] for n in done], self.cell.names)

    def _finish(self, state: str, follow: Callable[[Footer], None], *, copies: bool) -> None:
        seconds = time.monotonic() - self._began
        for piece in self.pool.pieces:
            piece.sink.give(self._sink)
        found = self.results()
        if self.cell.into:
            self.shell.user_ns[self.cell.into] = found
        try:
            if copies and self.cell.replicas > 1:
                self.keeper.replicate(self._remotes(), self.cell.replicas)
        finally:
            self._sink.flush()
            try:
                if state == "done" or self.pool.done:
                    _show(found, self._sink, self.shell)
            finally:
                if not self.cell.quiet:
                    self._footer(state, seconds, follow)

    def _footer(self, state: str, seconds: float, follow: Callable[[Footer], None]) -> None:
        footer = Footer(
            run=self.id,
            rates=rates(self.grid),
            sites=tuple(sorted(self.pool.used)),
            seconds=seconds,
            cost=cost_of(self.grid, self.pool.spent),
            left=self.session.left,
            failed=state != "done",
            keeps=bool(self._remotes()),
            notes=self.notes(),
        )
        if self._sink.used:
            if self._told:
                self._tell_end()
            footer.show(shower(self.shell))
        else:
            self.say.settle(footer)
        follow(footer)

    def _remotes(self) -> list[Remote]:
        from gridnb.cells.remote import Remote

        values = (self.pool.outcomes[n].value for n in self.pool.done)
        return [value for value in values if type(value) is Remote]

    def notes(self) -> list[str]:
        """Say what is missing, what was run again, and what stayed at a site."""
        pool, found = self.pool, []
        done = set(pool.done)
        missing = [piece.name for piece in pool.pieces if piece.number not in done]
        if missing:
            what = f"{len(done):,} of {len(pool.pieces):,} results"
            found.append(f"{what}; no result for {some(missing, between='; ')}")
        if pool.told:
            found.append(f"run again: {some(pool.told, 4, '; ')}")
        found += self._told_of_kept()
        said = [text for outcome in pool.outcomes.values() for text in warnings(outcome)]
        return [*found, *self._clashes(), *dict.fromkeys(said), *self.keeper.notes]

    def _told_of_kept(self) -> list[str]:
        found = []
        remotes = self._remotes()
        if remotes and self.cell.keep:
            where: dict[str, int] = {}
            for remote in remotes:
                sites = " and ".join(remote.sites)
                where[sites] = where.get(sites, 0) + 1
            found.append(f"kept: {some([f'{n} at {sites}' for sites, n in where.items()])}")
        elif remotes:
            found.append(f"{len(remotes)} results stayed at their site (.fetch() brings one here)")
        altered = {key for outcome in self.pool.outcomes.values() for key in outcome.altered}
        named = [r for r in self._packed.remotes if self.grid.seats.kept.key(r) in altered]
        if named:
            names = some([self.keeper.name(remote) for remote in dict.fromkeys(named)])
            found.append(f"changed by the body, and so seen by the pieces after it: {names}")
        return found

    def _clashes(self) -> list[str]:
        """Say which columns were renamed, since a parameter has their name."""
        if not self.cell.sweep:
            return []
        values = [self.pool.outcomes[n].value for n in self.pool.done]
        new = table.renamed(values, self.cell.names)
        return [
            f"{key} is a parameter, so the result's {key} is the column {name}"
            for key, name in new.items()
            if str(key) != name
        ]

    def _named(self, number: int | None, error: BaseException) -> BaseException:
        """Add to an error which piece it was, and what became of the others."""
        pool, option = self.pool, "--sweep" if self.cell.sweep else "--map"
        done, total = len(pool.done), len(pool.pieces)
        where = (
            f" {pool.pieces[number].name}, value {number + 1} of {total};"
            if number is not None
            else ""
        )
        kept = f"{done} of {total} results are in "
        kept += self.cell.into or (f"Out[{count_of(self.shell)}]" if done else "no name")
        text = f"{option}:{where} {kept}"
        if isinstance(error, GridError) and not hasattr(error, "_render_traceback_"):
            error.args = (f"{error} ({text})", *error.args[1:])
        else:
            from gridnb.cells.outcome import add_note

            add_note(error, text)
        return error
