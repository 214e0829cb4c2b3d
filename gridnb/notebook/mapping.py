"""``--map x=xs``: the body once for each value, on several seats at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.errors import CellLost, GridError, HubError
from gridnb.notebook.cell import Cell, Progress, count_of, label, rates, warnings, why_lost
from gridnb.notebook.current import cancellable, stoppable
from gridnb.notebook.footer import Footer
from gridnb.notebook.sinks import CellSink, HeldSink
from gridnb.units import format_seconds
from gridnb.widgets import html
from gridnb.widgets.display import shower

if TYPE_CHECKING:
    from gridnb.cells.call import Run
    from gridnb.cells.outcome import Outcome
    from gridnb.cells.pack import Packed
    from gridnb.grid import Grid
    from gridnb.notebook.session import Places, Session
    from gridnb.seats import Seat

__all__ = ["run_map"]

SHOW_AFTER = 2.0  # seconds until progress is shown
SHOW_EVERY = 0.4
GROW_EVERY = 1.0


def run_map(cell: Cell, session: Session, shell: Any, follow: Callable[[Footer], None]) -> None:
    """Run the body for every value; the list of the last expressions becomes ``Out[n]``.

    Raises
    ------
    BaseException
        The first error of a body, which names the value; what was finished is kept
        under ``--into``.
    """
    with stoppable(session):
        _run_map(cell, session, shell, follow)


def _run_map(cell: Cell, session: Session, shell: Any, follow: Callable[[Footer], None]) -> None:
    assert cell.pieces is not None
    name, values = cell.names[0], [piece[cell.names[0]] for piece in cell.pieces]
    say = Progress(shell, cell.quiet)
    places = session.places(cell.ask, say)
    grid = session.connected()
    mapping = _Map(grid, cell, shell, name, values, places)
    title = label(count_of(shell), cell.body)
    grid.client.announce(mapping.run, title, "running")
    state = "failed"
    try:
        with cancellable(grid, mapping.run, session):
            mapping.work(Progress(shell, cell.quiet))
        state = "done"
    finally:
        grid.client.announce(mapping.run, title, state)
        results = mapping.finished()
        if cell.into:
            shell.user_ns[cell.into] = results
        if state == "done":
            _give(results, shell)
        if not cell.quiet:
            _show(mapping, state, session, shell, follow)


def _show(
    mapping: _Map, state: str, session: Session, shell: Any, follow: Callable[[Footer], None]
) -> None:
    footer = Footer(
        run=mapping.run,
        rates=rates(mapping.grid),
        sites=tuple(sorted(mapping.used)),
        seconds=mapping.seconds,
        cost=mapping.cost(),
        left=session.left,
        failed=state == "failed",
        notes=mapping.notes(),
    )
    mapping.flush()
    footer.show(shower(shell))
    follow(footer)


def _give(results: list[Any], shell: Any) -> None:
    sink = CellSink(shell)
    sink.result(*shell.display_formatter.format(results))
    sink.value(results)


class _Map:
    """The values, the threads that take them one by one, and what came of them."""

    def __init__(
        self, grid: Grid, cell: Cell, shell: Any, name: str, values: list[Any], places: Places
    ) -> None:
        from gridnb.cells.pack import pack
        from gridnb.config import settings

        self._fetch_limit = settings().fetch_limit
        self.grid, self.cell, self.shell = grid, cell, shell
        self.name, self.values, self.places = name, values, places
        self.run = grid.new_run()
        self.used: set[str] = set()
        self.seconds = 0.0
        self._packed: Packed = pack(cell.body, shell.user_ns, shell=shell, without=[name])
        self._outcomes: dict[int, Outcome] = {}
        self._busy: dict[int, Seat] = {}
        self._spent: list[tuple[Seat, float]] = []
        self._threads: list[threading.Thread] = []
        self._sink = CellSink(shell)
        self._next = 0
        self._seatless: tuple[int, BaseException] | None = None
        self._failure: tuple[int, BaseException] | None = None
        self._stopping = False
        self._condition = threading.Condition(threading.RLock())
        self._sinks = [HeldSink(self._changed) for _ in values]

    def _changed(self) -> None:
        with self._condition:
            self._condition.notify_all()

    # in the kernel's main thread

    def work(self, say: Progress) -> None:
        """Run all, passing output on in order; returns when the last has ended."""
        began = time.monotonic()
        try:
            self._watch(began, say)
        finally:
            self._end()
            self.seconds = time.monotonic() - began
            self._pass_on()
            self.grid.seats.drop_idle()
        failure = self._failure
        if failure is None and len(self._outcomes) < len(self.values):
            failure = self._seatless
        if failure is not None:
            raise self._named(*failure)

    def _end(self) -> None:
        """Stop what still runs and wait for it.

        A thread that waits for a core finds nothing to do, and ends by itself.
        """
        self._stop()
        with self._condition:
            while not self._condition.wait_for(lambda: not self._busy, 0.3):
                # One that was just beginning has not felt the interrupt.
                self._stop()

    def _grow(self) -> None:
        """Start a thread for each core that is up and has none yet."""
        if not self.values:
            return
        workers = self.grid.status()["workers"]
        up = [w for w in workers if w["state"] == "running" and self._fits(w)]
        cores = max(sum(each["cores"] for each in up), 1)
        for n in range(len(self._threads), min(cores, len(self.values))):
            thread = threading.Thread(target=self._take, name=f"gridnb-map-{n}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _fits(self, worker: dict[str, Any]) -> bool:
        lease = self.places.lease
        return worker["site"] in self.places.sites and lease in (None, worker["lease"])

    def _watch(self, began: float, say: Progress) -> None:
        grown, shown = 0.0, began + SHOW_AFTER - SHOW_EVERY
        told = False
        while not grown or not self._over():
            now = time.monotonic()
            if now - grown >= GROW_EVERY and self._next < len(self.values):
                self._grow()
            grown = now if now - grown >= GROW_EVERY else grown
            with self._condition:
                self._condition.wait(0.1)
            self._pass_on()
            if now - shown >= SHOW_EVERY:
                shown, told = now, True
                self._tell(say, now - began)
        if told:
            self._tell(say, time.monotonic() - began)

    def _over(self) -> bool:
        with self._condition:
            if self._busy:
                return False
            done = len(self._outcomes) == len(self.values)
            idle = not any(thread.is_alive() for thread in self._threads)
            return done or idle or self._failure is not None

    def _tell(self, say: Progress, seconds: float) -> None:
        done, total = len(self._outcomes), len(self.values)
        where = ", ".join(sorted(self.used))
        text = f"{done} of {total} · {format_seconds(round(seconds))} · {where}"
        width = 100 * done // total
        bar = (
            '<span style="display:inline-block;vertical-align:middle;width:120px;height:6px;'
            'border-radius:3px;margin-right:8px;background:var(--jp-border-color2,rgba(128,128,128,.35))">'
            f'<span style="display:block;width:{width}%;height:6px;border-radius:3px;'
            'background:var(--jp-brand-color1,#1976d2)"></span></span>'
        )
        say(text, bar + html.muted(text))

    def _pass_on(self) -> None:
        """Show the output of all that have ended, and of the first that has not, as it comes."""
        for n, held in enumerate(self._sinks):
            held.give(self._sink)
            if n not in self._outcomes:
                return

    def flush(self) -> None:
        """Let what was written be seen before what comes."""
        self._sink.flush()

    def _stop(self) -> None:
        """Let nobody take another value, and interrupt what still runs."""
        with self._condition:
            self._stopping = True
            for seat in self._busy.values():
                seat.connection.interrupt()

    def _named(self, n: int, error: BaseException) -> BaseException:
        """Add to an error which value it was, and what became of the others."""
        value = self._short(n)
        kept = f"{len(self._outcomes_ok())} of {len(self.values)} results are in "
        kept += self.cell.into or "no name (--into NAME keeps them)"
        text = f"--map: {self.name} = {value}, value {n + 1} of {len(self.values)}; {kept}"
        if isinstance(error, GridError) and not hasattr(error, "_render_traceback_"):
            error.args = (f"{error} ({text})", *error.args[1:])
        else:
            from gridnb.cells.outcome import add_note

            add_note(error, text)
        return error

    def _short(self, n: int) -> str:
        text = repr(self.values[n])
        return text if len(text) <= 60 else text[:59] + "…"

    # what came of it

    def _outcomes_ok(self) -> list[int]:
        return sorted(n for n, outcome in self._outcomes.items() if outcome.ok)

    def finished(self) -> list[Any]:
        """Return the results that there are, in the order of the values."""
        return [self._outcomes[n].value for n in self._outcomes_ok()]

    def cost(self) -> Decimal:
        """Return an estimate of what it cost."""
        how = rates(self.grid)
        costs = (how.estimate(seat.rate, seat.cores, took) for seat, took in self._spent)
        return sum(costs, Decimal(0))

    def notes(self) -> list[str]:
        """Say what is missing, and what stayed at a site."""
        found = []
        missing = [n for n in range(len(self.values)) if n not in self._outcomes_ok()]
        if missing:
            named = ", ".join(self._short(n) for n in missing[:8])
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            found.append(f"no result for {self.name} = {named}{more}")
        remote = sum(bool(outcome.remote) for outcome in self._outcomes.values())
        if remote:
            found.append(f"{remote} results stayed at their site (.fetch() brings one here)")
        said = [text for outcome in self._outcomes.values() for text in warnings(outcome)]
        return [*found, *dict.fromkeys(said)]

    # in threads

    def _take(self) -> None:
        try:
            with self.grid.seats.borrow(self.places.sites, self.places.lease) as seat:
                while (n := self._value(seat)) is not None:
                    self._one(seat, n)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._fail(self._next, error)

    def _value(self, seat: Seat) -> int | None:
        with self._condition:
            if self._stopping or self._failure is not None or self._next >= len(self.values):
                return None
            n, self._next = self._next, self._next + 1
            self._busy[n] = seat
            self.used.add(seat.site)
            return n

    def _one(self, seat: Seat, n: int) -> None:
        began, outcome = time.monotonic(), None
        try:
            outcome = self.grid.seats.run(seat, self._run_of(n), self._sinks[n])
        except CellLost as error:
            self._fail(n, why_lost(self.grid, seat, error))
            raise
        except BaseException as error:
            self._fail(n, error)
            raise
        finally:
            with self._condition:
                del self._busy[n]
                self._spent.append((seat, time.monotonic() - began))
                if outcome is not None:
                    self._outcomes[n] = outcome
                self._condition.notify_all()
        if outcome.error is not None:
            self._fail(n, outcome.error)

    def _run_of(self, n: int) -> Run:
        from gridnb.cells.call import Run

        return Run(
            self.run,
            self.cell.body,
            self.shell.user_ns,
            count=count_of(self.shell),
            shell=self.shell,
            packed=self._packed,
            bindings={self.name: self.values[n]},
            returns="result",
            fetch_limit=self._fetch_limit,
            first=self.cell.first,
        )

    def _fail(self, n: int, error: BaseException) -> None:
        """Keep the first error; what else is under way is interrupted and does not count."""
        with self._condition:
            if self._failure is not None or self._stopping:
                return
            failure = (min(n, len(self.values) - 1), error)
            if isinstance(error, HubError) and (self._busy or self._outcomes):
                # One seat fewer: the others go on, if there are any.
                self._seatless = failure
                return
            self._failure = failure
        self._stop()
