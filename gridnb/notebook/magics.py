"""``%grid`` and ``%%grid``."""

from __future__ import annotations

import argparse
import keyword
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import kwds, magic_arguments

from gridnb.cells import environment
from gridnb.errors import RequestError
from gridnb.notebook import lines
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
from gridnb.notebook.wanted import Ask

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.jobs import Job

__all__ = ["GridMagics"]

_ABOUT = f"""See and steer the grid of this notebook.

{lines.overview()}

`%grid COMMAND --help` explains each; `%%grid` on a cell runs it at a site.
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
        _register_formats(self._shell.display_formatter)

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
        if "\n" in text:
            self._shell.display_pub.publish({"text/plain": text})
        else:
            Progress(self._shell, quiet=False)(text)

    @magic_arguments(name="grid")  # type: ignore[untyped-decorator]
    @kwds(usage="grid COMMAND [options]", description=_ABOUT)  # type: ignore[untyped-decorator]
    @line_magic("grid")  # type: ignore[arg-type]
    def line(self, text: str) -> Any:
        """See and steer the grid of this notebook."""
        with in_one_line("%grid"):
            return self._lines.run(text)

    @magic_arguments(name="%grid")  # type: ignore[untyped-decorator]
    @with_options(REQUEST, CELL)
    @cell_magic("grid")  # type: ignore[arg-type]
    def cell(self, text: str, body: str) -> Any:
        """Run this cell at a site, as it stands.

        What the cell reads travels there, what it assigns and changes comes back; output,
        result and errors are as in a plain cell. Under it stands where it ran and what it cost.

        Without a lease it takes one and keeps it warm; the options say what it needs.
        """
        with in_one_line("%%grid"):
            rest, pieces = take_pieces(text)
            given = parse(self.cell.parser, rest, "%%grid")
            cell = _cell(body, f"%%grid {text}".rstrip(), given)
            if pieces is not None:
                cell.names, cell.sweep = pieces.names, pieces.sweep
                if not given.quote:  # which runs nothing
                    cell.pieces = pieces.evaluate(self._shell.user_ns)
            self._connect(cell)
            if given.quote:
                return self.session.connected().quote(**self._priced(cell.ask))
            if given.explain:
                self._explain(cell)
            return self._run(cell)

    def _priced(self, ask: Ask) -> dict[str, Any]:
        """What a lease for this cell would be asked for, if it had to take one."""
        from gridnb.config import settings

        sized = {"cores", "memory", "gpus"} & ask.request.keys()
        return ask.request if sized else {"cores": settings().cores, **ask.request}

    def _connect(self, cell: Cell) -> None:
        """A bare cell connects by itself, and says so."""
        if self.session.grid is None:
            grid, how = self.session.connect()
            if not cell.quiet:
                self._say(f"{how} {lines.describe(grid)}")

    def _explain(self, cell: Cell) -> None:
        from gridnb.notebook.explain import explain

        grid, asked = self.session.connected(), cell.ask.request.get("sites", "")
        seat = None if asked else grid.seats.ready()
        sites = [seat.site] if seat else [s.strip() for s in str(asked).split(",") if s.strip()]
        found = explain(cell.body, self._shell, cell.names, catalog=grid.catalog, sites=sites)
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


def _register_formats(formatter: Any) -> None:
    """Show quotes and leases as tables, without importing what they are made of."""
    html, plain = formatter.formatters["text/html"], formatter.formatters["text/plain"]

    def bundle(quote: Any) -> dict[str, str]:
        from gridnb.widgets import tables

        return tables.quote(quote)._repr_mimebundle_()

    html.for_type_by_name("gridnb.broker.quote", "Quote", lambda q: bundle(q)["text/html"])
    plain.for_type_by_name(
        "gridnb.broker.quote", "Quote", lambda q, p, cycle: p.text(bundle(q)["text/plain"])
    )
