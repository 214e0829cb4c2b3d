"""The demo on the screen: what is on offer, what runs and costs, what came of it, the bill."""

from __future__ import annotations

import json
import queue
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.spinner import Spinner
from rich.text import Text

from gridnb.catalog import load
from gridnb.config import settings
from gridnb.demo.play import CELL_TIMEOUT, TEMPLATE, template
from gridnb.demo.watch import Watch
from gridnb.errors import GridError, HubError
from gridnb.ledger import Charge, Ledger
from gridnb.playing import Event, Player, Step
from gridnb.tables import bill_rows, bill_table, budget_bar, sites_table, status_view

__all__ = ["ACCOUNT", "REQUEST", "run"]

#: The budget that the demo spends from; each run begins a new period of it.
ACCOUNT = "gridnb demo"
CURRENCY = "GD"
#: What the notebook asks for.
REQUEST = {"cores": 8, "regions": "eu"}

_INTERRUPTED = "interrupted"
_TICK = 0.3
_LINES = 9
_WIDE = 120
_HEADINGS = {
    "quote": "A request and its quote",
    "request": "The workers start",
    "decades": "1. A Dask DataFrame: how late are old planes?",
    "map": "2. A function over many inputs: how sure are the delays?",
    "weather": "3. A %%grid cell with Dask inside: what does the weather do?",
    "check-decades": "Checked against pandas on one machine",
}
_CHECKS = {
    "check-decades": "1: the same as pandas says, to a part in 10⁹",
    "check-map": "2: the same as numpy says, to the last bit",
    "check-weather": "3: the same as numpy says, to a part in 10⁶",
}


def run(directory: str, *, as_json: bool = False) -> int:
    """Run the demo; returns 0, 1 if it did not get to its end, 130 after Ctrl-C.

    Raises
    ------
    GridError
        If it cannot begin.
    """
    watch = Watch(ACCOUNT)
    _new_period(watch)
    book = template()
    place = Path(directory)
    _make(place)
    wide = None if sys.stdout.isatty() or sys.stderr.isatty() else _WIDE
    screen = Console(stderr=as_json, highlight=False, width=_columns(wide))
    path = place / TEMPLATE.name
    with tempfile.TemporaryDirectory(prefix="gridnb-demo-") as scratch:
        player = Player(book, place, Path(scratch), before=_before(watch), timeout=CELL_TIMEOUT)
        return _Show(screen, watch, player, path).run(as_json=as_json)


def _columns(wide: int | None) -> int | None:
    import os

    return None if "COLUMNS" in os.environ else wide


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GridError(
            f"--directory {place}: it cannot be made ({error.strerror}); name another"
        ) from None


def _before(watch: Watch) -> Callable[[Step], None]:
    def before(step: Step) -> None:
        """Ask when the answer is still what the notebook gets, and leave before the grid ends."""
        if step.name == "quote":
            watch.ask(**REQUEST)
        elif step.name == "close":
            watch.leave()

    return before


def _new_period(watch: Watch) -> None:
    """Begin with a budget of which nothing is spent; what was spent before stays on record."""
    if running := watch.running():
        hub = running[0]
        raise HubError(
            f"a demo is running (grid {hub.id}); let it end, or end it with "
            f"`gridnb release {hub.id} --end`"
        )
    with Ledger(settings().ledger) as ledger:
        if ledger.open_account(ACCOUNT, CURRENCY).charged:
            ledger.reset(ACCOUNT, CURRENCY)


class _Show:
    """Follows a notebook that is played, and says what it does."""

    def __init__(self, screen: Console, watch: Watch, player: Player, path: Path) -> None:
        self.screen, self.watch, self.player, self.path = screen, watch, player, path
        self.began = time.monotonic()
        self._step: Step | None = None
        self._step_began = self.began
        self._status: dict[str, Any] | None = None
        self._spinner = Spinner("dots")

    def run(self, *, as_json: bool) -> int:
        """Play the notebook to its end; clean up whatever happens."""
        import nbformat

        self._open()
        self.player.start()
        failure: str | None = _INTERRUPTED
        try:
            failure = self._follow()
        except KeyboardInterrupt:
            self.screen.print("ending the demo …")
        finally:
            self.player.stop()
            self.watch.end()
            nbformat.write(self.player.book, self.path)
        if failure is not None:
            return self._failed(failure)
        return self._close(as_json=as_json)

    # while it runs

    def _open(self) -> None:
        catalog = load("demo")
        self.screen.print(Text("gridnb at work", style="bold"))
        self.screen.print(
            "Real data: the 336,776 flights that left New York in 2013, with planes and weather. "
            "The sites are [bold]simulated[/]: real processes on this machine; speed, delays, "
            "links and prices are modelled. GD is no real money, a second is billed as a minute."
        )
        self._heading("The sites")
        self.screen.print(sites_table(catalog, width=self.screen.width))

    def _heading(self, text: str) -> None:
        self.screen.print()
        self.screen.print(Rule(Text(text, style="bold"), align="left", style="dim"))

    def _follow(self) -> str | None:
        """Show events and, between them, the meter; returns what went wrong, or None."""
        with Live(
            console=self.screen, auto_refresh=False, transient=True, vertical_overflow="crop"
        ) as live:
            while True:
                try:
                    event = self.player.events.get(timeout=_TICK)
                except queue.Empty:
                    self._look()
                    live.update(self._meter(), refresh=True)
                    continue
                if event.what in ("failed", "ended"):
                    return event.text if event.what == "failed" else None
                live.update(self._meter(), refresh=True)
                self._take(event)

    def _look(self) -> None:
        try:
            self._status = self.watch.status()
        except GridError:
            self._status = None  # it is ending; the notebook says so

    def _meter(self) -> RenderableType:
        doing = self._step.title if self._step else "starting a kernel and a hub"
        seconds = time.monotonic() - self._step_began
        self._spinner.update(text=Text(f"{doing} · {seconds:.0f} s"))
        if self._status is None:
            return Group(Text(), self._spinner)
        return Group(
            Text(), self._spinner, Padding(status_view(self._status, runs=4), (1, 0, 0, 2))
        )

    def _take(self, event: Event) -> None:
        step = event.step
        assert step is not None
        if event.what == "begins":
            self._step, self._step_began = step, time.monotonic()
            if step.name in _HEADINGS:
                self._heading(_HEADINGS[step.name])
            return
        self._done(step)

    def _done(self, step: Step) -> None:
        if step.name == "quote":
            self.screen.print(self.watch.quoted or step.text())
        elif step.name == "request":
            self._look()
            self.screen.print(f"all are up after {step.seconds:.1f} s")
            self._print_budget()
        elif step.name in ("decades", "map", "weather"):
            self.screen.print(Text(_shortened(step.text("execute_result"))))
            self.screen.print(Text(step.text("display_data"), style="dim"))
            self._look()
            self._print_budget()
        elif step.name == "release":
            self._heading("Released")
            self.screen.print(Text(step.text("display_data")))
        elif step.name in _CHECKS:
            self.screen.print(f"[green]✓[/] {_CHECKS[step.name]} ({step.seconds:.1f} s here)")

    def _print_budget(self) -> None:
        if self._status is not None:
            self.screen.print(budget_bar(self._status["budget"]))

    # the end

    def _failed(self, why: str) -> int:
        left = self.watch.processes()
        ended = "the grid has ended" if not left else f"{left} processes are left: `gridnb reap`"
        self.screen.print(
            Text(f"\nThe demo did not get to its end: {why}; {ended}; see {self.path}"), style="red"
        )
        return 130 if why == _INTERRUPTED else 1

    def _close(self, *, as_json: bool) -> int:
        left = self.watch.processes()
        with Ledger(settings().ledger) as ledger:
            charges = list(ledger.charges(grid=self.watch.id))
            account = ledger.account(ACCOUNT, CURRENCY)
            findings = ledger.audit()
        assert account is not None
        total = sum((charge.amount for charge in charges), Decimal(0))
        well = not left and not findings and not account.held and total == account.charged
        self._bill(charges, total, account.charged, findings, left)
        if as_json:
            sys.stdout.write(json.dumps(self._data(charges, total, left), indent=2) + "\n")
        else:
            self._next()
        return int(not well)

    def _bill(
        self,
        charges: list[Charge],
        total: Decimal,
        charged: Decimal,
        findings: list[str],
        left: int,
    ) -> None:
        self._heading("The bill, by site")
        self.screen.print(bill_table("site", bill_rows(charges, "site")))
        self._heading("The bill, by run")
        self.screen.print(bill_table("run", bill_rows(charges, "run")))
        self.screen.print()
        self._tell(total == charged, f"{len(charges)} charges: {total:f} {CURRENCY}; "
                   f"the ledger: {charged:f} {CURRENCY}")  # fmt: skip
        self._tell(not findings, findings[0] if findings else "the ledger was audited: sound")
        self._tell(not left, f"{left or 'no'} process of the grid is left")

    def _tell(self, ok: bool, text: str) -> None:
        mark, style = ("✓", "green") if ok else ("✗", "red")
        self.screen.print(Text.assemble((f"{mark} ", style), text))

    def _data(self, charges: list[Charge], total: Decimal, left: int) -> dict[str, Any]:
        def plain(what: str) -> list[dict[Any, Any]]:
            return [
                {key: f"{v:f}" if isinstance(v, Decimal) else v for key, v in row.items()}
                for row in bill_rows(charges, what)
            ]

        quoted = self.watch.quoted
        return {
            "grid": self.watch.id,
            "account": ACCOUNT,
            "notebook": str(self.path),
            "quote": None if quoted is None else json.loads(quoted.to_json()),
            "checked": list(_CHECKS.values()),
            "total": f"{total:f}",
            "currency": CURRENCY,
            "by_site": plain("site"),
            "by_run": plain("run"),
            "processes_left": left,
            "seconds": round(time.monotonic() - self.began, 1),
        }

    def _next(self) -> None:
        self._heading("What next")
        seconds = time.monotonic() - self.began
        self.screen.print(
            f"All of this was a notebook, run in {seconds:.0f} s. Open it and change it:\n"
            f"    jupyter lab {self.path}\n"
            "In a notebook of yours:\n"
            "    %load_ext gridnb\n"
            '    %grid connect demo --budget "5 GD"\n'
            "and [bold]%%grid[/] on a cell. `%grid connect here` uses this machine alone, free.\n"
            "In a terminal:  gridnb sites  ·  gridnb status --watch  ·  gridnb bill --by run",
        )


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= _LINES + 1:
        return text
    return "\n".join([*lines[: _LINES - 4], f"… and {len(lines) - _LINES + 4} lines more"])
