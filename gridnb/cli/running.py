"""``gridnb status`` and ``release``: grids of this user that run, and ending what they lease."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gridnb.cli.screen import console, write_json
from gridnb.errors import HubError
from gridnb.hub import find
from gridnb.hub.find import HubInfo

if TYPE_CHECKING:
    from gridnb.grid import Grid

__all__ = ["release", "status"]

#: Seconds that a hub may take to answer: it is on this machine.
PATIENCE = "5s"
NONE = "No grid runs. `%grid connect` in a notebook or gridnb.Grid() in Python starts one."


@contextmanager
def attached(hub: HubInfo) -> Iterator[Grid]:
    """Give a grid that runs, and leave it running.

    Raises
    ------
    HubError
        If its hub does not answer.
    """
    import dask.config

    from gridnb.grid import Grid
    from gridnb.hub import client  # noqa: F401 - brings the defaults that are changed below

    if hub.address is None:
        raise HubError(f"grid {hub.id} is only starting; ask again in a second")
    times = {"distributed.comm.timeouts.connect": PATIENCE}
    with dask.config.set(times):
        try:
            grid = Grid.attach(hub)
        except OSError as error:
            raise HubError(
                f"grid {hub.id}: its hub (process {hub.pid}) does not answer within {PATIENCE}; "
                f"if it stays so, end it with `kill {hub.pid}` and run `gridnb reap`"
            ) from error
        try:
            yield grid
        finally:
            grid.disconnect()


def _chosen(name: str | None) -> list[HubInfo]:
    """Return the grids that run, or those of an id or a name."""
    running = find.hubs()
    fits = [hub for hub in running if name is None or name in (hub.id, hub.name)]
    if name is not None and not fits:
        known = ", ".join(f"{hub.id} ({hub.name})" for hub in running) or "none"
        raise HubError(f"no grid {name!r} runs; there are: {known}")
    return fits


def status(arguments: Namespace) -> int:
    """Show what runs; 1 if a hub does not answer."""
    chosen = _chosen(arguments.grid)
    if arguments.watch and chosen:
        return _watch(chosen[-1])
    found, silent = [], []
    for hub in chosen:
        try:
            with attached(hub) as grid:
                found.append(grid.status(bill=True))
        except HubError as error:
            silent.append(str(error))
    lost = [hub for hub in find.hubs(alive=False) if arguments.grid in (None, hub.id, hub.name)]
    if arguments.json:
        write_json({"grids": found, "silent": silent, "lost": [hub.id for hub in lost]})
    else:
        _show(found, silent, lost)
    return int(bool(silent))


def _show(found: list[dict[str, Any]], silent: list[str], lost: list[HubInfo]) -> None:
    from gridnb.tables import status_view

    screen = console()
    if not found and not silent:
        screen.print(NONE)
    for number, each in enumerate(found):
        screen.print(*([""] if number else []), status_view(each), sep="\n")
    for text in silent:
        screen.print(text, style="red", markup=False)
    for hub in lost:
        screen.print(
            f"\n{hub.id} ({hub.name}) lost its hub; `gridnb reap` settles and cleans up",
            style="yellow",
        )


def _watch(hub: HubInfo) -> int:
    """Show a grid each second, until Ctrl-C or until it ends."""
    from rich.live import Live

    from gridnb.tables import status_view

    screen = console()
    with attached(hub) as grid, Live(console=screen, auto_refresh=False) as live:
        try:
            while True:
                live.update(status_view(grid.status()), refresh=True)
                time.sleep(1)
        except KeyboardInterrupt:
            return 0
        except HubError:
            if find.hubs() and hub.id in {each.id for each in find.hubs()}:
                raise
    screen.print(f"grid {hub.id} has ended")
    return 0


def release(arguments: Namespace) -> int:
    """End leases, and with ``--end`` grids; says what was ended and what it has cost."""
    released = [_release(hub, lease, end=arguments.end) for hub, lease in _targets(arguments)]
    if arguments.json:
        write_json({"released": released})
        return 0
    screen = console()
    for each in released:
        leases = ", ".join(each["leases"]) or "no lease was active"
        spent = "" if each["spent"] is None else f"; {each['spent']} spent"
        ended = "; the grid has ended" if each["ended"] else ""
        screen.print(f"grid {each['grid']}: released {leases}{spent}{ended}", markup=False)
    if not released:
        screen.print(NONE)
    return 0


def _targets(arguments: Namespace) -> list[tuple[HubInfo, str | None]]:
    """Return which leases (None for all) of which grids are meant."""
    what: str | None = arguments.what
    running = find.hubs()
    if arguments.all or what is None:
        if len(running) > 1 and not arguments.all:
            known = ", ".join(f"{hub.id} ({hub.name})" for hub in running)
            raise HubError(f"several grids run: {known}; name one of them, or a lease, or --all")
        return [(hub, None) for hub in running]
    grids = [hub for hub in running if what in (hub.id, hub.name)]
    if grids:
        return [(hub, None) for hub in grids]
    owners = [hub for hub in running if what.startswith(f"{hub.id}-")]
    if not owners:
        known = ", ".join(f"{hub.id} ({hub.name})" for hub in running) or "none"
        raise HubError(
            f"there is no grid or lease {what!r}; grids that run: {known}; "
            "`gridnb status` shows their leases"
        )
    return [(owners[0], what)]


def _release(hub: HubInfo, lease: str | None, *, end: bool) -> dict[str, Any]:
    with attached(hub) as grid:
        leases = grid.release(lease)
        spent = str(grid.spent)
        if end:
            grid.close()
    return {"grid": hub.id, "leases": leases, "spent": spent, "ended": end}
