"""The notebook's connection: which grid, on which account, and a seat for each cell."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.errors import BudgetError, HubError
from gridnb.fixed import fixed
from gridnb.notebook import wanted
from gridnb.notebook.wanted import Ask, Places

if TYPE_CHECKING:
    from gridnb.broker import Quote, Request
    from gridnb.cells.remote import Remote
    from gridnb.grid import Grid, Lease
    from gridnb.seats import Seat
    from gridnb.units import Money

__all__ = ["Say", "Session"]

#: Called with what is going on, for the user to read.
Say = Callable[[str], None]


class Session:
    """One per kernel. It holds a grid from ``%grid connect`` to ``%grid close``."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.on_change: list[Callable[[Grid | None], None]] = []
        #: What is left of the budget, as the hub said last.
        self.left: Decimal | None = None
        #: Interrupts the cell that is running, from any thread; None when there is none.
        self.current: Callable[[], None] | None = None
        self._grid: Grid | None = None
        self._asked: dict[str, Request] = {}

    # the grid

    @property
    def grid(self) -> Grid | None:
        """The grid of this notebook, or None; one that Python code made counts."""
        if self._grid is not None and not self._grid.closed:
            return self._grid
        found = self._made_in_python()
        if found is not self._grid:
            self._set(found)
        return found

    def _made_in_python(self) -> Grid | None:
        import sys

        module = sys.modules.get("gridnb.grid")
        if module is None:
            return None
        made = (v for v in list(self.shell.user_ns.values()) if type(v) is module.Grid)
        return next((each for each in made if not each.closed), None)

    def _set(self, grid: Grid | None) -> None:
        self._grid, self._asked, self.left = grid, {}, None
        for listener in self.on_change:
            listener(grid)

    def connected(self) -> Grid:
        """Return the grid.

        Raises
        ------
        HubError
            If there is none: says how to connect.
        """
        if self.grid is None:
            raise HubError("this notebook is not connected to a grid; run `%grid connect` first")
        return self.grid

    def answering(self) -> Grid:
        """Return the grid, if its hub is still there; a lost one would be waited for in vain.

        Raises
        ------
        HubError
            If there is none, or its hub is gone.
        """
        from gridnb.hub.places import Place

        grid = self.connected()
        if not Place.of(grid.id).alive:
            raise HubError(
                f"grid {grid.id} has ended, or its hub was lost; its money is settled by itself, "
                "and `%grid connect` begins a new one"
            )
        return grid

    def account(self) -> str:
        """Return the default account: the notebook's path."""
        from gridnb.grid import default_account

        # VS Code names the notebook here and nowhere else.
        path = self.shell.user_ns.get("__vsc_ipynb_file__")
        return str(Path(path).absolute()) if path else default_account()

    def connect(
        self,
        catalog: str | None = None,
        budget: str | None = None,
        account: str | None = None,
        *,
        say: Say,
    ) -> tuple[Grid, str]:
        """Connect, or come back to the grid that runs on this account; returns how it went.

        Raises
        ------
        GridError
            If another grid is connected or runs on this account, or it cannot start.
        """
        from gridnb.grid import Grid
        from gridnb.hub.find import hubs

        self._forget_lost()
        bounds = fixed()
        if bounds is not None:
            catalog, budget, account = bounds.within(catalog, budget, account)
        account = account or (self.account() if self.grid is None else self.grid.account)
        if self.grid is not None:
            self._fits(self.grid, catalog, budget, account)
            self._bind(self.grid)
            return self.grid, "already connected to"
        running = [hub for hub in hubs() if hub.account == account]
        if bounds is not None:  # it has grids of its own, which end with it
            mine = set(bounds.noted("grid"))
            running = [hub for hub in running if hub.id in mine]
        if running:
            grid, how = Grid.attach(running[-1]), "back on"
            try:
                self._fits(grid, catalog, budget, account)
            except BaseException:
                grid.disconnect()
                raise
        else:
            say("starting a grid…")
            grid, how = self._start(catalog, budget, account), "connected to"
        self._set(grid)
        self._bind(grid)
        atexit.register(grid.disconnect)
        return grid, how

    def _bind(self, grid: Grid) -> None:
        """Make the grid ``grid`` in the notebook, unless the user means something else by it."""
        space = self.shell.user_ns
        if type(space.get("grid", grid)) is type(grid):
            space["grid"] = grid

    def _forget_lost(self) -> None:
        """Let go of a grid whose hub has gone."""
        grid = self.grid
        if grid is None:
            return
        try:
            self.answering()
        except HubError:
            atexit.unregister(grid.disconnect)
            grid.disconnect()
            self._set(None)

    def _start(self, catalog: str | None, budget: str | None, account: str) -> Grid:
        from gridnb.config import settings
        from gridnb.grid import Grid

        config = settings()
        default = config.budget if catalog in (None, config.catalog) else None
        return Grid(catalog or config.catalog, budget or default, account)

    def _fits(self, grid: Grid, catalog: str | None, budget: str | None, account: str) -> None:
        """Refuse to take one grid for another."""
        from gridnb.catalog import load

        if account != grid.account:
            raise HubError(
                f"this notebook is on grid {grid.id} with account {grid.account!r}; end it with "
                "`%grid close` before you connect with another account"
            )
        if catalog is not None and load(catalog) != grid.catalog:
            raise HubError(
                f"grid {grid.id} runs on this account with the catalog {grid.catalog.name!r} as it "
                f"was when it started; end it with `%grid close`, then connect to {catalog!r}"
            )
        if budget is not None:
            self._fits_budget(grid, budget)

    def _fits_budget(self, grid: Grid, text: str) -> None:
        """Give a grid without a budget this one; refuse to change one in passing."""
        from gridnb.units import parse_money

        wanted, cap = parse_money(text, what="budget"), grid.budget
        if cap is None:
            self.set_budget(grid, wanted)
        elif wanted != cap:
            raise HubError(
                f"grid {grid.id} runs on this account with a budget of {cap}; "
                f"change it with `%grid budget {wanted}`"
            )

    def set_budget(self, grid: Grid, cap: Money) -> None:
        """Set the cap of a grid's account.

        Raises
        ------
        RequestError
            If it is in a currency that the catalog's sites do not take.
        LedgerError
            If the ledger cannot be written.
        """
        grid.set_budget(cap)
        self.left = None

    def close(self) -> None:
        """End the grid: its leases, its workers, its hub."""
        grid = self.connected()
        atexit.unregister(grid.disconnect)
        grid.close()
        self._set(None)

    # a place for a cell

    def seat(
        self,
        ask: Ask,
        say: Say,
        needs: Sequence[Remote] = (),
        avoid: Sequence[str] = (),
    ) -> Seat:
        """Return the notebook's seat where `ask` is met; takes a lease when there is none.

        It is where the kept values are that are needed, as far as that goes, and not at the
        workers to `avoid` if there are others. A bare cell with its seat at hand asks the hub
        nothing.

        Raises
        ------
        GridError
            If there is no budget for a lease, or no site can meet what is asked.
        """
        grid = self.connected()
        if ask.bare and not avoid and (ready := grid.seats.ready(needs)) is not None:
            return ready
        if (lost := grid.seats.kept.lost(needs)) is not None:
            raise lost.lost()
        places = self.places(ask, say)
        return grid.seats.own(places.sites, places.lease, needs, avoid)

    def allowed(self, ask: Ask) -> list[str]:
        """Return the sites that fit a cell, as far as it names sites and regions."""
        return wanted.allowed(self.connected().catalog, ask.parsed())

    def sites_up(self, sites: Sequence[str]) -> list[str]:
        """Return those of these sites at which a worker is up, the cheapest worker first."""
        workers = self.connected().status()["workers"]
        up = [w for w in workers if w["state"] == "running" and w["site"] in sites]
        up.sort(key=lambda w: Decimal(w["rate"]))
        return list(dict.fromkeys(w["site"] for w in up))

    def places(self, ask: Ask, say: Say, *, wait: bool = True) -> Places:
        """Make sure that workers are up which meet `ask`, or come; returns where they are."""
        grid, request = self.answering(), ask.parsed()
        state = grid.status(runs=0)
        limited = bool(wanted.limits(request))
        fit = wanted.usable(state, request, grid.catalog, self._asked)
        missing = wanted.missing(request, fit)
        if limited and missing:
            missing, fit = wanted.missing(request, []), []
        if missing:
            again = grid.cluster.call("status", bill=True, workers=False) if ask.leases else state
            left = ask.left(again["leases"], float(grid.catalog.time_scale))
            lease = self.lease({**ask.request, **missing, **left}, state)
            ask.leases.append(lease.id)
            self._asked[lease.id] = request
            if wait:
                self._wait(lease, say, ask)
            sites = [*lease.quote.sites, *(w["site"] for w in fit)]
            return Places(list(dict.fromkeys(sites)), lease.id if limited else None)
        if limited and fit[0]["lease"] not in ask.leases:
            ask.leases.append(fit[0]["lease"])
        sites = [w["site"] for w in fit if w["state"] == "running"]
        if not sites:
            if wait:
                say("workers are starting…")
                grid.cluster.call("wait", lease=fit[0]["lease"], n=1, timeout=None)
            sites = [fit[0]["site"]]
        return Places(list(dict.fromkeys(sites)), fit[0]["lease"] if limited else None)

    def lease(self, request: dict[str, Any], state: dict[str, Any] | None = None) -> Lease:
        """Take a lease.

        Raises
        ------
        GridError
            If it cannot be met or paid; says how to set a budget when there is none.
        """
        grid = self.connected()
        state = state or grid.status()
        quote = grid.quote(**request)
        self.affordable(quote, state)
        lease = grid.request(quote)
        self._asked[lease.id] = quote.request
        return lease

    def affordable(self, quote: Quote, state: dict[str, Any] | None = None) -> None:
        """Check that there is a budget, if a quote costs something.

        Raises
        ------
        BudgetError
            If there is none; says how to set one.
        """
        from gridnb.widgets.tables import rate

        grid = self.connected()
        if not quote.free and (state or grid.status())["budget"]["cap"] is None:
            raise BudgetError(
                f"{' and '.join(quote.sites)} would cost {rate(quote)} and this notebook "
                f"has no budget; set one with `%grid budget 5 {grid.currency}`"
            )

    def _wait(self, lease: Lease, say: Say, ask: Ask) -> None:
        """Wait for one worker, or for all of them if the user said how many."""
        from gridnb.widgets.tables import rate, ready

        quote = lease.quote
        what = ", ".join(f"{line.count} × {line.site} {line.offer}" for line in quote.lines)
        cost = rate(quote)
        say(f"leased {what} · {cost} · starting, {ready(quote)}")
        every = bool({"cores", "memory", "gpus", "workers"} & ask.request.keys())
        lease.wait(None if every else 1)
        say(f"leased {what} · {cost}")
