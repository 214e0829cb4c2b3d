"""Plain cells that use Dask on the grid: metered and attributed without any magic."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError
from gridnb.notebook.cell import count_of, label, rates, state_of
from gridnb.notebook.footer import Footer
from gridnb.notebook.progress import Progress
from gridnb.notebook.wanted import Ask
from gridnb.widgets.display import shower

if TYPE_CHECKING:
    from gridnb.grid import Grid
    from gridnb.notebook.session import Session

__all__ = ["PlainCells"]


class PlainCells:
    """Makes a run of a plain cell when it first submits something to the grid's client."""

    def __init__(self, session: Session, shell: Any, follow: Callable[[Footer], None]) -> None:
        self._session, self._shell, self._follow = session, shell, follow
        self._grid: Grid | None = None
        self._body: str | None = None
        self._run: str | None = None
        self._began = 0.0
        self._lock = threading.Lock()
        session.on_change.append(self._changed)

    def register(self) -> None:
        """Hear of cells that begin and end."""
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def unregister(self) -> None:
        """Hear of them no more."""
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._end)

    def _changed(self, grid: Grid | None) -> None:
        self._grid = grid
        if grid is not None:
            grid.client.on_submit = self._submit

    def _begin(self, info: Any) -> None:
        self._body = None if info.raw_cell.lstrip().startswith("%%grid") else info.raw_cell
        self._run = None

    def _submit(self) -> None:
        """Tag what the present cell submits; take a lease if there are no workers for it."""
        grid = self._grid
        if grid is None or self._body is None or self._run is not None:
            return
        if grid.cluster.asynchronous:  # Dask's own loop, which must not wait: joblib submits there
            self._open_run(grid)
            threading.Thread(target=self._places_or_why_not, daemon=True).start()
            return
        with self._lock:
            if self._run is None:
                # Workers that the client still sees may be about to go: only the hub knows.
                self._places()
                self._open_run(grid)

    def _places(self) -> None:
        self._session.places(Ask(), Progress(self._shell, quiet=False))

    def _places_or_why_not(self) -> None:
        """Say in the cell, which waits for workers, why none will come."""
        try:
            self._places()
        except GridError as error:
            Progress(self._shell, quiet=False)(f"no workers for this cell: {error}")

    def _open_run(self, grid: Grid) -> None:
        if self._run is not None:
            return
        run = self._run = grid.new_run()
        self._began = time.monotonic()
        grid.client.tag = run
        grid.client.announce(run, self._label(), "running")
        grid.cancels[run] = lambda: self._interrupt(run)

    def _interrupt(self, run: str) -> None:
        """Do what the stop button does, if the cell is still this one."""
        if self._run == run and (thread := threading.main_thread().ident) is not None:
            signal.pthread_kill(thread, signal.SIGINT)

    def _label(self) -> str:
        return label(count_of(self._shell), self._body or "")

    def _end(self, result: Any) -> None:
        grid, run, body = self._grid, self._run, self._body
        self._run = self._body = None
        if grid is None or run is None or grid.closed:
            return
        grid.client.tag = None
        grid.cancels.pop(run, None)
        name = label(result.execution_count or 0, body or "")
        grid.client.announce(run, name, state_of(result.error_in_exec or result.error_before_exec))
        footer = Footer(
            run=run,
            rates=rates(grid),
            sites=(),
            seconds=time.monotonic() - self._began,
            left=self._session.left,
            failed=not result.success,
        )
        sys.stdout.flush()
        sys.stderr.flush()
        footer.show(shower(self._shell))
        self._follow(footer)
