"""A grid in the side panel of the Dask extension for JupyterLab.

The panel's *New* button makes a cluster from a class that Dask's configuration names::

    labextension:
      factory:
        module: gridnb.labextension
        class: GridCluster
        args: []
        kwargs: {catalog: demo, budget: 5 GD}

The class is used inside the Jupyter server, whose loop must not wait: the grid lives in
threads of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from gridnb.errors import HubError, RequestError
from gridnb.grid import Grid
from gridnb.hub.comm import SCHEME

__all__ = ["GridCluster"]


class GridCluster:
    """What the extension takes for a cluster.

    Parameters
    ----------
    catalog, budget, account, name
        As for :class:`gridnb.Grid`; the account is ``JupyterLab`` if none is named.
    attach
        Instead of a new grid show one that runs: its id or name, or ``newest``. Closing it
        in the panel lets it run on.
    confirm
        ``never`` lets the panel spend real money: nobody can be asked here.

    Raises
    ------
    RequestError
        If a grid is to be attached that also has a catalog, budget or account.
    """

    def __init__(
        self,
        catalog: str | None = None,
        budget: str | None = None,
        account: str | None = None,
        name: str | None = None,
        *,
        attach: str | None = None,
        confirm: str = "ask",
        asynchronous: bool = True,
    ) -> None:
        if attach is not None and (catalog or budget or account):
            raise RequestError(
                "labextension.factory.kwargs: attach takes a grid as it runs; "
                "leave out catalog, budget and account"
            )
        self._grid: Grid
        self._made = {"catalog": catalog, "budget": budget, "account": account or "JupyterLab"}
        self._name, self._attach, self._confirm = name, attach, confirm
        #: Address of Dask's dashboard, or nothing where bokeh is missing.
        self.dashboard_link = ""

    def __await__(self) -> Generator[Any, None, GridCluster]:
        return self._start().__await__()

    async def _start(self) -> GridCluster:
        await asyncio.to_thread(self._connect)
        return self

    def _connect(self) -> None:
        if self._attach is None:
            self._grid = Grid(**self._made, name=self._name or "JupyterLab")
        else:
            self._grid = Grid.attach(None if self._attach == "newest" else self._attach)
        if self._confirm == "never":
            self._grid.consent()
        try:
            self.dashboard_link = self._grid.cluster.dashboard_link
        except HubError:  # it needs bokeh; all the rest does not
            self.dashboard_link = ""

    @property
    def scheduler_info(self) -> dict[str, Any]:
        """Workers, cores and memory, as Dask's scheduler tells them."""
        info: dict[str, Any] = self._grid.cluster.scheduler_info
        return info

    @property
    def scheduler_address(self) -> str:
        """What a client in any notebook of this user connects to."""
        return self._grid.cluster.scheduler_address.replace("tls://", SCHEME)

    async def scale(self, n: int) -> None:
        """Bring the grid to `n` workers; paid before they start.

        Raises
        ------
        GridError
            If they cannot be had or paid for.
        """
        await asyncio.to_thread(self._grid.scale, n)

    def adapt(self, **limits: Any) -> Any:
        """Follow the work between ``minimum`` and ``maximum`` workers."""
        return self._grid.cluster.adapt(**limits)

    async def close(self) -> None:
        """End the grid; one that was attached runs on."""
        end = self._grid.close if self._attach is None else self._grid.disconnect
        await asyncio.to_thread(end)
