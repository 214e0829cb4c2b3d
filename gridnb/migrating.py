"""A migration as the client sees it: how far it is, waiting for it, and giving it up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gridnb.errors import GridError, HubError
from gridnb.seats import Seats
from gridnb.units import Money, format_bytes, format_seconds

__all__ = ["Migration", "Moved", "stuck"]

_POLL = 0.2  # seconds between looks

Call = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Moved:
    """How far a migration is, or what has come of it.

    Attributes
    ----------
    source, target
        The sites.
    state
        ``starting`` (new workers come up), ``copying`` (results are copied while the old workers
        work on), ``finishing`` (they get no new work, and what runs there ends), ``ending``
        (they end), ``done`` or ``failed``.
    why
        Why it failed.
    workers, up
        Names of the new workers, and how many of them are up.
    results, nbytes, left
        Results of Dask tasks that were moved, their size in bytes, and how many are still to be.
    running, cells
        Tasks that still run at the source, and labels of cells and jobs that do.
    restarted, cells_restarted, actors
        Tasks and pieces of jobs that ran and were started again, and actors that were given up.
    seconds
        Real seconds since it began.
    egress
        What was charged for bytes from source to target meanwhile.
    """

    source: str
    target: str
    state: str
    why: str
    workers: tuple[str, ...]
    up: int
    results: int
    nbytes: int
    left: int
    running: int
    restarted: int
    cells: tuple[str, ...]
    cells_restarted: int
    actors: int
    seconds: float
    egress: Money

    @classmethod
    def of(cls, told: Mapping[str, Any], currency: str) -> Moved:
        """Read what the hub says."""
        plain = {name: told[name] for name in cls.__dataclass_fields__}
        plain["workers"], plain["cells"] = tuple(told["workers"]), tuple(told["cells"])
        plain["egress"] = Money(Decimal(told["egress"]), currency)
        return cls(**plain)

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.source} → {self.target}", *self._now()]
        if self.results:
            parts.append(f"{_count(self.results, 'result')} ({format_bytes(self.nbytes)}) moved")
        if self.restarted:
            parts.append(f"{_count(self.restarted, 'task')} started again")
        if self.cells_restarted:
            parts.append(f"{_count(self.cells_restarted, 'piece')} of jobs started again")
        if self.actors:
            parts.append(f"{_count(self.actors, 'actor')} ended")
        if self.egress.amount:
            parts.append(f"egress {self.egress}")
        return " · ".join([*parts, format_seconds(round(self.seconds))])

    def _now(self) -> list[str]:
        if self.state == "starting":
            return [f"{self.up} of {len(self.workers)} workers up"]
        if self.state in ("copying", "finishing"):
            parts = [f"{_count(self.left, 'result')} left"] if self.left else []
            parts += [f"{_count(self.running, 'task')} running"] if self.running else []
            parts += [f"waiting for {', '.join(self.cells[:2])}"] if self.cells else []
            return parts or ["moving"]
        if self.state == "failed":
            return [f"given up: {self.why}"]
        workers = _count(len(self.workers), "worker")
        return [f"moved to {workers}" if self.state == "done" else "the old workers end"]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class Migration:
    """A migration that was begun; it goes on whether anybody waits for it or not."""

    def __init__(self, call: Call, seats: Seats, told: Mapping[str, Any], currency: str) -> None:
        self._call, self._seats, self._currency = call, seats, currency
        self.id: str = told["id"]
        self._last = self._read(told)

    @property
    def progress(self) -> Moved:
        """How far it is now."""
        if self._last.state not in ("done", "failed"):
            self._last = self._read(self._call("migration", migration=self.id))
        return self._last

    @property
    def done(self) -> bool:
        """Whether it is over, well or not."""
        return self.progress.state in ("done", "failed")

    def wait(
        self, timeout: float | None = None, *, progress: Callable[[Moved], object] | None = None
    ) -> Moved:
        """Wait until it is over; `progress` is called with how far it is, a few times a second.

        Raises
        ------
        HubError
            If it was given up: the source keeps all it has then. Also if it is not over after
            `timeout` seconds; it goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (now := self.progress).state not in ("done", "failed"):
            if progress is not None:
                progress(now)
            if until is not None and time.monotonic() > until:
                raise HubError(f"it is not over after {timeout:g} s: {now}")
            time.sleep(_POLL)
        if progress is not None:
            progress(now)
        if now.state == "failed":
            raise HubError(f"{now.source} was not migrated to {now.target}: {now.why}")
        return now

    def stop(self) -> None:
        """Give it up, if its end has not begun: the source keeps all it has."""
        self._call("migration_stop", migration=self.id, why="it was stopped")

    def carry(self) -> None:
        """Copy over what this notebook keeps in cell processes at the source.

        Raises
        ------
        GridError
            If something cannot be copied; the migration is given up then.
        """
        try:
            while (now := self.progress).state == "starting":
                time.sleep(_POLL)
            if now.state in ("done", "failed"):
                return  # waiting for it says why
            self._seats.move(now.source, now.target)
        except BaseException as error:
            why = str(error) if isinstance(error, GridError) else "it was interrupted"
            self._call("migration_stop", migration=self.id, why=why)
            self._seats.come_back()
            raise
        self._call("migration_carried", migration=self.id)

    def _read(self, told: Mapping[str, Any]) -> Moved:
        found = Moved.of(told, self._currency)
        if found.state == "failed":
            self._seats.come_back()
        return found

    def __repr__(self) -> str:
        return f"<Migration {self._last}>"


def stuck(seats: Seats, site: str) -> str:
    """Say what of this notebook stays at a site and cannot be copied; empty for nothing."""
    fixed = [each for each in seats.kept_only(site) if each.nbytes is None]
    if not fixed:
        return ""
    what = "; ".join(repr(each) for each in fixed[:3])
    return (
        f"migrate: {site} is held back by {what}: it has no pickle and cannot be copied; "
        "delete it first, or with force=True (--force) it ends with its worker"
    )
