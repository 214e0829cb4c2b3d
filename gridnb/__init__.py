"""gridnb: say what a notebook cell needs, and what it may cost.

>>> import gridnb
>>> with gridnb.Grid(catalog="demo", budget="5 GD") as grid:  # doctest: +SKIP
...     lease = grid.request(cores=4)
...     grid.client.submit(sum, [1, 2]).result()
...     grid.bill()

In a notebook: ``%load_ext gridnb``, then ``%%grid`` on a cell.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.broker import Quote as Quote
    from gridnb.broker import Request as Request
    from gridnb.catalog import Catalog as Catalog
    from gridnb.errors import GridError as GridError
    from gridnb.grid import Grid as Grid
    from gridnb.grid import Lease as Lease
    from gridnb.jobs.job import Job as Job
    from gridnb.notebook.app import App as App
    from gridnb.units import Money as Money

__all__ = ["App", "Catalog", "Grid", "GridError", "Job", "Lease", "Money", "Quote", "Request"]
__version__ = "0.1.0"

_HOMES = {
    "App": "gridnb.notebook.app",
    "Catalog": "gridnb.catalog",
    "Grid": "gridnb.grid",
    "GridError": "gridnb.errors",
    "Job": "gridnb.jobs.job",
    "Lease": "gridnb.grid",
    "Money": "gridnb.units",
    "Quote": "gridnb.broker",
    "Request": "gridnb.broker",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def load_ipython_extension(shell: Any) -> None:
    """Register ``%grid`` and ``%%grid`` (``%load_ext gridnb``)."""
    from gridnb.notebook.magics import GridMagics

    magics = GridMagics(shell)
    shell.register_magics(magics)
    magics.register()


def unload_ipython_extension(shell: Any) -> None:
    """Leave completion and events alone again (``%unload_ext gridnb``); the grid runs on."""
    magics = shell.magics_manager.registry.pop("GridMagics", None)
    if magics is not None:
        magics.unregister()
