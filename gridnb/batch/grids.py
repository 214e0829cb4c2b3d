"""The money and the grids of a run: its account before it begins, its grids to their end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from gridnb.catalog import load
from gridnb.config import settings
from gridnb.errors import GridError, HubError, RequestError
from gridnb.fixed import Fixed
from gridnb.hub.find import HubInfo, hubs
from gridnb.ledger import Charge, Ledger
from gridnb.units import Money, parse_money

__all__ = ["Grids", "bounds"]

PATIENCE = 30.0  # seconds that a grid which is only starting may take to be there


def bounds(
    record: Path, output: Path, budget: str | None, account: str | None, catalog: str | None
) -> Fixed:
    """Return what is fixed for a notebook, with its account opened.

    With ``--budget`` alone a run has an account of its own, named by its copy, in which each run
    begins a new period. With ``--account`` it spends from that one, as far as it reaches.

    Raises
    ------
    GridError
        If the catalog is wrong, the account is not known or in use, or the money of another kind.
    """
    if catalog is not None:
        load(catalog)
    if account is None and budget is None:
        return Fixed(str(record), catalog=catalog)
    cap = None if budget is None else parse_money(budget, what="--budget")
    with Ledger(settings().ledger) as ledger:
        if account is not None:
            _check_account(account, cap, ledger)
        elif cap is not None:
            account = str(output)
            _check_alone(account)
            if ledger.open_account(account, cap.currency, cap.amount).charged:
                ledger.reset(account, cap.currency)
    text = None if cap is None else f"{cap.amount.normalize():f} {cap.currency}"
    return Fixed(str(record), account, text, catalog)


def _check_account(account: str, cap: Money | None, ledger: Ledger) -> None:
    names = sorted({each.name for each in ledger.accounts()})
    if cap is None and account not in names:
        raise RequestError(
            f"--account: there is no account {account!r}; there are: {', '.join(names) or 'none'}; "
            "with --budget a new one is made"
        )


def _check_alone(account: str) -> None:
    running = [hub for hub in hubs() if hub.account == account]
    if running:
        raise HubError(
            f"a run that writes {account} is under way (grid {running[0].id}); let it end, end it "
            f"with `gridnb release {running[0].id} --end`, or write another file"
        )


@dataclass
class Grids:
    """The grids that a notebook has made under some bounds."""

    fixed: Fixed
    _seen: int = field(default=0, init=False)

    @property
    def ids(self) -> list[str]:
        """Their ids, oldest first."""
        return self.fixed.noted("grid")

    def new_runs(self) -> list[str]:
        """Return the runs that were made since this was asked last."""
        runs = self.fixed.noted("run")
        new, self._seen = runs[self._seen :], len(runs)
        return new

    def charges(self) -> list[Charge]:
        """Return what has been charged for them so far."""
        with Ledger(settings().ledger) as ledger:
            return [charge for grid in self.ids for charge in ledger.charges(grid=grid)]

    def end(self) -> None:
        """End those that run, and wait until they are settled.

        Raises
        ------
        HubError
            If one of them cannot be ended; its workers end with their paid terms.
        """
        until = time.monotonic() + PATIENCE
        ids = set(self.ids)
        while running := [hub for hub in hubs() if hub.id in ids]:
            for hub in running:
                _close(hub)
            if time.monotonic() > until:
                raise HubError(
                    f"grid {running[0].id} could not be ended; `gridnb release {running[0].id} "
                    "--end` tries again, and its workers end with their paid term"
                )
            time.sleep(0.1)


def _close(hub: HubInfo) -> None:
    import logging

    from gridnb.grid import Grid

    if hub.address is None:
        return  # it is only starting
    # That a connection has closed is no news.
    logging.getLogger("distributed.batched").setLevel(logging.WARNING)
    try:
        Grid.attach(hub).close()
    except (GridError, OSError):
        return  # it has just ended, or the caller tries again
