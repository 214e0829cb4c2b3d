"""Tables of TPC-H, held at the sites in parts, and three of its queries as dataframe code.

They are made by ``tpchgen-cli`` where that is installed, else with numpy, of the same sizes
and with the same columns and keys; :func:`made_by` says which.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import wait

__all__ = ["PARTS", "made_by", "make", "put", "q1", "q3", "q5"]

SCALE = 0.05
#: In how many parts each table is held.
PARTS = {"lineitem": 12, "orders": 6, "customer": 3, "supplier": 3, "nation": 1, "region": 1}
_COLUMNS = {
    "lineitem": (
        "l_orderkey l_suppkey l_quantity l_extendedprice l_discount l_tax l_returnflag "
        "l_linestatus l_shipdate"
    ),
    "orders": "o_orderkey o_custkey o_orderdate o_shippriority",
    "customer": "c_custkey c_nationkey c_mktsegment",
    "supplier": "s_suppkey s_nationkey",
    "nation": "n_nationkey n_name n_regionkey",
    "region": "r_regionkey r_name",
}

_NUMBERS = frozenset({"l_quantity", "l_extendedprice", "l_discount", "l_tax"})

Tables = Mapping[str, Any]


# the data


def _generator() -> str | None:
    beside = Path(sys.executable).with_name("tpchgen-cli")
    return str(beside) if beside.exists() else shutil.which("tpchgen-cli")


def made_by() -> str:
    """Say what makes the tables here."""
    return "tpchgen-cli" if _generator() else "numpy"


def make(directory: Path) -> dict[str, list[str]]:
    """Write all tables in parts; returns their files."""
    generator = _generator()
    found = {}
    for name, parts in PARTS.items():
        if generator is None:
            found[name] = _write(directory, name, _like(name), parts)
            continue
        where = ["--tables", name, "--parts", str(parts), "--output-dir", str(directory)]
        subprocess.run([generator, "parquet", "-s", str(SCALE), *where], check=True)
        files = sorted((directory / name).glob("*.parquet"), key=_number)
        found[name] = [str(path) for path in files]
    return found


def _number(path: Path) -> int:
    return int(path.name.split(".")[1])


def _write(directory: Path, name: str, frame: pd.DataFrame, parts: int) -> list[str]:
    edges = [len(frame) * n // parts for n in range(parts + 1)]
    paths = [directory / f"{name}.{n}.parquet" for n in range(parts)]
    for path, begin, end in zip(paths, edges, edges[1:], strict=False):
        frame.iloc[begin:end].to_parquet(path)
    return [str(path) for path in paths]


def _like(name: str) -> pd.DataFrame:
    """A table with the columns that the queries read, random where TPC-H's are."""
    random = np.random.default_rng(list(PARTS).index(name))
    orders, customers, suppliers = (int(n * SCALE) for n in (1_500_000, 150_000, 10_000))
    days = pd.Timestamp("1992-01-01")
    if name == "region":
        return pd.DataFrame({"r_regionkey": range(5), "r_name": _REGIONS})
    if name == "nation":
        keys = np.arange(25)
        names = [f"NATION {n}" for n in keys]
        return pd.DataFrame({"n_nationkey": keys, "n_name": names, "n_regionkey": keys % 5})
    if name == "supplier":
        keys = np.arange(1, suppliers + 1)
        return pd.DataFrame({"s_suppkey": keys, "s_nationkey": random.integers(0, 25, len(keys))})
    if name == "customer":
        segment = np.array(_SEGMENTS)[random.integers(0, 5, customers)]
        nation = random.integers(0, 25, customers)
        keys = np.arange(1, customers + 1)
        return pd.DataFrame({"c_custkey": keys, "c_nationkey": nation, "c_mktsegment": segment})
    keys = np.arange(1, orders + 1)
    date = days + pd.to_timedelta(np.random.default_rng(0).integers(0, 2400, orders), unit="D")
    if name == "orders":
        buyer = random.integers(1, customers + 1, orders)
        return pd.DataFrame(
            {"o_orderkey": keys, "o_custkey": buyer, "o_orderdate": date, "o_shippriority": 0}
        )
    times = random.integers(1, 8, orders)
    count = int(times.sum())
    shipped = np.repeat(date.to_numpy(), times) + random.integers(1, 122, count).astype("m8[D]")
    return pd.DataFrame(
        {
            "l_orderkey": np.repeat(keys, times),
            "l_suppkey": random.integers(1, suppliers + 1, count),
            "l_quantity": random.integers(1, 51, count).astype(float),
            "l_extendedprice": random.random(count) * 1e5,
            "l_discount": random.integers(0, 11, count) / 100,
            "l_tax": random.integers(0, 9, count) / 100,
            "l_returnflag": np.array(list("ANR"))[random.integers(0, 3, count)],
            "l_linestatus": np.array(list("FO"))[random.integers(0, 2, count)],
            "l_shipdate": shipped,
        }
    )


_REGIONS = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
_SEGMENTS = ["AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY"]


def _read(path: str, name: str) -> pd.DataFrame:
    frame = pd.read_parquet(path, columns=_COLUMNS[name].split())
    return frame.astype({name: _kind(name) for name in frame.columns})


def _kind(column: str) -> str:
    """Return how a column is held: money as float, not as TPC-H's decimal."""
    if column.endswith("date"):
        return "datetime64[ns]"
    if column.endswith(("key", "priority")):
        return "int64"
    return "float64" if column in _NUMBERS else "string[pyarrow]"


def put(client: Any, files: Mapping[str, Sequence[str]], sites: Sequence[Sequence[str]]) -> Tables:
    """Have each site read and hold a contiguous share of each table; returns dataframes of them.

    `sites` are the addresses of each site's workers.
    """
    held = {}
    for name, paths in files.items():
        where = [sites[n * len(sites) // len(paths)] for n in range(len(paths))]
        parts = [
            client.submit(_read, path, name, workers=list(site), pure=False)
            for path, site in zip(paths, where, strict=True)
        ]
        meta = _read(paths[0], name).head(0)
        held[name] = (parts, meta)
    wait([part for parts, _ in held.values() for part in parts])
    return {
        name: dd.from_delayed(parts, meta=meta, verify_meta=False)
        for name, (parts, meta) in held.items()
    }


# the queries


def q1(tables: Tables) -> Any:
    """Pricing summary: a filter and sums in a few groups."""
    items = tables["lineitem"]
    items = items[items.l_shipdate <= pd.Timestamp("1998-09-02")]
    price = items.l_extendedprice * (1 - items.l_discount)
    items = items.assign(disc_price=price, charge=price * (1 + items.l_tax))
    sums = items.groupby(["l_returnflag", "l_linestatus"]).agg(
        {
            "l_quantity": ["sum", "mean"],
            "l_extendedprice": ["sum", "mean"],
            "disc_price": "sum",
            "charge": "sum",
            "l_discount": "mean",
            "l_orderkey": "count",
        }
    )
    return sums.sum().sum()


def q3(tables: Tables) -> Any:
    """Unshipped orders of most value: two joins, then a group for each order."""
    date = pd.Timestamp("1995-03-15")
    customer, orders, items = (tables[name] for name in ("customer", "orders", "lineitem"))
    customer = customer[customer.c_mktsegment == "BUILDING"][["c_custkey"]]
    orders = orders[orders.o_orderdate < date]
    items = items[items.l_shipdate > date]
    joined = orders.merge(customer, left_on="o_custkey", right_on="c_custkey")
    joined = joined.merge(items, left_on="o_orderkey", right_on="l_orderkey")
    joined = joined.assign(revenue=joined.l_extendedprice * (1 - joined.l_discount))
    sums = joined.groupby(["l_orderkey", "o_orderdate", "o_shippriority"]).revenue.sum()
    return sums.nlargest(10).sum()


def q5(tables: Tables) -> Any:
    """Revenue by local suppliers: six tables, two of them in every join of the others."""
    begin, end = pd.Timestamp("1994-01-01"), pd.Timestamp("1995-01-01")
    orders, items = tables["orders"], tables["lineitem"]
    orders = orders[(orders.o_orderdate >= begin) & (orders.o_orderdate < end)]
    region = tables["region"]
    nation = tables["nation"].merge(
        region[region.r_name == "ASIA"], left_on="n_regionkey", right_on="r_regionkey"
    )
    supplier = tables["supplier"].merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    joined = tables["customer"].merge(orders, left_on="c_custkey", right_on="o_custkey")
    joined = joined.merge(items, left_on="o_orderkey", right_on="l_orderkey")
    joined = joined.merge(
        supplier, left_on=["l_suppkey", "c_nationkey"], right_on=["s_suppkey", "s_nationkey"]
    )
    joined = joined.assign(revenue=joined.l_extendedprice * (1 - joined.l_discount))
    return joined.groupby("n_name").revenue.sum().nlargest(5).sum()
