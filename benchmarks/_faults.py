"""One trial: a grid under load, something that is done to it, and whether all came out right.

Three simulated sites of two workers. Blocks of data are made first and protected at two sites;
then a graph of short tasks uses them, and meanwhile the fault strikes. Each task leaves a line in
a file, so that what was computed again can be counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import psutil

import gridnb
from gridnb.catalog import Catalog
from gridnb.errors import GridError
from gridnb.hub.places import Place
from gridnb.hub.reap import reap
from gridnb.ledger import Ledger
from gridnb.strays import of_grid

__all__ = ["FAULTS", "Trial", "note", "trial"]

BLOCKS, TASKS, SECONDS = 12, 120, 0.2
PATIENCE = 90.0  # seconds after which a run hangs
SITES = {"one": 3.6, "two": 3.7, "three": 3.8, "spare": 7.2}
SETTINGS = {"gridnb.hub.silence": "4s", "gridnb.hub.linger": "20s"}


@dataclass
class Trial:
    """What came of it: seconds of the disturbed part, and what may never be wrong.

    `error` is a clear error in the place of an answer, which only the loss of the hub may give.
    `protected` and `others` count the tasks that ran more often than once.
    """

    seconds: float = 0.0
    right: bool = False
    error: str = ""
    protected: int = 0
    others: int = 0
    charges: bool = False
    left: list[str] = field(default_factory=list)
    struck: bool = False


Fault = Callable[[gridnb.Grid, random.Random], None]
#: What may come in the place of an answer: clear errors, of gridnb, Dask, or the connection.
_ERRORS = (GridError, OSError, TimeoutError, CancelledError)


def catalog() -> Catalog:
    """Three sites that a lease of six takes, and a dearer one in reserve."""
    offer = {"name": "core", "cores": 1, "memory": "1 GiB", "count": 2}
    sites = [
        {
            "name": name,
            "provider": "simulated",
            "owner": name,
            "region": name,
            "rate_card": {"core_hour": str(price)},
            "term": "60s",
            "offers": [offer],
        }
        for name, price in SITES.items()
    ]
    link = {"latency": "5ms", "bandwidth": "50 MB/s"}
    return Catalog.of({"name": "faults", "sites": sites, "default_link": link})


# what is done


def _workers(grid: gridnb.Grid) -> list[dict[str, Any]]:
    return [w for w in grid.status()["workers"] if w["pid"] and w["state"] == "running"]


def _site(grid: gridnb.Grid, dice: random.Random) -> str:
    return str(dice.choice(sorted({w["site"] for w in _workers(grid)})))


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _processes(grid: gridnb.Grid, site: str) -> list[int]:
    """All processes of a site, guards first."""
    found: list[int] = []
    for worker in _workers(grid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if worker["site"] == site:
                guard = psutil.Process(psutil.Process(worker["pid"]).ppid())
                found += [guard.pid, *(each.pid for each in guard.children(recursive=True))]
    return found


def killed_worker(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGKILL a worker; its guard starts it again."""
    _signal([dice.choice(_workers(grid))["pid"]], signal.SIGKILL)


def killed_guard(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGKILL a guard."""
    worker = dice.choice(_workers(grid))
    _signal([psutil.Process(worker["pid"]).ppid()], signal.SIGKILL)


def killed_site(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGKILL every process of a site."""
    _signal(_processes(grid, _site(grid, dice)), signal.SIGKILL)


def stopped_site(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGSTOP every process of a site, for good."""
    _signal(_processes(grid, _site(grid, dice)), signal.SIGSTOP)


def two_sites(grid: gridnb.Grid, dice: random.Random) -> None:
    """Kill a site, and another one when what it held is protected again."""
    first, second = dice.sample(sorted({w["site"] for w in _workers(grid)}), 2)
    _signal(_processes(grid, first), signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.2)
        state = grid.status()
        shown = state["replicas"]
        gone = not any(w["site"] == first for w in state["workers"])
        if gone and shown["protected"] == shown["wanted"] >= BLOCKS:
            break
    _signal(_processes(grid, second), signal.SIGKILL)


def preempted_30(grid: gridnb.Grid, dice: random.Random) -> None:
    """A site takes its workers back, with half a minute's notice."""
    grid.preempt(_site(grid, dice), notice="30 s")


def preempted_120(grid: gridnb.Grid, dice: random.Random) -> None:
    """A site takes its workers back, with two minutes' notice."""
    grid.preempt(_site(grid, dice), notice="120 s")


def stopped_hub(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGSTOP the hub for some seconds."""
    pid = grid.status()["grid"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(dice.uniform(2, 8))
    os.kill(pid, signal.SIGCONT)


def killed_hub(grid: gridnb.Grid, dice: random.Random) -> None:
    """SIGKILL the hub."""
    os.kill(grid.status()["grid"]["pid"], signal.SIGKILL)


def cut_link(grid: gridnb.Grid, dice: random.Random) -> None:
    """Cut a link between two sites, and mend it after some seconds."""
    link = _link(grid, dice)
    link.cut()
    time.sleep(dice.uniform(2, 4))
    link.restore()


def slow_link(grid: gridnb.Grid, dice: random.Random) -> None:
    """Let a link carry a hundredth."""
    _link(grid, dice).set(bandwidth="500 kB/s")


def _link(grid: Any, dice: random.Random) -> Any:
    return grid.links[tuple(dice.sample(sorted({w["site"] for w in _workers(grid)}), 2))]


#: By name; without a fault a run is undisturbed.
FAULTS: dict[str, Fault | None] = {
    "undisturbed": None,
    "killed worker": killed_worker,
    "killed guard": killed_guard,
    "killed site": killed_site,
    "stopped site": stopped_site,
    "two sites, one after the other": two_sites,
    "notice of 30 s": preempted_30,
    "notice of 120 s": preempted_120,
    "stopped hub": stopped_hub,
    "killed hub": killed_hub,
}
if hasattr(gridnb.Grid, "links"):
    FAULTS |= {"cut link": cut_link, "slow link": slow_link}


# the work


def _block(number: int, log: str) -> bytes:
    note(log, f"block {number}")
    return bytes([number]) * 100_000


def _use(number: int, block: bytes, log: str) -> int:
    time.sleep(SECONDS)
    note(log, f"task {number}")
    return number * block[0]


def note(log: str, line: str) -> None:
    """Write down that something has run; workers share the file."""
    with Path(log).open("a") as file:
        file.write(line + "\n")


RIGHT = sum(number * (number % BLOCKS) for number in range(TASKS))


def trial(fault: Fault | None, *, seed: int, moment: float, account: str) -> Trial:
    """Run the work once; the fault strikes when the share `moment` of the tasks has run."""
    found, dice = Trial(), random.Random(seed)
    with tempfile.TemporaryDirectory() as directory, dask.config.set(SETTINGS):
        log = str(Path(directory) / "log")
        grid = gridnb.Grid(catalog(), "10 GD", account)
        try:
            _run(grid, fault, dice, moment, log, found)
        except _ERRORS as error:
            found.error = f"{type(error).__name__}: {error}"
        finally:
            _end(grid)
        _count(log, found)
    found.left = _left(grid.id)
    found.charges = _charges_right(grid)
    return found


def _run(
    grid: gridnb.Grid,
    fault: Fault | None,
    dice: random.Random,
    moment: float,
    log: str,
    found: Trial,
) -> None:
    client: Any = grid.client
    grid.request(workers=6, replicas=2).wait(timeout=60)
    blocks = client.map(_block, range(BLOCKS), log=log, pure=False)
    client.gather(blocks)
    _until_protected(grid)
    began = time.monotonic()
    spread = [blocks[number % BLOCKS] for number in range(TASKS)]
    tasks = client.map(_use, range(TASKS), spread, log=log, pure=False)
    total = client.submit(sum, tasks)
    striker = threading.Thread(target=_strike, args=(grid, fault, dice, moment, tasks, found))
    striker.start()
    try:
        found.right = total.result(timeout=PATIENCE) == RIGHT
        found.seconds = time.monotonic() - began
    finally:
        striker.join()
    held = [bytes(each[:1])[0] for each in client.gather(blocks)]
    found.right = found.right and held == list(range(BLOCKS))


def _until_protected(grid: gridnb.Grid) -> None:
    until = time.monotonic() + 20
    while grid.status()["replicas"]["protected"] < BLOCKS:
        if time.monotonic() > until:
            raise TimeoutError("the blocks are not at two sites after 20 s")
        time.sleep(0.1)


def _strike(
    grid: gridnb.Grid,
    fault: Fault | None,
    dice: random.Random,
    moment: float,
    tasks: list[Any],
    found: Trial,
) -> None:
    if fault is None:
        return
    until = time.monotonic() + PATIENCE
    while sum(task.done() for task in tasks) < moment * TASKS and time.monotonic() < until:
        time.sleep(0.02)
    with contextlib.suppress(GridError, psutil.NoSuchProcess):
        fault(grid, dice)
        found.struck = True


def _end(grid: gridnb.Grid) -> None:
    if Place.of(grid.id).alive:
        grid.close()
        return
    grid.disconnect()
    time.sleep(3)  # its guards end what they guard
    reap()  # what it left is settled, as it would be at the next start


def _count(log: str, found: Trial) -> None:
    path = Path(log)
    runs = Counter(path.read_text().splitlines() if path.exists() else [])
    for line, count in runs.items():
        if line.startswith("block"):
            found.protected += count - 1
        else:
            found.others += count - 1


def _left(grid: str) -> list[str]:
    """Return the processes of a grid that has ended, and end them."""
    until = time.monotonic() + 5
    while (left := of_grid(grid)) and time.monotonic() < until:
        time.sleep(0.1)
    shown = [f"{each.pid} {' '.join(each.cmdline())[:80]}" for each in left]
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    return shown


def _charges_right(grid: gridnb.Grid) -> bool:
    """Whether the bill is the ledger, nothing is held, the cap is kept, and the chain whole."""
    with Ledger() as ledger:
        charges = list(ledger.charges(grid=grid.id))
        known = ledger.account(grid.account, grid.currency)
        whole = not ledger.audit() and not ledger.holds(grid=grid.id)
    if known is None or known.cap is None:
        return False
    billed = grid.bill().amount.sum()
    return (
        whole and billed == sum(each.amount for each in charges) > 0 and known.charged <= known.cap
    )


# a kernel that is killed

KERNEL = """\
import sys, time, gridnb
from benchmarks import _faults
grid = gridnb.Grid(_faults.catalog(), "10 GD", sys.argv[1])
grid.request(workers=2).wait(timeout=60)
job = grid.submit(_faults.long, 20)
while job.status != "running":
    time.sleep(0.05)
print(grid.id, job.id, flush=True)
time.sleep(300)
"""


def long(steps: int) -> int:
    """Work for `steps` tenths of a second."""
    total = 0
    for step in range(steps):
        time.sleep(0.1)
        total += step
    return total


def killed_kernel(*, seed: int, account: str) -> Trial:
    """Kill a kernel while its job runs; a new one attaches and takes the result."""
    found, dice = Trial(), random.Random(seed)
    with dask.config.set(SETTINGS), _kernel(account) as (kernel, grid_id, run):
        time.sleep(dice.uniform(0, 1.5))
        kernel.kill()
        found.struck, began = True, time.monotonic()
        grid = gridnb.Grid.attach(grid_id)
        try:
            found.right = grid.job(run).result(timeout=PATIENCE) == sum(range(20))
            found.seconds = time.monotonic() - began
        except _ERRORS as error:
            found.error = f"{type(error).__name__}: {error}"
        finally:
            _end(grid)
    found.left = _left(grid.id)
    found.charges = _charges_right(grid)
    return found


@contextlib.contextmanager
def _kernel(account: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", KERNEL, account], stdout=subprocess.PIPE, text=True
    ) as kernel:
        assert kernel.stdout is not None
        try:
            grid, run = kernel.stdout.readline().split()
            yield kernel, grid, run
        finally:
            kernel.kill()
