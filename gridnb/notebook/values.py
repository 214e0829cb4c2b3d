"""What can be written into a ``%grid`` line here and now, for completion.

Nothing that is wrong is told here: it is told when the line is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from gridnb.errors import GridError

if TYPE_CHECKING:
    from gridnb.catalog import Catalog
    from gridnb.notebook.session import Session

__all__ = [
    "accounts",
    "catalogs",
    "columns",
    "jobs",
    "leases",
    "paths",
    "policies",
    "regions",
    "running_jobs",
    "scaled",
    "simulated",
    "sites",
    "variables",
    "written",
]


#: Columns of a bill in which nearly every row has another value.
_UNLIKE = frozenset({"time", "start", "end", "seconds", "amount"})


def _catalog(session: Session) -> Catalog | None:
    if session.grid is not None:
        return session.grid.catalog
    from gridnb.catalog import load
    from gridnb.config import settings

    try:
        return load(settings().catalog)
    except GridError:
        return None


def sites(session: Session, typed: str) -> list[str]:
    """Names of the catalog's sites."""
    catalog = _catalog(session)
    return list(catalog.names) if catalog else []


def simulated(session: Session, typed: str) -> list[str]:
    """Names of the sites between which links are modelled."""
    catalog = _catalog(session)
    return [site.name for site in catalog.sites if site.simulated] if catalog else []


def scaled(session: Session, typed: str) -> list[str]:
    """Names of sites for which a number follows."""
    return [] if "=" in typed else [f"{name}=" for name in sites(session, typed)]


def regions(session: Session, typed: str) -> list[str]:
    """Regions of the catalog, what several begin with, and countries."""
    catalog = _catalog(session)
    if catalog is None:
        return []
    full = {site.region for site in catalog.sites}
    countries = {site.country for site in catalog.sites if site.country}
    return sorted(full | countries | {region.partition("-")[0] for region in full})


def policies(session: Session, typed: str) -> tuple[str, ...]:
    """Names of what can rank offers."""
    from gridnb.broker.policies import names

    return names()


def columns(session: Session, typed: str) -> list[str]:
    """Columns by which it makes sense to sum up a bill."""
    from gridnb.metering.bill import COLUMNS

    return [name for name in COLUMNS if name not in _UNLIKE]


def accounts(session: Session, typed: str) -> list[str]:
    """Names of the budgets in the ledger."""
    from gridnb.config import settings
    from gridnb.ledger import Ledger

    try:
        with Ledger(settings().ledger) as ledger:
            return sorted({each.name for each in ledger.accounts()})
    except GridError:
        return []


def catalogs(session: Session, typed: str) -> list[str]:
    """Names of catalogs, and YAML files and directories that begin as is typed."""
    from gridnb.catalog.load import known

    return [*known(), *_files(typed, (".yaml", ".yml"))]


def paths(session: Session, typed: str) -> list[str]:
    """Files and directories that begin as is typed, and names of paths of the notebook."""
    names = (name for name, value in session.shell.user_ns.items() if isinstance(value, PathLike))
    return [*_files(typed), *(name for name in names if not name.startswith("_"))]


def written(session: Session, typed: str) -> list[str]:
    """What sites have in the volume, level by level."""
    from gridnb.hub.client import GridCluster

    above = typed[: typed.rfind("/") + 1]
    try:
        cluster: GridCluster = session.answering().cluster
        found = cluster.call("volume", inside=above.rstrip("/") or ".", digests=False)["files"]
    except GridError:
        return []
    rest = [each["path"].removeprefix("./").removeprefix(above) for each in found]
    return sorted({above + each.partition("/")[0] + "/" * ("/" in each) for each in rest})


def _files(typed: str, endings: tuple[str, ...] = ("",)) -> Iterable[str]:
    from pathlib import Path

    above = typed[: typed.rfind("/") + 1]
    place = Path(above or ".").expanduser()
    for each in place.iterdir() if place.is_dir() else ():
        if each.name.startswith("."):
            continue
        if each.is_dir():
            yield f"{above}{each.name}/"
        elif each.name.endswith(endings):
            yield f"{above}{each.name}"


def leases(session: Session, typed: str) -> list[str]:
    """Leases that are active, as they are shown: ``l1``."""
    try:
        found = session.answering().status(runs=0)["leases"]
    except GridError:
        return []
    return [each["id"].rpartition("-")[2] for each in found if each["state"] == "active"]


def jobs(session: Session, typed: str) -> list[str]:
    """Jobs of this budget, as they are shown."""
    return _jobs(session, running=False)


def running_jobs(session: Session, typed: str) -> list[str]:
    """Jobs of this budget that have not ended."""
    return _jobs(session, running=True)


def _jobs(session: Session, *, running: bool) -> list[str]:
    from gridnb.hub.runs import ENDED, records

    if session.grid is None:
        return []
    account, found = session.grid.account, []
    for each in records():
        about = each.about()
        if about["account"] == account and not (running and about["state"] in ENDED):
            found.append(each.run.partition("-")[2])
    return found


def variables(session: Session, typed: str) -> list[str]:
    """Names of the notebook."""
    hidden = session.shell.user_ns_hidden
    return [n for n in session.shell.user_ns if not n.startswith("_") and n not in hidden]
