"""The panel's widgets, put together; each part shows what a snapshot says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from gridnb.units import Money
from gridnb.widgets import controls, tables, traffic
from gridnb.widgets.live import Button
from gridnb.widgets.panel import pieces
from gridnb.widgets.panel.budget import Budget
from gridnb.widgets.panel.figures import CostOverTime
from gridnb.widgets.panel.form import Form
from gridnb.widgets.panel.model import RUNS, Model, Snapshot
from gridnb.widgets.panel.rows import Entry, Rows
from gridnb.widgets.panel.tasks import Tasks, told

__all__ = ["PanelView"]

_PART = {"flex": "1 1 380px", "min_width": "0", "max_width": "100%"}
_WRAP = {"flex_flow": "row wrap", "grid_gap": "0 24px", "width": "100%"}


class PanelView:
    """All widgets of one panel; :attr:`widget` is the outermost."""

    def __init__(
        self,
        model: Model,
        lease: Callable[[dict[str, Any]], str],
        set_budget: Callable[[Money], None],
        close: Callable[[], None],
        twin: str,
    ) -> None:
        self._model, self._tasks = model, Tasks()
        grid = model.grid
        self._head = ipywidgets.HTML(layout={"flex": "1 1 auto", "min_width": "0"})
        self._close = Button(description="Close", layout={"width": "64px", "flex": "0 0 auto"})
        self._close.on_click(lambda _: close())
        self._problem, self._hint = ipywidgets.HTML(), ipywidgets.HTML()
        self._meter = ipywidgets.HTML()
        self._figure = CostOverTime(grid.catalog.names, grid.currency)
        self._no_figure = ipywidgets.HTML(pieces.faint("nothing was charged yet"))
        self._chart = ipywidgets.VBox([self._no_figure])
        self._budget = Budget(grid.currency, self._then(set_budget), self._tasks)
        self._form = Form(grid.catalog, grid.quote, self._then(lease), grid.consent, self._tasks)
        self._sites, self._traffic = ipywidgets.HTML(), ipywidgets.HTML()
        self._leases = Rows("Release", "releasing…", self._then(self._release), self._tasks)
        self._runs = Rows("Cancel", "cancelling…", self._then(self._cancel), self._tasks, RUNS)
        self._ended = ipywidgets.HTML()
        self._bill = Bill(self._read_bill, self._tasks)
        self.widget = self._layout(twin)

    def _layout(self, twin: str) -> Any:
        # The saved form stands above this one, and is hidden while this one is there.
        style = ipywidgets.HTML(f"<style>.{twin}{{display:none}}</style>")
        style.layout.display = "none"
        left = _box(
            _titled("meter", self._meter, self._budget.widget),
            _titled("cost over time", self._chart),
        )
        right = _box(_titled("request workers", self._form.widget))
        return ipywidgets.VBox(
            [
                style,
                ipywidgets.HBox([self._head, self._close]),
                self._problem,
                ipywidgets.HBox([left, right], layout=_WRAP),
                _titled("sites", self._sites, self._traffic),
                _titled("leases", self._leases.widget),
                _titled("runs", self._hint, self._runs.widget, self._ended),
                _titled("bill", self._bill.widget),
            ]
        )

    def begin(self, snapshot: Snapshot) -> None:
        """Show the first snapshot, and quote what the form starts with."""
        self.show(snapshot)
        self._form.begin()

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot: what has not changed is not sent."""
        status = snapshot.status
        self._head.value = pieces.head(status)
        self._problem.value = pieces.problem(f"✗ {snapshot.problem}" if snapshot.problem else "")
        live = controls.live()
        self._hint.value = pieces.faint("" if live else controls.HINT)
        self._meter.value = pieces.meter(snapshot)
        self._budget.show(status)
        self._form.show(status)
        if self._figure.show(snapshot.series) and self._chart.children[0] is self._no_figure:
            self._chart.children = (self._figure.widget,)
        self._sites.value = pieces.sites(snapshot)
        self._traffic.value = traffic.table(status)
        self._leases.show(_leases(status), "no leases")
        self._runs.show(_runs(status, deaf=controls.widgets() and not live), "nothing runs")
        self._ended.value = pieces.runs_ended(snapshot, RUNS)

    def close(self) -> None:
        """Close all widgets, and wait for what their buttons had begun."""
        self._tasks.stop()
        for each in list(_all(self.widget)):
            each.close()
        self._figure.widget.close()

    # what buttons do, each in a thread

    def _then(self, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Look at the grid right after it."""

        def both(what: Any) -> Any:
            try:
                return work(what)
            finally:
                self._model.look()

        return both

    def _cancel(self, run: str) -> str:
        self._model.grid.cancel(run)
        return ""

    def _release(self, lease: str) -> str:
        self._model.grid.release(lease)
        return ""

    def _read_bill(self) -> str:
        status = self._model.now().status
        return tables.bill(self._model.grid.bill(), [], status["grid"])._repr_mimebundle_()[
            "text/html"
        ]


class Bill:
    """A bill when it is asked for; `read` gets it as HTML, in a thread."""

    def __init__(self, read: Callable[[], str], tasks: Tasks) -> None:
        self._read, self._tasks = read, tasks
        self._html = ipywidgets.HTML()
        self._button = Button(description="Show the bill", layout={"width": "auto"})
        self._button.on_click(lambda _: tasks.do(self._show))
        self.widget = ipywidgets.VBox(
            [self._button, self._html], layout={"align_items": "flex-start", "max_width": "100%"}
        )

    def _show(self) -> None:
        said = told(self._read)
        self._html.value = pieces.problem(said) if said.startswith("✗") else said
        self._button.description = "Show it anew"


def _leases(status: dict[str, Any]) -> list[Entry]:
    return [
        Entry(lease["id"], pieces.lease_row(lease, status), lease["state"] == "active")
        for lease in status["leases"]
        if lease["state"] != "ended"
    ]


def _runs(status: dict[str, Any], *, deaf: bool) -> list[Entry]:
    """List what goes on; `deaf`: no button is heard before a cell has ended."""
    currency = status["budget"]["currency"]
    return [
        Entry(
            run["id"],
            pieces.run_row(run, currency),
            run["kind"] != "dask",
            "interrupt ■" if deaf and run["kind"] == "cell" else "",
        )
        for run in reversed(status["runs"])
        if run["state"] in pieces.ACTIVE
    ]


def _titled(name: str, *widgets: Any) -> Any:
    return ipywidgets.VBox(
        [ipywidgets.HTML(pieces.heading(name)), *widgets],
        layout={"width": "100%", "min_width": "0"},
    )


def _box(*widgets: Any) -> Any:
    return ipywidgets.VBox(widgets, layout=_PART)


def _all(widget: Any) -> Any:
    for child in getattr(widget, "children", ()):
        yield from _all(child)
    yield widget
