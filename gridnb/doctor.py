"""What gridnb needs of this machine, tried step by step and told in words.

Each step is a function that returns what it has seen, or raises what is wrong;
what to do about it stands beside the step. The last steps start a real grid on
this machine's own cores, which is free, and end it.
"""

from __future__ import annotations

import importlib.metadata
import os
import ssl
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["Check", "Illness", "examine"]

#: Seconds that a step with processes may take.
PATIENCE = 60.0


class Illness(GridError):
    """A step saw that something is not as it has to be."""


@dataclass(frozen=True)
class Check:
    """What one step found: its name, whether it is well, what was seen, and what to do."""

    name: str
    ok: bool
    text: str
    advice: str = ""


@dataclass
class _Patient:
    """What the steps hand on: the grid that was started, and the names of what is not well."""

    grid: Grid | None = None
    ill: set[str] = field(default_factory=set)

    @property
    def up(self) -> Grid:
        assert self.grid is not None, "a step that needs the hub says so"
        return self.grid


@dataclass(frozen=True)
class _Step:
    name: str
    look: Callable[[_Patient], str]
    advice: str
    needs: tuple[str, ...] = ()


def examine() -> Iterator[Check]:
    """Take one step after the other; what needs a step that failed is not tried."""
    patient = _Patient()
    try:
        for step in _STEPS:
            check = _checked(step, patient)
            if not check.ok:
                patient.ill.add(step.name)
            yield check
    finally:
        if patient.grid is not None:
            patient.grid.close()


def _checked(step: _Step, patient: _Patient) -> Check:
    if first := next((name for name in step.needs if name in patient.ill), ""):
        return Check(step.name, False, f"not tried: it needs what {first} says")
    try:
        return Check(step.name, True, step.look(patient))
    except GridError as error:
        return Check(step.name, False, str(error), step.advice)
    except Exception as error:  # noqa: BLE001 - whatever it is, the doctor has to tell it
        return Check(step.name, False, f"{type(error).__name__}: {error}", step.advice)


# the installation


def _python(patient: _Patient) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version}, {sys.executable}"


def _packages(patient: _Patient) -> str:
    """Compare what is installed with what gridnb asks for, and name the extras that are there."""
    from packaging.requirements import Requirement

    wanted = [Requirement(each) for each in importlib.metadata.requires("gridnb") or ()]
    base = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [problem for each in base if (problem := _lacking(each))]
    if wrong:
        raise Illness("; ".join(wrong))
    shown = ("dask", "distributed", "pandas", "sqlalchemy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in shown)
    extras = [
        name
        for name in ("notebook", "demo")
        if not any(
            _lacking(each)
            for each in wanted
            if each.marker and each.marker.evaluate({"extra": name}) and each not in base
        )
    ]
    return f"{versions}; extras: {', '.join(extras) or 'none (see pip install gridnb[notebook])'}"


def _lacking(wanted: Any) -> str:
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name} is not installed"
    if wanted.specifier.contains(version, prereleases=True):
        return ""
    return f"{wanted.name} is {version}, and {wanted.specifier} is needed"


def _settings(patient: _Patient) -> str:
    from gridnb.config import settings

    found = settings()
    return f"catalog {found.catalog}, budget {found.budget or 'none'}, {found.cores} cores a cell"


def _catalog(patient: _Patient) -> str:
    from gridnb.catalog import load
    from gridnb.config import settings

    catalog = load(settings().catalog)
    return f"{catalog.name}: {len(catalog.sites)} sites"


# files


def _directories(patient: _Patient) -> str:
    from gridnb.hub.places import Place

    place = Place.new("doctor")
    place.forget()
    for path in (place.directory.parent, place.records.parent):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise Illness(f"{path} has mode {mode:04o}, so that others can look into it")
    return f"{place.directory.parent}, mode 0700"


def _ledger(patient: _Patient) -> str:
    from gridnb.config import settings
    from gridnb.hub.find import hubs
    from gridnb.ledger import Ledger

    with Ledger(settings().ledger) as ledger:
        findings = ledger.audit(live=[hub.id for hub in hubs()])
        path = ledger.path
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Illness(f"{path} has mode {mode:04o}, so that others can read it")
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise Illness(f"{path}: {findings[0]}{more}")
    return f"{path}, mode {mode:04o}, audited"


def _certificates(patient: _Patient) -> str:
    from gridnb.hub import certificates

    with tempfile.TemporaryDirectory(prefix="gridnb-") as name:
        directory = Path(name)
        certificates.issue(directory, "doctor")
        tls = certificates.paths(directory, "hub")
        mode = stat.S_IMODE(Path(tls.key).stat().st_mode)
        if mode & 0o077:
            raise Illness(f"a key was written with mode {mode:04o}; it should be 0600")
        context = ssl.create_default_context(cafile=tls.ca)
        context.load_cert_chain(tls.cert, tls.key)
    return f"made and loaded; {ssl.OPENSSL_VERSION}"


# processes


def _hub(patient: _Patient) -> str:
    from gridnb.grid import Grid

    began = time.monotonic()
    patient.grid = Grid(catalog="here", account="gridnb doctor", name="doctor")
    return f"started in {time.monotonic() - began:.1f} s"


def _worker(patient: _Patient) -> str:
    began = time.monotonic()
    lease = patient.up.request(workers=1)
    lease.wait(timeout=PATIENCE)
    return f"{lease.workers[0]} is up under its guard after {time.monotonic() - began:.1f} s"


def _task(patient: _Patient) -> str:
    began = time.monotonic()
    client = patient.up.client
    if client.submit(sum, [20, 22], pure=False).result(timeout=PATIENCE) != 42:
        raise Illness("20 + 22 was not 42")
    return f"20 + 22 = 42, after {1000 * (time.monotonic() - began):.0f} ms"


def _cell(patient: _Patient) -> str:
    job = patient.up.submit(os.getpid)
    there = job.result(timeout=PATIENCE)
    if there == os.getpid():
        raise Illness("it ran in this process, not in one of its own")
    return f"ran in process {there}"


def _end(patient: _Patient) -> str:
    from gridnb.strays import of_grid

    grid, patient.grid = patient.up, None
    grid.close()
    until = time.monotonic() + 5
    while (left := of_grid(grid.id)) and time.monotonic() < until:
        time.sleep(0.05)
    if left:
        raise Illness(f"{len(left)} processes of the grid go on: {[each.pid for each in left]}")
    return "ended, and no process of it is left"


_LOG = "read the hub's log in the runtime directory, and run `gridnb reap`"
_STEPS = (
    _Step("Python", _python, "install Python 3.11 or newer"),
    _Step("packages", _packages, "run `pip install --upgrade gridnb`"),
    _Step("settings", _settings, "mend ~/.config/dask/gridnb.yaml, or the variable DASK_GRIDNB__…"),
    _Step("catalog", _catalog, "mend it, or name another in the setting gridnb.catalog",
          needs=("settings",)),
    _Step("directories", _directories, "set XDG_RUNTIME_DIR to a directory of yours, on this disk"),
    _Step("ledger", _ledger, "see `gridnb audit`; a mode is mended with chmod 600, and what lost "
          "grids left with `gridnb reap`", needs=("settings",)),
    _Step("certificates", _certificates, "see that the package cryptography fits this machine"),
    _Step("hub", _hub, "see that this user may start processes and listen on 127.0.0.1",
          needs=("settings", "directories", "certificates")),
    _Step("worker", _worker, _LOG, needs=("hub",)),
    _Step("task", _task, _LOG, needs=("hub", "worker")),
    _Step("cell", _cell, _LOG, needs=("hub", "worker")),
    _Step("end", _end, "run `gridnb reap`", needs=("hub",)),
)  # fmt: skip
