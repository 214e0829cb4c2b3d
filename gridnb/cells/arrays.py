"""NumPy arrays that share memory: views stay views across a pickle."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["Memory", "is_array"]


def is_array(value: Any) -> bool:
    """Whether a value is a plain ndarray, without importing NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _root(array: Any) -> Any:
    while is_array(array.base):
        array = array.base
    return array


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _order(array: Any) -> str | None:
    if array.flags.c_contiguous:
        return "C"
    return "F" if array.flags.f_contiguous else None


def _view(
    whole: Any, order: str, offset: int, shape: Any, strides: Any, dtype: Any, writable: bool
) -> Any:
    import numpy

    view: Any = numpy.ndarray(
        shape, dtype, buffer=whole if order == "C" else whole.T, offset=offset, strides=strides
    )
    view.flags.writeable = writable and whole.flags.writeable
    return view


class Memory:
    """Knows, of the arrays that travel together, which one holds the memory of the others."""

    def __init__(self, arrays: Iterable[Any]) -> None:
        self._whole: dict[int, Any] = {}
        self._kept: dict[int, Any] = {}
        groups: dict[int, list[Any]] = {}
        for array in arrays:
            root = _root(array)
            self._kept |= {id(array): array, id(root): root}
            groups.setdefault(id(root), []).append(array)
        for key, members in groups.items():
            self._add(key, members)

    def _add(self, key: int, members: list[Any]) -> None:
        root = _root(members[0])
        for array in (*members, root):
            if array.nbytes == root.nbytes and _order(array) and not array.dtype.hasobject:
                # A lone view of something that does not travel travels by itself.
                if array is not root or len(members) > 1 or members[0] is root:
                    self._whole[key] = array
                return

    def whole(self, array: Any) -> Any | None:
        """The array that holds this one's memory and travels too, if it is another."""
        found = self._whole.get(id(_root(array)))
        return None if found is array else found

    def reduce(self, value: Any) -> Any | None:
        """How to pickle a value if it is a view of an array that travels too."""
        if id(value) not in self._kept:
            return None
        whole = self.whole(value)
        if whole is None:
            return None
        offset = _address(value) - _address(whole)
        return _view, (
            whole,
            _order(whole),
            offset,
            value.shape,
            value.strides,
            value.dtype,
            bool(value.flags.writeable),
        )
