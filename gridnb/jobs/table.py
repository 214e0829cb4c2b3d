"""What the pieces of a cell gave, as a list or as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame", "renamed", "short", "some"]


def frame(
    values: Sequence[Any], bound: Sequence[dict[str, Any]], names: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the table of a sweep: a row for each result, a column for each parameter.

    Results that are all dictionaries give a column for each of their keys (see
    :func:`renamed`), any others the column ``result``. `names` are the parameters, where there
    may be no row that has them.
    """
    import pandas as pd

    parameters = list(names or (bound[0] if bound else ()))
    columns = {name: _column([piece[name] for piece in bound]) for name in parameters}
    new = renamed(values, parameters)
    if _all_dicts(values):
        for key, name in new.items():
            columns[name] = _column([value.get(key) for value in values])
    elif values or parameters:
        columns[new["result"]] = _column(values)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(bound)))


def renamed(values: Sequence[Any], names: Sequence[str]) -> dict[Any, str]:
    """Return the columns of results by what they are called there; none has a parameter's name.

    A key of two kinds (``1`` and ``"1"``) gives two columns.
    """
    keys = dict.fromkeys(key for value in values for key in value) if _all_dicts(values) else {}
    found: dict[Any, str] = {}
    taken = {*names}
    for key in keys or ["result"]:
        name = str(key)
        while name in taken:
            name += "_result"
        taken.add(name)
        found[key] = name
    return found


def _all_dicts(values: Sequence[Any]) -> bool:
    return bool(values) and all(type(value) is dict for value in values)


def _column(values: Sequence[Any]) -> Any:
    """Make a column; what is no plain value stays the object that it is."""
    import numpy as np
    import pandas as pd

    if all(pd.api.types.is_scalar(value) for value in values):
        return pd.Series(list(values), dtype=None if values else object)
    made = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        made[row] = value
    return pd.Series(made)


def short(piece: dict[str, Any]) -> str:
    """Name a piece by its values, on one line."""
    return ", ".join(f"{name} = {_cut(value)}" for name, value in piece.items())


def _cut(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 - user classes raise what they like
        text = f"({type(value).__name__}, whose repr failed: {type(error).__name__})"
    return text if len(text) <= 60 else text[:59] + "…"


def some(texts: Sequence[str], most: int = 8, between: str = ", ") -> str:
    """Join texts; of many only the first."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more
