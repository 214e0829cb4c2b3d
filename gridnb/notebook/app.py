"""A function as an application: somebody fills in a form, and the grid and the bill stay behind it.

A page has a kernel, and an application in it has a grid of its own, which is there from the
first run on and ends with the kernel. The budget is that of an account, so all pages share it.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError
from gridnb.notebook.appprice import Price, left_of, price
from gridnb.units import Money, format_seconds, parse_money
from gridnb.widgets import controls

if TYPE_CHECKING:
    from gridnb.broker import Quote
    from gridnb.catalog import Catalog
    from gridnb.grid import Grid, Lease
    from gridnb.jobs.job import Job

__all__ = ["App"]

EVERY = 0.3  # seconds between two updates of what a run shows
GONE = 150.0  # seconds without a sign of the page after which what runs for it is ended
SETTLED = 2.6  # seconds after a run's end until its cost is final

_BLUE, _RED = "var(--jp-brand-color1,#1976d2)", "var(--jp-error-color1,#c62828)"
_ORANGE = "var(--jp-warn-color1,#f57c00)"
_COLOURS = {
    "done": "var(--jp-success-color1,#388e3c)",
    "cancelled": _ORANGE,
    "failed": _RED,
    "lost": _RED,
}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class App:
    """A form, a price before the button, and a run on the grid behind it.

    Parameters
    ----------
    function
        What runs, as a job at a site. Its parameters are the fields of the form; its docstring's
        first line stands below the title. What it returns is shown, what it prints too.
    title
        By default the function's name.
    catalog, budget, account
        As for :class:`gridnb.Grid`; the account's default is the notebook's path.
    request
        Keywords of a request, like ``{"cores": 2}``. A tuple, list or dict is one more field of
        the form, and the price follows it: ``{"cores": (1, 8)}``.
    fields
        Abbreviations of :func:`ipywidgets.interact` for parameters of the function, or widgets.

    Raises
    ------
    GridError
        If ipywidgets is not installed, a parameter has no field, or catalog or budget are wrong.

    Examples
    --------
    >>> def delays(origin, sample=10_000): ...  # doctest: +SKIP
    >>> gridnb.App(delays, origin=["EWR", "JFK", "LGA"], budget="2 GD")  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Callable[..., Any],
        /,
        *,
        title: str | None = None,
        catalog: str | Path | Catalog | None = None,
        budget: str | Money | None = None,
        account: str | None = None,
        request: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        from gridnb.catalog import load
        from gridnb.config import settings
        from gridnb.fixed import fixed
        from gridnb.grid import default_account

        _need_widgets()
        from gridnb.widgets.appview import AppView
        from gridnb.widgets.form import Form
        from gridnb.widgets.presence import Presence

        if (bounds := fixed()) is not None:
            catalog, budget, account = bounds.within(catalog, budget, account)
        self.function, self.account = function, account or default_account()
        self.catalog = load(catalog if catalog is not None else settings().catalog)
        self.budget = None if budget is None else parse_money(budget, what="budget")
        self._form = Form(function, fields, request or {})
        name = getattr(function, "__name__", "app").replace("_", " ")
        about = (function.__doc__ or "").strip().partition("\n")[0]
        self._view = AppView(title or name.capitalize(), about, self._form)
        self._grid: Grid | None = None
        self._lease: Lease | None = None
        self._job: Job | None = None
        #: Voilà's pages are closed, and nobody can come back to what runs in them.
        self._presence = Presence() if _in_voila() else None
        if self._presence is not None:
            self._view.add(self._presence.widget)
        self._cancelled = threading.Event()
        self._lock = threading.RLock()
        self._busy = False
        self._runs = 0
        self._form.on_more(self._reprice)
        self._view.on_run(self._pressed)
        self._view.on_cancel(self._cancel)
        self._reprice()

    @property
    def widget(self) -> Any:
        """The box of widgets, to be put into a layout of yours."""
        return self._view.box

    def close(self) -> None:
        """End what runs, and the grid with its workers."""
        grid, self._grid = self._grid, None
        if grid is not None:
            atexit.unregister(self.close)
            grid.close()

    # the price

    def _currency(self) -> str:
        if self.budget is not None:
            return self.budget.currency
        return next(iter(self.catalog.currencies), "GD")

    def _price(self) -> Price:
        left = left_of(self.account, self._currency(), self.budget)
        found = price(self._form.more, self.catalog, left)
        quote = found.quote
        if quote is not None and not quote.free and left is None:
            return Price(None, None, why=f"it would cost {quote.rate} per hour, without a budget")
        return found

    def _reprice(self) -> None:
        """Show what is to be paid for what is chosen now, and whether it can be."""
        with self._lock:
            if self._busy:
                return
            found = self._price()
            self._view.price(found.parts(), found.tags())
            warm = self._warm(found.quote) is not None
            label = "Budget spent" if found.spent and not warm else "Run"
            self._view.ready(label, enabled=warm or not (found.spent or found.why))

    # a run

    def _pressed(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
            self._runs += 1
        self._cancelled.clear()
        self._view.busy()
        self._view.status("starting", ["looking for workers"], _BLUE)
        threading.Thread(
            target=self._run, args=[self._runs], name="gridnb-app", daemon=True
        ).start()

    def _cancel(self) -> None:
        self._cancelled.set()
        self._view.cancelling()
        if (job := self._job) is not None:
            threading.Thread(target=job.cancel, name="gridnb-cancel", daemon=True).start()

    def _run(self, number: int) -> None:
        job = None
        try:
            job = self._start()
            if job is not None:
                self._follow(job)
                self._ended(job)
            else:
                self._view.status("cancelled", ["before it began"], _ORANGE)
        except Exception as error:  # noqa: BLE001 - the page is the only one to tell
            self._view.status("not run", [], _RED)
            text, details = _told(error)
            self._view.error(*((str(error),) if isinstance(error, GridError) else (text, details)))
        if self._presence is not None:
            self._presence.listen(False)
        self._job = None
        self._busy = False
        self._reprice()
        if job is not None:
            time.sleep(SETTLED)
            self._settled(job, number)

    def _start(self) -> Job | None:
        """Have workers, and the function run on one; None if it was cancelled before."""
        values, found = self._form.values, self._price()
        lease = self._warm(found.quote)
        if lease is None:
            if found.quote is None or found.spent:
                raise GridError(" · ".join(found.parts()))
            self._release()
            grid = self._connected()
            if self._cancelled.is_set():
                return None
            grid.consent()  # who pressed the button has read the price, and the budget above it
            self._lease = lease = grid.request(**self._form.more)
        if self._cancelled.is_set():
            return None
        self._job = job = lease.submit(self.function, **values)
        if self._cancelled.is_set():
            job.cancel()
        return job

    def _connected(self) -> Grid:
        """Return the grid of this page; the first run starts it."""
        from gridnb.grid import Grid
        from gridnb.hub.places import Place

        if self._grid is not None and not Place.of(self._grid.id).alive:
            self._grid.disconnect()
            self._grid = None
        if self._grid is None:
            self._grid = Grid(self.catalog, self.budget, self.account)
            atexit.register(self.close)
        return self._grid

    def _warm(self, quote: Quote | None) -> Lease | None:
        """Return the lease of the last run if it is what is asked for now, and still there."""
        lease = self._lease
        if lease is None or quote is None or lease.quote.request != quote.request:
            return None
        return lease if _active(lease) else None

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None and _active(lease):
            lease.release()

    # what is seen of it

    def _follow(self, job: Job) -> None:
        if self._presence is not None:
            self._presence.listen(True)
        changed = threading.Event()
        job.on_change.append(changed.set)
        shown = -1
        while not job.done():
            sites = ", ".join(job.sites)
            parts = [format_seconds(round(job.seconds, 1)), *([sites] if sites else [])]
            state = "running" if job.state == "running" else "waiting for a worker"
            self._view.status(state, parts, _BLUE)
            if len(job.messages) != shown:
                shown = len(job.messages)
                self._view.output(job.messages[:shown])
            if self._presence is not None and self._presence.silent > GONE:
                job.cancel()
            changed.wait(1.0)
            changed.clear()
            time.sleep(EVERY)

    def _ended(self, job: Job) -> None:
        self._view.output(list(job.messages))
        try:
            self._show(job.result(0))
        except CancelledError:
            pass  # the line says so
        except BaseException as error:  # noqa: BLE001 - whatever the function raised
            self._view.error(*_told(error))
        self._charged(job, "≈ ")

    def _settled(self, job: Job, number: int) -> None:
        """Show what it has cost in the end, unless the next run has begun."""
        cost = job.cost
        with self._lock:
            if self._runs == number:
                self._charged(job, "", cost)
        self._reprice()

    def _charged(self, job: Job, about: str, cost: Money | None = None) -> None:
        cost = cost or job.cost
        parts = [format_seconds(round(job.seconds, 1))]
        parts += [", ".join(job.sites)] if job.sites else []
        parts.append(f"{about}{cost} charged" if cost else "nothing charged")
        if self._grid is not None and self.budget is not None:
            spent = self._grid.spent
            parts.append(f"{spent} of {self.budget} spent in all, with starting and waiting")
        self._view.status(job.state, parts, _COLOURS[job.state])

    def _show(self, value: Any) -> None:
        if value is None:
            return
        from IPython.core.getipython import get_ipython
        from IPython.core.interactiveshell import InteractiveShell

        shell: Any = get_ipython() or InteractiveShell.instance()
        self._view.result(*shell.display_formatter.format(value))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if controls.widgets():
            display(self._view.box)
            return
        words = "An app: there are no widgets here; `gridnb app` opens its notebook as a page."
        display({"text/plain": words}, raw=True)


def _in_voila() -> bool:
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def _active(lease: Lease) -> bool:
    try:
        return lease.state == "active"
    except GridError:  # its hub was lost, and the lease with it
        return False


def _need_widgets() -> None:
    try:
        import ipywidgets  # noqa: F401 - what the form is made of
    except ImportError:
        raise GridError(
            "an app needs ipywidgets; install it with `pip install 'gridnb[app]'`"
        ) from None


def _told(error: BaseException) -> tuple[str, str]:
    """Say an error in one line, and return where it happened."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    render = getattr(error, "_render_traceback_", None)
    lines = render() if callable(render) else []
    return text, _ANSI.sub("", "\n".join(lines or []))
