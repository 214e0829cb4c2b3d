"""The four benefits of grid computing, each beside the plain way.

What is measured, and how, stands in :mod:`gridnb.demo.benefits`; the peer of each row is the plain
way on the same simulated sites, with the same work, in the same run. Only the loss of a site under
a map is measured here, since it takes a notebook: ``%%grid --map`` with ``--retries`` on three
sites, against the same cell on one site, which is run again as soon as workers are back.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from benchmarks._kernels import Kernel, kernel
from benchmarks.harness import Row, in_turn, row
from gridnb.demo.benefits import availability, power, sharing, sites, survival

SETUP = """\
import threading
from gridnb.demo.benefits.work import delays, interval
from gridnb.demo.outage import kill_site
parts = 2 * delays()
%load_ext gridnb
%grid connect {catalog} --budget "{budget}" --account "benefits map"
"""
LEASE = """\
import time
from gridnb.errors import RequestError
until = time.monotonic() + 30
while True:
    try:
        lease = grid.request(workers=6).wait()
        break
    except RequestError:
        if time.monotonic() > until:
            raise
        time.sleep(0.05)
"""
MAP = "%%grid --map part=parts --into found --quiet {options}\ninterval(part, 60)"
KILL = "threading.Timer({after}, kill_site, (grid, {site!r})).start()"
CHECK = "print(found == [interval(part, 60, wait=0) for part in parts])"


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure each benefit; if quick, a third as often."""
    few = max(1, repeats // 3) if quick else repeats
    return [
        *_utilisation(few, 2 if quick else 6),
        *_computing_power(few),
        _availability(few, 5 if quick else 20),
        *_lost_under_a_graph(few),
        _lost_under_a_map(few),
    ]


def _utilisation(repeats: int, bursts: int) -> list[Row]:
    seeds = {"shared": iter(range(repeats)), "own": iter(range(repeats))}
    with sharing.opened() as team:
        ours, theirs = in_turn(
            repeats,
            lambda: team.together(bursts, next(seeds["shared"])),
            lambda: team.apart(bursts, next(seeds["own"])),
        )
    peer = "workers of their own, two each"
    found = []
    for metric, unit, of in (
        ("used / paid", "%", lambda usage: 100 * usage.share),
        ("charged", "GD", lambda usage: float(usage.cost)),
        ("answer", "s", lambda usage: usage.wait),
    ):
        case = "utilisation: 3 users in bursts"
        found.append(row(case, metric, unit, [*map(of, ours)], [*map(of, theirs)], peer))
    return found


def _computing_power(repeats: int) -> list[Row]:
    found = []
    with power.opened() as timer:
        for kind in power.KINDS:
            ours, theirs = in_turn(
                repeats,
                lambda kind=kind: timer.seconds(kind),
                lambda kind=kind: timer.seconds(kind, power.BEST),
            )
            found.append(row(f"power: {kind}", "time", "s", ours, theirs, "fastest of 3 sites"))
    return found


def _availability(repeats: int, moments: int) -> Row:
    ours, theirs = [], []
    for seed in range(repeats):
        steps = availability.steps(moments, seed)
        ours.append(100 * fmean(step.grid for step in steps))
        theirs.append(100 * max(fmean(step.sites[s] for step in steps) for s in sites.THREE))
    case = "availability: 2 workers, sites half full"
    return row(case, "served at once", "%", ours, theirs, "the site that serves most")


def _lost_under_a_graph(repeats: int) -> list[Row]:
    ours, theirs = in_turn(repeats, survival.on_three_sites, survival.on_one_site)
    both = [*ours, *theirs]
    if not all(loss.right and loss.audited for loss in both):
        raise RuntimeError("an answer was wrong, or the ledger does not add up")
    case, peer = "a site killed: graph", "one site, leased again at once"
    return [
        row(case, metric, "s", [*map(of, ours)], [*map(of, theirs)], peer)
        for metric, of in (
            ("right answer", lambda loss: loss.disturbed),
            ("lost", lambda loss: loss.disturbed - loss.undisturbed),
        )
    ] + [
        row(
            "a site killed: bill",
            "killed workers",
            "s",
            [loss.charged for loss in both],
            [loss.up for loss in both],
            "their processes",
        )
    ]


def _lost_under_a_map(repeats: int) -> Row:
    ours, theirs = in_turn(repeats, _map_on_three_sites, _map_on_one_site)
    case, peer = "a site killed: --map --retries", "one site, cell run again"
    return row(case, "right answer", "s", ours, theirs, peer)


def _map_on_three_sites() -> float:
    with _leased(sites.THREE) as book:
        cell = MAP.format(options="--retries 2")
        _strike(book, cell, "alpha")
        took = book.run(cell)[1]
        _check(book)
        return took


def _map_on_one_site() -> float:
    with _leased({"solo": sum(sites.THREE.values())}) as book:
        cell = MAP.format(options="")
        _strike(book, cell, "solo")
        took = _failed(book, cell) + book.run(LEASE)[1] + book.run(cell)[1]
        _check(book)
        return took


@contextmanager
def _leased(workers: dict[str, int]) -> Iterator[Kernel]:
    """A notebook with all workers of a catalog up."""
    with tempfile.TemporaryDirectory() as place, kernel() as book:
        path = Path(place) / "benefits.yaml"
        path.write_text(sites.catalog(**workers).to_json())
        if len(workers) == 1:  # the plain way: nobody leases anything again for the user
            book.run('import dask.config\ndask.config.set({"gridnb.lease.rebuy": False})')
        book.run(SETUP.format(catalog=path, budget=sites.BUDGET))
        try:
            book.run(LEASE)
            yield book
        finally:
            book.run("%grid close")


def _strike(book: Kernel, cell: str, site: str) -> None:
    """Time the cell undisturbed, and have the site killed after half of that."""
    book.run(cell)
    undisturbed = book.run(cell)[1]
    book.run(KILL.format(after=undisturbed / 2, site=site))


def _failed(book: Kernel, cell: str) -> float:
    """Run a cell that must fail; return how long it took."""
    began = time.perf_counter()
    try:
        book.run(cell)
    except RuntimeError as error:
        if "CellLost" in str(error):
            return time.perf_counter() - began
        raise
    raise RuntimeError("the cell ended before its site was killed")


def _check(book: Kernel) -> None:
    if book.run(CHECK)[0].strip() != "True":
        raise RuntimeError("a result of the map is wrong")
