"""What workers of a benchmark import, once, in the process that they are forked from."""

from __future__ import annotations

import dask.array
import dask.dataframe
import distributed.shuffle
import pandas
import pyarrow.parquet

import benchmarks._workloads
import gridnb.cluster.worker

__all__ = ["benchmarks", "dask", "distributed", "gridnb", "pandas", "pyarrow"]
