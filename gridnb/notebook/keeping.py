"""``--keep`` and ``--replicas``: what stays at sites, and copies of it at others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError, RequestError
from gridnb.jobs.table import some
from gridnb.units import format_bytes
from gridnb.widgets.tables import rate

if TYPE_CHECKING:
    from gridnb.cells.remote import Remote
    from gridnb.notebook.cell import Cell
    from gridnb.notebook.session import Say, Session

__all__ = ["Keeper"]


class Keeper:
    """Sees to it that what a cell keeps is held at as many sites as it says."""

    def __init__(self, cell: Cell, session: Session, say: Say) -> None:
        self.cell, self.session, self._say = cell, session, say
        #: What a user should know of it.
        self.notes: list[str] = []

    def check(self) -> None:
        """Find out whether there can be so many copies, before anything is spent.

        Raises
        ------
        RequestError, BudgetError
            If too few sites fit what is asked for, or another one cannot be paid.
        """
        wanted = self.cell.replicas
        if wanted < 2:
            return
        grid = self.session.connected()
        allowed = self.session.allowed(self.cell.ask)
        if len(allowed) < wanted:
            raise RequestError(
                f"--replicas: {wanted} sites are wanted, and {len(allowed)} fit what is asked for "
                f"({', '.join(allowed) or 'none'}); allow more of them"
            )
        up = self.session.sites_up(allowed)
        if len(up) < wanted:
            others = [site for site in allowed if site not in up]
            self.session.affordable(grid.quote(cores=1, sites=others))

    def replicate(self, remotes: Iterable[Remote], count: int) -> None:
        """Hold copies of values at `count` sites; what hinders it is noted, not raised."""
        kept = self.session.connected().seats.kept
        groups: dict[tuple[str, ...], list[Remote]] = {}
        for remote in dict.fromkeys(remotes):
            kept.want(kept.key(remote), count)
            if remote.nbytes is None:
                self.notes.append(f"cannot be pickled, so there is no copy of it: {remote!r}")
            else:
                groups.setdefault(tuple(remote.sites), []).append(remote)
        for sites, group in groups.items():
            self._copy(group, list(sites), count)

    def _copy(self, group: Sequence[Remote], sites: list[str], count: int) -> None:
        seats, size = self.session.connected().seats, sum(r.nbytes or 0 for r in group)
        while sites and len(sites) < count:
            try:
                site = self._another(sites)
                self._say(f"copying {format_bytes(size)} to {site}…")
                seats.bring(seats.at(site), group)
            except GridError as error:
                where = ", ".join(sites)
                self.notes.append(f"only at {where}, not at {count} sites: {error}")
                return
            sites.append(site)

    def _another(self, taken: Sequence[str]) -> str:
        """Return a site for one more copy; leases a worker there if none is up anywhere else."""
        others = [s for s in self.session.allowed(self.cell.ask) if s not in taken]
        up = self.session.sites_up(others)
        if up:
            return up[0]
        lease = self.session.lease({"cores": 1, "sites": others})
        site = lease.quote.sites[0]
        cost = rate(lease.quote)
        self._say(f"leased a worker at {site} for copies · {cost} · starting")
        lease.wait()
        self.notes.append(f"leased for the copies: {site} ({cost})")
        return site

    def renew(self, keys: Iterable[str], needs: Sequence[Remote], place: Any) -> None:
        """Copy anew what a cell has changed at `place`: older copies are out of date."""
        kept, changed = self.session.connected().seats.kept, set(keys)
        again: dict[int, list[Remote]] = {}
        for remote in dict.fromkeys(needs):
            if (key := kept.key(remote)) in changed:
                kept.only(key, place)
                again.setdefault(kept.wanted(key), []).append(remote)
        for count, group in again.items():
            if count > 1:
                self.replicate(group, count)  # together, since they may share what changed
                names = some([self.name(remote) for remote in group])
                self.notes.append(f"changed by the cell, and copied anew: {names}")

    def name(self, remote: Remote) -> str:
        """Return what a value is called in the notebook."""
        space = self.session.shell.user_ns
        found = (n for n, v in space.items() if v is remote and not n.startswith("_"))
        return next(found, "a kept value")

    def where(self, named: Sequence[tuple[str, Any]]) -> list[str]:
        """Say where values are kept, the sizes beside their names."""
        from gridnb.cells.remote import Remote

        groups: dict[str, list[str]] = {}
        for name, value in named:
            if type(value) is Remote:
                size = "" if value.nbytes is None else f" ({format_bytes(value.nbytes)})"
                groups.setdefault(", ".join(value.sites), []).append(name + size)
        return [f"kept at {sites}: {some(names)}" for sites, names in groups.items() if sites]
