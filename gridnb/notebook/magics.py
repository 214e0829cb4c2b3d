"""``%grid`` and ``%%grid``."""

from __future__ import annotations

import argparse
import keyword
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import magic_arguments

from gridnb.cells import environment
from gridnb.errors import RequestError
from gridnb.notebook import helptext, lines, shown
from gridnb.notebook.arguments import CELL, REQUEST, parse, request_of, whole, with_options
from gridnb.notebook.cell import Cell, run_cell
from gridnb.notebook.complete import matcher
from gridnb.notebook.countdown import Countdown
from gridnb.notebook.footer import Footer
from gridnb.notebook.oneline import in_one_line
from gridnb.notebook.pieces import take_pieces
from gridnb.notebook.plain import PlainCells
from gridnb.notebook.progress import Progress
from gridnb.notebook.session import Session
from gridnb.notebook.unfit import check
from gridnb.notebook.wanted import Ask

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.grid import Grid
    from gridnb.jobs.job import Job

__all__ = ["GridMagics"]

_LINE = f"""%grid COMMAND [options]

See and steer the grid of this notebook.

{lines.overview()}
"""

_CELL = """
Run this cell at a site, as it stands.

What the cell reads travels there, what it assigns and changes comes back; output,
result and errors are as in a plain cell. Under it stands where it ran and what it cost.

Without a lease it takes one and keeps it warm; the options say what it needs.
"""


@magics_class
class GridMagics(Magics):
    """Cells that run at sites, and the lines to see and steer what they cost."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = Session(shell)
        self._countdown: Countdown | None = None
        self.session.on_change.append(self._changed)
        self._plain = PlainCells(self.session, shell, self._follow)
        self._lines = lines.Lines(self.session, self._say, self._released)
        self._matcher = matcher(self.session, self.cell.parser)

    def register(self) -> None:
        """Take part in completion, in display, and in cells that use Dask."""
        environment.begin()
        self._plain.register()
        self._shell.Completer.custom_matchers.append(self._matcher)
        _register_formats(self._shell.display_formatter, self.session)

    def unregister(self) -> None:
        """Undo :meth:`register`; the grid runs on."""
        self._plain.unregister()
        self._shell.Completer.custom_matchers.remove(self._matcher)
        if self._countdown is not None:
            self._countdown.stop()

    def _changed(self, grid: Grid | None) -> None:
        if self._countdown is not None:
            self._countdown.stop()
        self._countdown = None if grid is None else Countdown(grid, self.session)

    def _follow(self, footer: Footer) -> None:
        # Elsewhere than in a kernel an update would be printed anew.
        if self._countdown is not None and hasattr(self._shell, "kernel"):
            self._countdown.follow(footer)

    def _released(self) -> None:
        if self._countdown is not None:
            self._countdown.look()

    def _say(self, text: str) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what the cell has written before stands before
        if "\n" in text:
            self._shell.display_pub.publish({"text/plain": text})
        else:
            Progress(self._shell, quiet=False)(text)

    @line_magic("grid")  # type: ignore[arg-type]
    def line(self, text: str) -> Any:
        """See and steer the grid of this notebook."""
        with in_one_line("%grid"):
            return self._lines.run(text)

    @magic_arguments(name="%grid")  # type: ignore[untyped-decorator]
    @with_options(REQUEST, CELL)
    @cell_magic("grid")  # type: ignore[arg-type]
    def cell(self, text: str, body: str) -> Any:
        """Run this cell at a site, as it stands."""
        if {"-h", "--help"} & set(text.split()):
            self._say(self.cell.__doc__ or "")
            return None
        with in_one_line("%%grid"):
            rest, pieces = take_pieces(text)
            given = parse(self.cell.parser, rest, "%%grid")
            cell = _cell(body, f"%%grid {text}".rstrip(), given)
            if pieces is not None:
                cell.names, cell.sweep = pieces.names, pieces.sweep
                cell.pieces = pieces.evaluate(self._shell.user_ns)
            check(cell, self._shell, quote=given.quote)
            self._connect()
            if given.explain:
                self._explain(cell)
            return self._quote(cell) if given.quote else self._run(cell)

    def _quote(self, cell: Cell) -> Quote:
        """Price what a cell asks for; a quote is for workers, however many runs they take."""
        if cell.pieces is not None:
            runs = "1 run" if len(cell.pieces) == 1 else f"{len(cell.pieces):,} runs"
            self._say(f"{runs}, as many at a time as the workers have cores")
        return self.session.connected().quote(**self._priced(cell.ask))

    def _priced(self, ask: Ask) -> dict[str, Any]:
        """What a lease for this cell would be asked for, if it had to take one."""
        from gridnb.config import settings

        sized = {"cores", "memory", "gpus"} & ask.request.keys()
        return ask.request if sized else {"cores": settings().cores, **ask.request}

    def _connect(self) -> None:
        """A bare cell connects by itself, and says so."""
        if self.session.grid is None:
            say = Progress(self._shell, quiet=False)
            grid, how = self.session.connect(say=say)
            say(f"{how} {lines.describe(grid)}")

    def _explain(self, cell: Cell) -> None:
        from gridnb.notebook.explain import explain

        grid, asked = self.session.connected(), cell.ask.request.get("sites", "")
        seat = None if asked else grid.seats.ready()
        sites = [seat.site] if seat else [s.strip() for s in str(asked).split(",") if s.strip()]
        found = explain(
            cell.body,
            self._shell,
            cell.names,
            catalog=grid.catalog,
            sites=sites,
            pieces=cell.pieces or (),
        )
        self._shell.display_pub.publish(found._repr_mimebundle_())

    def _run(self, cell: Cell) -> Job | None:
        if cell.background:
            from gridnb.notebook.background import run_background

            return run_background(cell, self.session, self._shell)
        if cell.pieces is None:
            run_cell(cell, self.session, self._shell, self._follow)
            return None
        from gridnb.notebook.mapping import run_map

        run_map(cell, self.session, self._shell, self._follow)
        return None


def _explain(magic: Any, text: str) -> None:
    """Set what ``?`` shows, in place of what argparse makes of the options."""
    magic.__doc__ = text


_explain(GridMagics.line, _LINE)
_explain(GridMagics.cell, helptext.cell(GridMagics.cell.parser, _CELL))


def _cell(body: str, first: str, given: argparse.Namespace) -> Cell:
    """Read the options of a cell; each mistake is one line."""
    into = given.into
    if into is not None and (not into.isidentifier() or keyword.iskeyword(into)):
        raise RequestError(f"--into: {into!r} is no name; write one, like result")
    ask = Ask(request_of(given))
    if not ask.bare:
        ask.parsed()
    replicas = whole(given.replicas, "--replicas", 2, 1)
    return Cell(
        body,
        first,
        ask,
        into,
        given.quiet,
        retries=whole(given.retries, "--retries", 0, 0),
        keep=given.keep or replicas > 1,
        replicas=replicas,
        background=given.background,
    )


def _register_formats(formatter: Any, session: Session) -> None:
    """Show quotes, leases and remote values, without importing what they are made of."""

    def show(module: str, name: str, bundle: Callable[[Any], dict[str, str]]) -> None:
        html, plain = formatter.formatters["text/html"], formatter.formatters["text/plain"]
        html.for_type_by_name(module, name, lambda value: bundle(value)["text/html"])
        plain.for_type_by_name(
            module, name, lambda value, p, cycle: p.text(bundle(value)["text/plain"])
        )

    def quote(value: Any) -> dict[str, str]:
        from gridnb.widgets import tables

        return tables.quote(value)._repr_mimebundle_()

    show("gridnb.broker.quote", "Quote", quote)
    show("gridnb.grid", "Lease", lambda value: shown.lease(value, session.grid))
    formatter.formatters["text/html"].for_type_by_name(
        "gridnb.cells.remote", "Remote", shown.remote
    )
