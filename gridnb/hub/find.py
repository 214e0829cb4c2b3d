"""Starting hubs, finding the ones that run, and settling what lost ones left behind."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from gridnb import errors
from gridnb.catalog import Catalog
from gridnb.config import Settings
from gridnb.errors import HubError
from gridnb.hub.places import Place, places

__all__ = ["HubInfo", "Starting", "hubs", "start"]

#: How many threads numpy's libraries use is settled when they are loaded: in the hub, whose forks
#: the workers are. One for each task, as Dask's own workers have it, or tasks slow each other down.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class HubInfo:
    """A grid that runs or left something behind."""

    id: str
    name: str
    account: str
    currency: str
    catalog: str
    owner: str
    started: str
    alive: bool
    pid: int | None
    address: str | None
    directory: Path
    records: Path


def hubs(*, alive: bool | None = True) -> list[HubInfo]:
    """Return the grids of this user, oldest first; by default those whose hub runs."""
    found = []
    for place in places():
        try:
            running, spec = place.alive, place.spec()
        except FileNotFoundError:
            continue  # it has just ended
        info = place.info() if running else None
        found.append(
            HubInfo(
                id=place.grid,
                name=spec["name"],
                account=spec["account"],
                currency=spec["currency"],
                catalog=json.loads(spec["catalog"])["name"],
                owner=spec["owner"],
                started=spec["started"],
                alive=running,
                pid=info["pid"] if info else None,
                address=info["address"] if info else None,
                directory=place.directory,
                records=place.records,
            )
        )
    return [each for each in found if alive is None or each.alive == alive]


class Starting:
    """A hub that is starting: the caller can do other things meanwhile."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes], ready: int) -> None:
        self.place = place
        self.process = process
        self._ready = ready

    def wait(self, timeout: float) -> str:
        """Return the hub's address when it can be reached.

        Raises
        ------
        GridError
            What the hub says is wrong.
        HubError
            If it ends, or says nothing for `timeout` seconds.
        """
        try:
            line = b"".join(_lines(self._ready, timeout))
        finally:
            os.close(self._ready)
        if not line:
            self.process.kill()
            self.process.wait()
            tail = self.place.log_tail(1)
            self.place.forget()
            why = tail or "it said nothing"
            raise HubError(f"the hub did not start within {timeout:g} s: {why}")
        message = json.loads(line)
        if "error" in message:
            self.process.wait()
            self.place.forget()
            kind = getattr(errors, message["kind"], HubError)
            if kind is errors.BudgetExceeded:
                kind = errors.BudgetError
            raise kind(message["error"])
        return str(message["address"])


def _lines(fd: int, timeout: float) -> Iterator[bytes]:
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        if not select.select([fd], [], [], left)[0]:
            return
        data = os.read(fd, 65536)
        if data:
            yield data
        if not data or data.endswith(b"\n"):
            return


def start(
    catalog: Catalog,
    settings: Settings,
    *,
    name: str,
    account: str,
    currency: str,
    cap: Decimal | None,
    owner: str,
    cwd: str,
) -> Starting:
    """Start a hub in a session of its own; it outlives this process."""
    grid = f"g{uuid.uuid4().hex[:8]}"
    place = Place.new(grid)
    lock = place.lock()  # from the first moment, and handed on to the hub
    place.describe(
        {
            "id": grid,
            "name": name,
            "account": account,
            "currency": currency,
            "cap": None if cap is None else str(cap),
            "catalog": catalog.to_json(),
            "settings": settings.model_dump_json(by_alias=True),
            "ledger": _ledger(settings),
            "owner": owner,
            "cwd": cwd,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    read, write = os.pipe()
    environment = {**_ONE_THREAD, **os.environ, "GRIDNB_GRID": grid}
    process = subprocess.Popen(
        [sys.executable, "-m", "gridnb.hub.main", grid, str(write), str(lock)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[write, lock],
        start_new_session=True,
        cwd=cwd,
        env=environment,
    )
    os.close(write)
    os.close(lock)
    return Starting(place, process, read)


def _ledger(settings: Settings) -> str | None:
    """Return where the grid's money is: it is settled there, whatever is configured later."""
    chosen = os.environ.get("GRIDNB_LEDGER") or settings.ledger
    if chosen is None or "://" in chosen:
        return chosen
    return str(Path(chosen).expanduser().absolute())
