"""The panel of a grid: meter, request form, sites, leases, runs and bill, live in the notebook.

It is shown twice in one place: as widgets, and, hidden while these live, as HTML that
stays behind in the saved notebook. Where there are no widgets only the latter is shown.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from gridnb.units import Money
from gridnb.widgets import controls
from gridnb.widgets.display import shower
from gridnb.widgets.panel.model import Model, Snapshot, Steered
from gridnb.widgets.panel.static import static_html, static_text

__all__ = ["Panel"]

SAVE_EVERY = 30.0  # seconds between two refreshes of what stays behind

NO_WIDGETS = (
    "this front end shows no widgets (or ipywidgets is not installed): run the cell again for a "
    "newer state; `%grid request`, `%grid budget`, `%grid release` and `%grid cancel RUN` do what "
    "the buttons would"
)
_VIEW = "application/vnd.jupyter.widget-view+json"
# JupyterLab writes an error where a widget was that is gone; the form above says it all.
_GONE = (
    "<style>.jp-OutputArea-child:has(.{twin}) + .jp-OutputArea-child:has(.jupyter-widgets)"
    ":not(:has(.jupyter-widgets *)){{display:none}}</style>"
)


class Panel:
    """A grid's panel; shows itself as the value of a cell, and lives until it or the grid closes.

    Parameters
    ----------
    grid
        A :class:`gridnb.Grid`.
    lease
        Takes a lease on keywords of a request, and returns what there is to say.
    set_budget
        Sets the cap.
    """

    def __init__(
        self,
        grid: Steered,
        *,
        lease: Callable[[dict[str, Any]], str] | None = None,
        set_budget: Callable[[Money], None] | None = None,
    ) -> None:
        self._grid = grid
        self._model = Model.of(grid)
        self._name = uuid.uuid4().hex
        self._shell: Any = None
        self._lock = threading.Lock()
        self._saved = time.monotonic()
        self._last = self._model.now()
        self._view: Any = None
        self.closed = False
        if controls.widgets():
            from gridnb.widgets.panel.view import PanelView

            self._view = PanelView(
                self._model,
                lease or self._lease,
                set_budget or grid.set_budget,
                self._closed_by_click,
                self._twin,
            )
            self._view.begin(self._last)
            self._model.watch(self._take)

    def _lease(self, request: dict[str, Any]) -> str:
        lease = self._grid.request(self._grid.quote(**request))
        return f"leased {', '.join(f'{e.count} × {e.site} {e.offer}' for e in lease.quote.lines)}"

    @property
    def _twin(self) -> str:
        return f"gridnb-panel-{self._name}"

    # showing

    def _ipython_display_(self) -> None:
        from IPython import get_ipython

        self._shell = get_ipython()
        self._publish(False)
        if self._view is not None and not self.closed:
            self._show({_VIEW: self._model_id(), "text/plain": "(live panel)"}, "live", False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        note = "" if self._view is not None else NO_WIDGETS
        bundle: dict[str, Any] = {
            "text/html": static_html(self._last, note),
            "text/plain": static_text(self._last, note),
        }
        if self._view is not None and not self.closed:
            bundle[_VIEW] = self._model_id()
        return bundle

    def __repr__(self) -> str:
        return f"<Panel of grid {self._grid.id}{', closed' if self.closed else ''}>"

    def _model_id(self) -> dict[str, Any]:
        return {"version_major": 2, "version_minor": 0, "model_id": self._view.widget.model_id}

    def _publish(self, update: bool) -> None:
        """Show what stays behind, or show it anew."""
        bundle = self._repr_mimebundle_()
        bundle.pop(_VIEW, None)
        if self._view is not None and not self.closed:
            markup = f'<div class="{self._twin}">{bundle["text/html"]}</div>'
            bundle["text/html"] = markup + _GONE.format(twin=self._twin)
        self._show(bundle, "static", update)
        self._saved = time.monotonic()

    def _show(self, bundle: dict[str, Any], part: str, update: bool) -> None:
        if self._shell is not None:
            shower(self._shell)(bundle, f"{self._name}-{part}", update)

    # living

    def _take(self, snapshot: Snapshot) -> None:
        """Show a snapshot (in the model's thread)."""
        if snapshot.over:
            self._end(snapshot)
            return
        with self._lock:
            if self.closed:
                return
            self._last = snapshot
            self._view.show(snapshot)
            if time.monotonic() > self._saved + SAVE_EVERY:
                self._publish(True)

    def _closed_by_click(self) -> None:
        threading.Thread(target=self.close, name="gridnb-panel-close", daemon=True).start()

    def close(self) -> None:
        """Leave the state as it is now, as plain HTML; the grid runs on."""
        self._model.unwatch(self._take)
        self._end(self._last)

    def _end(self, snapshot: Snapshot) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed, self._last = True, snapshot
        if self._view is None:
            return
        self._view.close()
        self._publish(True)
        self._show({"text/plain": ""}, "live", True)
