"""What a panel knows of its grid: asked for by one thread, however many panels there are."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from gridnb.errors import GridError

if TYPE_CHECKING:
    import pandas as pd

    from gridnb.broker import Quote
    from gridnb.catalog import Catalog
    from gridnb.units import Money

__all__ = ["Model", "Point", "Snapshot", "Steered"]

logger = logging.getLogger("gridnb.panel")

BUSY = 1.0  # seconds between two looks while workers are up or runs go on
QUIET = 2.0
LOST = 5.0  # seconds between two tries to reach a hub that does not answer
SERIES = 2.0  # seconds between two looks at the cost over time
RUNS = 30  # how many runs that have ended are shown
MOST_POINTS = 600  # of cost over time; with more all are asked for anew, thinned by the hub

#: Unix time, and what each site had cost by then.
Point = tuple[float, dict[str, Decimal]]


class Steered(Protocol):
    """What a panel needs of a :class:`gridnb.Grid`."""

    id: str
    account: str
    currency: str
    catalog: Catalog
    cluster: Any
    on_close: list[Callable[[], None]]

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""

    def quote(self, **request: Any) -> Quote:
        """Say what a request would cost."""

    def request(self, quote: Quote) -> Any:
        """Lease a quote."""

    def consent(self) -> None:
        """Agree to real money."""

    def release(self, lease: str) -> list[str]:
        """End a lease."""

    def cancel(self, run: str) -> None:
        """Stop a run."""

    def set_budget(self, cap: Money) -> None:
        """Set the cap."""

    def bill(self) -> pd.DataFrame:
        """Return the charges."""


@dataclass(frozen=True)
class Snapshot:
    """A grid at a moment.

    Attributes
    ----------
    status
        As :meth:`gridnb.Grid.status` gives it, without workers.
    series
        Cost over time by site.
    problem
        Why it could not be asked for, in a line; then the rest is what was known before.
    over
        Whether the grid was closed: nothing will change any more.
    """

    status: dict[str, Any]
    series: tuple[Point, ...] = ()
    problem: str = ""
    over: bool = False


_models: weakref.WeakKeyDictionary[Any, Model] = weakref.WeakKeyDictionary()
_models_lock = threading.Lock()


class Model:
    """Looks at a grid while somebody watches; all methods can be called from any thread."""

    def __init__(self, grid: Steered) -> None:
        self.grid = grid
        self._watchers: list[Callable[[Snapshot], None]] = []
        self._wake = threading.Condition()
        self._looking = threading.Lock()
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._last: Snapshot | None = None
        self._since: float | None = None
        self._seen: Point | None = None
        self._series_due = 0.0

    @classmethod
    def of(cls, grid: Steered) -> Model:
        """Return the one model of a grid."""
        with _models_lock:
            found = _models.get(grid)
            if found is None:
                found = _models[grid] = cls(grid)
                grid.on_close.append(found.stop)
            return found

    def now(self) -> Snapshot:
        """Return what is known, asked for now if nothing is."""
        with self._looking:
            self._last = self._last or self._look()
            return self._last

    def watch(self, watcher: Callable[[Snapshot], None]) -> None:
        """Call `watcher` with each snapshot, from a thread of this model's."""
        with self._wake:
            self._watchers.append(watcher)
            if self._thread is None and not self.grid.closed:
                self._thread = threading.Thread(target=self._run, name="gridnb-panel", daemon=True)
                self._thread.start()
                atexit.register(self._drop)

    def unwatch(self, watcher: Callable[[Snapshot], None]) -> None:
        """Call it no more; without a watcher the thread ends."""
        with self._wake:
            self._watchers = [each for each in self._watchers if each != watcher]
            self._wake.notify()
            thread = None if self._watchers else self._thread
        _join(thread)

    def look(self) -> None:
        """Look now, since something was done."""
        with self._wake:
            self._due = 0.0
            self._wake.notify()

    def stop(self) -> None:
        """Tell watchers how it stood, and end; called before the grid's connection is closed."""
        watchers = self._drop()
        if watchers:
            last = self._look()
            self._last = Snapshot(last.status, last.series, last.problem, over=True)
            for watcher in watchers:
                _tell(watcher, self._last)

    def _drop(self) -> list[Callable[[Snapshot], None]]:
        """End the thread; returns who was watching.

        When the kernel ends nobody is told: the front end has forgotten its widgets by then.
        """
        with self._wake:
            watchers, self._watchers = self._watchers, []
            self._wake.notify()
            thread = self._thread
        _join(thread)
        return watchers

    def _run(self) -> None:
        while (watchers := self._wait()) is not None:
            with self._looking:
                snapshot = self._last = self._look()
            for watcher in watchers:
                _tell(watcher, snapshot)

    def _wait(self) -> list[Callable[[Snapshot], None]] | None:
        """Wait until a look is due; returns who watches, or None when nobody does."""
        with self._wake:
            while self._watchers and time.monotonic() < self._due:
                self._wake.wait(self._due - time.monotonic())
            if not self._watchers:
                self._thread = None
                atexit.unregister(self._drop)
                return None
            self._due = time.monotonic() + QUIET
            return list(self._watchers)

    def _look(self) -> Snapshot:
        try:
            snapshot, pause = self._ask(), QUIET
        except (GridError, OSError, RuntimeError) as error:
            snapshot, pause = Snapshot(*self._known(), str(error)), LOST
        if snapshot.status["counts"]["runs_running"] or snapshot.status["leases"]:
            pause = BUSY if not snapshot.problem else LOST
        with self._wake:
            if self._due:  # else somebody wants it to look at once
                self._due = time.monotonic() + pause
        return snapshot

    def _known(self) -> tuple[dict[str, Any], tuple[Point, ...]]:
        return (self._last.status, self._last.series) if self._last else (_unknown(self.grid), ())

    def _ask(self) -> Snapshot:
        call = self.grid.cluster.call
        return Snapshot(call("status", runs=RUNS, workers=False), self._ask_series(call))

    def _ask_series(self, call: Any) -> tuple[Point, ...]:
        """Add what is new to the cost over time, now and then."""
        known = self._last.series if self._last else ()
        if time.monotonic() < self._series_due:
            return known
        self._series_due = time.monotonic() + SERIES
        if len(known) > MOST_POINTS:
            known, self._since, self._seen = (), None, None
        answer = call("series", since=self._since)
        if not answer["points"]:
            return known
        self._since = answer["points"][-1][0]
        offset = time.time() - answer["now"]
        new = [(t + offset, _amounts(costs)) for t, costs in answer["points"]]
        seen, self._seen = self._seen, new[-1]
        return (*known, *_steps(known, seen, new))


def _tell(watcher: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
    """Nothing that goes wrong in a front end may keep a grid from being closed."""
    try:
        watcher(snapshot)
    except Exception:
        logger.exception("a panel could not be brought up to date")


def _amounts(costs: dict[str, str]) -> dict[str, Decimal]:
    return {site: Decimal(cost) for site, cost in costs.items()}


def _steps(known: Sequence[Point], seen: Point | None, new: Sequence[Point]) -> list[Point]:
    """Leave out the middle of flat lines; `seen` is the last point that was looked at before."""
    found: list[Point] = []
    last = known[-1][0] if known else 0.0
    for point in new:
        if seen is None or point[1] != seen[1]:
            for each in (seen, point):
                if each is not None and each[0] > last:
                    found.append(each)
                    last = each[0]
        seen = point
    return found


def _unknown(grid: Steered) -> dict[str, Any]:
    """What is known of a grid whose hub has never answered."""
    about = {"id": grid.id, "account": grid.account, "currency": grid.currency}
    catalog = {"catalog": grid.catalog.name, "time_scale": str(grid.catalog.time_scale)}
    money = {"account": grid.account, "currency": grid.currency, "charged": "0", "held": "0"}
    return {
        "grid": {**about, **catalog, "simulated": grid.catalog.simulated},
        "budget": {**money, "cap": None, "left": None},
        "sites": [],
        "workers": [],
        "leases": [],
        "runs": [],
        "counts": {"runs_total": 0, "runs_running": 0},
        "links": [],
        "replicas": {"wanted": 0},
        "events": [],
    }


def _join(thread: threading.Thread | None) -> None:
    if thread is not None and thread is not threading.current_thread():
        thread.join(5)
