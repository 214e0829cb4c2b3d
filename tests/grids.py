"""Grids for tests: small catalogs with short terms, and waiting for what must come."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

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
    return [
        each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    ]
