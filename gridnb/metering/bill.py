"""The bill: a row a charge, and summaries of it.

Amounts in the frames are :class:`decimal.Decimal`, so that the sum of a bill is
the sum of the ledger, to the last digit. pandas is imported when a bill is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gridnb.ledger.records import KINDS, Charge
from gridnb.units import exact

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "bill", "by"]

#: What each row of a bill says; all of it is as in :class:`gridnb.ledger.Charge`.
COLUMNS = (
    "time",
    "start",
    "end",
    "account",
    "run",
    "label",
    "site",
    "owner",
    "lease",
    "worker",
    "kind",
    "seconds",
    "amount",
    "currency",
    "estimated",
)
_TIMES = ("time", "start", "end")


def bill(charges: Iterable[Charge]) -> pd.DataFrame:
    """Return a frame with the columns :data:`COLUMNS` and a row a charge, in their order.

    ``seconds`` (worker-seconds in billed time) and ``amount`` (in ``currency``) are Decimals.
    """
    import pandas as pd

    rows = list(charges)
    data: dict[str, Any] = {}
    for name in COLUMNS:
        values = [getattr(row, name) for row in rows]
        if name in _TIMES:
            data[name] = pd.Series(values, dtype="datetime64[us, UTC]")
        else:
            # Given a dtype, pandas guesses none, also where there are no rows.
            kind = "bool" if name == "estimated" else "object"
            data[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(data, columns=list(COLUMNS))


def by(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Sum a bill up by ``"site"``, ``"run"``, ``"owner"``, … or several of them.

    The rows are indexed by these columns, in the order in which they first occur, and have
    ``currency``, an amount for each of used, kept, idle, overhead and egress, ``total``,
    ``seconds``, and ``estimated`` (whether any of it is). Two currencies are never added up:
    each has a row of its own.

    Raises
    ------
    ValueError
        If a column is none of a bill's, or none is given.
    """
    import pandas as pd

    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or not columns:
        wrong = f"{unknown[0]!r} is no column of a bill" if unknown else "no column is given"
        raise ValueError(f"{wrong}; sum up by one of {', '.join(COLUMNS)}")
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    needed = list(dict.fromkeys([*columns, "currency", "kind", "amount", "seconds", "estimated"]))
    for row in frame[needed].itertuples(index=False):
        name = tuple(getattr(row, column) for column in (*columns, "currency"))
        _add(groups.setdefault(name, _nothing(str(row.currency))), row)
    index = (
        pd.MultiIndex.from_tuples([name[:-1] for name in groups], names=columns)
        if groups
        else pd.MultiIndex.from_arrays([[] for _ in columns], names=columns)
    )
    sums = pd.DataFrame(list(groups.values()), columns=list(_nothing("")), dtype="object")
    sums.index = index if len(columns) > 1 else index.get_level_values(0)
    return sums.astype({"estimated": "bool"})


def _nothing(currency: str) -> dict[str, Any]:
    zeros = dict.fromkeys((*KINDS, "total", "seconds"), exact(0))
    return {"currency": currency, **zeros, "estimated": False}


def _add(sums: dict[str, Any], row: Any) -> None:
    sums[row.kind] += row.amount
    sums["total"] += row.amount
    sums["seconds"] += row.seconds
    sums["estimated"] = sums["estimated"] or bool(row.estimated)
