"""Files: standard streams and closed ones (what ``with open(…) as f`` leaves) can travel."""

from __future__ import annotations

import io
import os
import pickle
import sys
from typing import Any

__all__ = ["reduce_file"]


def reduce_file(file: Any) -> Any:
    """How to pickle a file: a closed one as another closed one of the same kind and name.

    Raises
    ------
    pickle.PicklingError
        For an open file; cloudpickle would send a copy of its text instead.
    """
    for name in ("stdin", "stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    if not file.closed:
        if type(file) in (io.StringIO, io.BytesIO):
            return NotImplemented
        raise pickle.PicklingError("an open file belongs to the process that opened it")
    if type(file) in (io.StringIO, io.BytesIO):
        return _closed_memory, (type(file),)
    if type(file) in (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.FileIO):
        return _closed_file, (type(file), str(file.name), file.mode, _encoding(file))
    return NotImplemented


def _encoding(file: Any) -> str | None:
    return file.encoding if isinstance(file, io.TextIOWrapper) else None


def _closed_memory(kind: type[io.StringIO] | type[io.BytesIO]) -> Any:
    file = kind()
    file.close()
    return file


def _closed_file(kind: type, name: str, mode: str, encoding: str | None) -> Any:
    file: Any = io.FileIO(os.devnull, mode.replace("t", "").replace("b", "").replace("x", "w"))
    file.name = name
    if kind is not io.FileIO:
        file = (io.BufferedReader if file.readable() else io.BufferedWriter)(file)
    if kind is io.TextIOWrapper:
        file = io.TextIOWrapper(file, encoding=encoding)
        file.mode = mode
    file.close()
    return file
