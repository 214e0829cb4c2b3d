"""Bytes that a kernel carries from one site to another, as the link between them would."""

from __future__ import annotations

import time
from pathlib import Path

from gridnb.cluster.links import LinkDown, LinkTable
from gridnb.errors import BudgetError, CellError
from gridnb.units import format_bytes

__all__ = ["Carrier"]

_PATIENCE = 15.0  # seconds in which money for the egress has to be set aside
_POLL = 0.05  # seconds between looks at money, and at what else the link carries


class Carrier:
    """Waits as long as a transfer between simulated sites takes, when it is paid for.

    `directory` is that of the grid; where no link is modelled there is nothing to wait for.
    """

    def __init__(self, directory: Path) -> None:
        self._table = directory / "links"

    def __call__(self, source: str, target: str, nbytes: int) -> None:
        """Take the link for a transfer.

        Raises
        ------
        BudgetError
            If the budget does not pay for the bytes that leave the site.
        CellError
            If the link is cut.
        """
        if source == target or not self._table.exists():
            return
        links = LinkTable(self._table)
        try:
            _carry(links, source, target, nbytes)
        except LinkDown as error:
            raise CellError(
                f"{error}, and {format_bytes(nbytes)} had to go over it; try again when "
                f"`grid.links[{source!r}, {target!r}].restore()` has been called"
            ) from None
        finally:
            links.close()


def _carry(links: LinkTable, source: str, target: str, nbytes: int) -> None:
    until = time.monotonic() + _PATIENCE
    while (transfer := links.begin(source, target, nbytes)) is None:
        if time.monotonic() > until:
            raise BudgetError(
                f"the budget does not pay for {format_bytes(nbytes)} to leave {source} for "
                f"{target}; raise it with `%grid budget`"
            )
        time.sleep(_POLL)
    try:
        while left := links.look(transfer):
            time.sleep(min(left, _POLL))
    except BaseException:  # it is interrupted, or the link is cut
        links.drop(transfer)
        raise
    time.sleep(links.latency(source, target))
