"""Grids for tests: small catalogs with short terms, and waiting for what must come."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from gridnb import Grid
from gridnb.catalog import Catalog
from gridnb.hub.find import HubInfo, hubs
from gridnb.ledger import Account, Ledger

T = TypeVar("T")


def catalog(
    *,
    term: str = "20s",
    price: float = 3.6,
    count: int = 2,
    provider: str = "local",
    cores: int = 1,
    currency: str = "GD",
) -> Catalog:
    """One priced site on this machine: 3.6 GD an hour is 0.001 GD a second."""
    return Catalog.of(
        {
            "name": "priced",
            "sites": [
                {
                    "name": "here",
                    "provider": provider,
                    "owner": "me",
                    "currency": currency,
                    "rate_card": {"core_hour": str(price)},
                    "term": term,
                    "offers": [{"name": "core", "cores": cores, "memory": "1 GiB", "count": count}],
                }
            ],
        }
    )


def several(
    prices: dict[str, float],
    *,
    count: int = 2,
    term: str = "30s",
    links: dict[str, str] | None = None,
    spot: bool = False,
) -> Catalog:
    """Simulated sites on this machine by their price of a core-hour, all links alike."""
    return Catalog.of(
        {
            "name": "several",
            "default_link": links or {},
            "sites": [
                {
                    "name": name,
                    "provider": "simulated",
                    "owner": f"owner of {name}",
                    "region": name,
                    "rate_card": {"core_hour": str(price)},
                    "term": term,
                    "offers": [
                        {
                            "name": "core",
                            "cores": 1,
                            "memory": "1 GiB",
                            "count": count,
                            "spot": spot,
                        }
                    ],
                }
                for name, price in prices.items()
            ],
        }
    )


def strike(grid: Grid, site: str, number: int = signal.SIGKILL, *, guard: bool = True) -> list[int]:
    """Signal every process of a site, guards first; returns the pids of the guards."""
    found = [w for w in grid.status()["workers"] if w["site"] == site and w["pid"]]
    parents = {psutil.Process(w["pid"]).ppid() for w in found}
    for pid in parents:
        whole = psutil.Process(pid)
        for each in [whole, *whole.children(recursive=True)] if guard else whole.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)
    return sorted(parents)


def sum_is_right(grid: Grid) -> Account:
    """Check a grid that has ended: the bill is the ledger, the cap is kept; returns the account."""
    with Ledger() as ledger:
        charges = list(ledger.charges(grid=grid.id))
        assert ledger.audit() == []
        assert not ledger.holds(grid=grid.id)
    found = account(grid.account)
    assert grid.bill().amount.sum() == sum(each.amount for each in charges)
    assert found.held == 0
    assert found.cap is not None
    assert 0 < found.charged <= found.cap
    return found


def until(what: Callable[[], T], *, timeout: float = 40.0, every: float = 0.05) -> T:
    """Wait until `what()` is true, and return it; fails the test if it never is."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := what():
            return value
        time.sleep(every)
    raise AssertionError(f"it did not come in {timeout:g} s")


def hub_of(account: str) -> HubInfo:
    """Return the running hub of an account."""
    return until(lambda: next((hub for hub in hubs() if hub.account == account), None))


def account(name: str) -> Account:
    """Return an account as the ledger has it now."""
    with Ledger() as ledger:
        found = ledger.account(name, "GD")
    assert found is not None
    return found


def guards(records: Path) -> list[int]:
    """Return the pids of the guards that wrote records there."""
    from gridnb.providers.guard import read_record

    found = []
    for path in records.glob("*-*.json"):
        record = read_record(str(path))
        if record is not None:
            found += [e["pid"] for e in record["events"] if e["event"] == "started"]
    return found


def below(pids: list[int]) -> list[psutil.Process]:
    """Return these processes and all their descendants that run now."""
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run (a zombie does not)."""
    found = []
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends while it is looked at
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
