"""Settling what lost hubs left: processes are ended, holds charged from the guards' records.

A hub that was killed could not write the last charges nor release its holds.
Its guards ended their workers at once, or at the end of the paid term, and
wrote down how long each was up. What is not known is charged in full and
marked as estimated.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from gridnb.catalog import Catalog
from gridnb.cluster.links import LinkTable
from gridnb.config import settings
from gridnb.errors import GridError
from gridnb.hub.places import Place, places
from gridnb.hub.slots import Slot
from gridnb.ledger import ChargeLine, Hold, Ledger
from gridnb.metering import rating
from gridnb.providers.guard import descendants, read_record

__all__ = ["reap"]

_UNKNOWN = "its hub was lost, and there is no record of it"
_RECORDED = "its hub was lost; from the guard's record"
_PATIENCE = 3.0  # seconds that guards have to end what they guard
_TAG = "GRIDNB_GRID"


def reap(*, orphans: bool = False) -> list[str]:
    """End and settle all that lost hubs of this user left; returns a sentence for each thing done.

    Parameters
    ----------
    orphans
        Also settle, in full, open holds of the configured ledger that belong to no grid
        known here. Only where nobody else uses that ledger: their grids are not known here.
    """
    done: list[str] = []
    for place in places():
        try:
            done += _reap_one(place)
        except (GridError, OSError, ValueError, KeyError) as error:
            done.append(f"{place.grid}: could not be settled: {error}")
    if orphans:
        with Ledger(settings().ledger) as ledger:
            # The holds are read first: a grid that starts meanwhile is known by then.
            held = ledger.holds(open=True)
            done += _orphans(ledger, held, {place.grid for place in places()})
    return done


def _reap_one(place: Place) -> list[str]:
    spec = place.spec()
    if spec["host"] != socket.gethostname():
        return []  # its processes are not to be seen from here
    try:
        lock = place.lock()
    except BlockingIOError:
        return []  # its hub lives, or somebody else settles it
    try:
        with Ledger(spec["ledger"]) as ledger:
            done = _settle(place, spec, ledger)
        place.forget()
    finally:
        os.close(lock)
    return done


@dataclass
class _Worker:
    """What is known of one worker of a lost hub."""

    name: str
    holds: list[Hold] = field(default_factory=list)
    charged: Decimal = Decimal(0)
    seconds: Decimal = Decimal(0)
    record: dict[str, Any] | None = None


def _settle(place: Place, spec: dict[str, Any], ledger: Ledger) -> list[str]:
    catalog = Catalog.from_json(spec["catalog"])
    done = [f"{place.grid}: ended {n} processes" for n in [_end(place)] if n]
    for worker in _workers(place, ledger).values():
        lines, over = _lines(worker, catalog, place)
        ledger.settle(lines, [hold.key for hold in worker.holds])
        if over:
            reason = f"{worker.name} ran on after the end of its paid term"
            key = f"{place.grid}/{worker.name}/overrun"
            ledger.adjust(spec["account"], spec["currency"], over, reason, key=key, grid=place.grid)
        if worker.holds:
            amount = sum((line.amount for line in lines), Decimal(0))
            how = "estimated" if any(line.estimated for line in lines) else "recorded"
            done.append(
                f"{place.grid}: {worker.name} settled, {amount:f} {spec['currency']} ({how})"
            )
    return done


def _records(place: Place) -> dict[str, dict[str, Any]]:
    found = {}
    for path in place.records.glob("*.json"):
        record = read_record(str(path)) if path.name != "grid.json" else None
        if record is not None:
            found[path.stem] = record
    return found


def _workers(place: Place, ledger: Ledger) -> dict[str, _Worker]:
    found = {name: _Worker(name, record=record) for name, record in _records(place).items()}
    for hold in ledger.holds(open=True, grid=place.grid):
        found.setdefault(hold.worker, _Worker(hold.worker)).holds.append(hold)
    for charge in ledger.charges(grid=place.grid):
        worker = found.setdefault(charge.worker, _Worker(charge.worker))
        worker.charged += charge.amount
        worker.seconds += charge.seconds
    for adjustment in ledger.adjustments(grid=place.grid):
        name = adjustment.reason.partition(" ")[0]
        if name in found:  # an overrun that was posted already
            found[name].charged += adjustment.amount
    return found


def _end(place: Place) -> int:
    """End what still runs of a grid; returns how many processes had to be killed.

    Guards end by themselves when their hub is gone, and write it down: they get the time.
    """
    guards = [
        process
        for record in _records(place).values()
        if not record["ended"] and (process := _guard(record, place.grid)) is not None
    ]
    _, left = psutil.wait_procs(guards, timeout=_PATIENCE)
    ended = 0
    for guard in left:
        for pid in [guard.pid, *descendants(guard.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
    return ended


def _guard(record: dict[str, Any], grid: str) -> psutil.Process | None:
    """Return the guard's process, if the number has not passed to another one."""
    pid = next((e["pid"] for e in record["events"] if e["event"] == "started"), None)
    with contextlib.suppress(psutil.Error):
        if pid is not None and (process := psutil.Process(pid)).environ().get(_TAG) == grid:
            return process
    return None


def _events(worker: _Worker) -> list[dict[str, Any]]:
    return list(worker.record["events"]) if worker.record else []


def _lines(worker: _Worker, catalog: Catalog, place: Place) -> tuple[list[ChargeLine], Decimal]:
    """Return the last charges of a worker, and what its holds do not cover."""
    if worker.name.endswith("/egress"):
        return _egress(worker, place), Decimal(0)
    start = next((e for e in _events(worker) if e["event"] == "started"), None)
    if start is None or worker.record is None:
        return [], Decimal(0)  # no guard ever began: there was no worker
    site = catalog.site(start["site"])
    offer = next(o for o in site.offers if o.name == start["offer"])
    slot = Slot(worker.name, site, offer, start["lease"], catalog.time_scale, 0.0)
    up = float(worker.record["up"])
    due = max(slot.cost(up) - worker.charged, Decimal(0))
    paid = rating.paid_seconds(slot.billed(up), site.rate_card)
    seconds = max(paid - worker.seconds, Decimal(0))
    began = datetime.fromtimestamp(start["wall"], UTC)
    ended = datetime.fromtimestamp(max(worker.record["wall"], start["wall"]), UTC)
    lines = []
    for number, (hold, part) in enumerate(_spread(worker.holds, due)):
        lines.append(
            ChargeLine(
                key=f"{place.grid}/{worker.name}/reap-{number}",
                hold=hold.key,
                amount=part,
                kind="idle",
                seconds=seconds if number == 0 else Decimal(0),
                grid=place.grid,
                lease=start["lease"],
                worker=worker.name,
                site=site.name,
                owner=site.owner,
                start=began,
                end=ended,
                estimated=not worker.record["ended"],
                note=_RECORDED,
            )
        )
    return lines, due - sum((line.amount for line in lines), Decimal(0))


def _spread(holds: list[Hold], amount: Decimal) -> list[tuple[Hold, Decimal]]:
    """Divide an amount over holds, oldest first; at least one part if there is a hold."""
    parts: list[tuple[Hold, Decimal]] = []
    for hold in holds:
        part = min(hold.left, amount)
        if part or not parts:
            parts.append((hold, part))
            amount -= part
    return parts


def _egress(worker: _Worker, place: Place) -> list[ChargeLine]:
    """Charge the bytes that the table of links has counted, or else all that was held."""
    site = worker.name.partition("/")[0]
    table = place.directory / "links"
    known = table.exists()
    left = sum((hold.left for hold in worker.holds), Decimal(0))
    due = max(_used(table, site) - worker.charged, Decimal(0)) if known else left
    now = datetime.now(UTC)
    return [
        ChargeLine(
            key=f"{place.grid}/{worker.name}/reap-{number}",
            hold=hold.key,
            amount=part,
            kind="egress",
            grid=place.grid,
            worker=worker.name,
            site=site,
            start=now,
            end=now,
            estimated=not known,
            note=_RECORDED if known else _UNKNOWN,
        )
        for number, (hold, part) in enumerate(_spread(worker.holds, due))
        if part
    ]


def _used(table: Path, site: str) -> Decimal:
    links = LinkTable(table)
    try:
        return Decimal(links.egress(site).used).scaleb(-9)
    finally:
        links.close()


def _orphans(ledger: Ledger, held: list[Hold], known: set[str]) -> list[str]:
    """Settle holds of which nothing else is left: in full, marked as estimated."""
    lost: dict[str, list[Hold]] = defaultdict(list)
    for hold in held:
        if hold.grid and hold.grid not in known:
            lost[hold.grid].append(hold)
    done = []
    now = datetime.now(UTC)
    for grid, holds in lost.items():
        lines = [
            ChargeLine(
                key=f"{hold.key}/orphan",
                hold=hold.key,
                amount=hold.left,
                kind="idle",
                grid=grid,
                lease=hold.lease,
                worker=hold.worker,
                site=hold.site,
                start=now,
                end=now,
                estimated=True,
                note=_UNKNOWN,
            )
            for hold in holds
        ]
        ledger.settle(lines, [hold.key for hold in holds])
        done.append(f"{grid}: {len(holds)} holds without a record were charged in full")
    return done
