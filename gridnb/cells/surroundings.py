"""What a run at a site finds beside its names, and what it leaves behind there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

from gridnb.cells import ambient
from gridnb.cells.marks import differences
from gridnb.cells.modules import Finder

__all__ = ["Surroundings"]


class Surroundings:
    """Working directory, random numbers, local modules and threads of one run.

    Made right before the body runs: makes this process like the notebook's, as `header` says it
    is. The runs of a map draw other random numbers each.
    """

    def __init__(self, header: Mapping[str, Any], finder: Finder) -> None:
        self._finder = finder
        self._modules = header["marks"]
        self._single = header["returns"] == "names"
        self._before = ambient.enter(header["ambient"])
        if not self._single:
            ambient.fresh()
        self._elsewhere = self._before.get("cwd") != header["ambient"].get("cwd")
        self._threads = set(threading.enumerate())

    def left(self, space: dict[str, Any]) -> dict[str, Any]:
        """Say what the kernel has to know of it, for the header of the outcome."""
        unlike = differences(self._modules, self._finder.marks)
        return {
            "threads": self._going_on(space),
            "ambient": ambient.left(self._before) if self._single else {},
            "unlike": [*unlike, *(["the working directory"] if self._elsewhere else [])],
            "kept_back": differences(self._finder.marks, self._finder.look()),
        }

    def _going_on(self, space: dict[str, Any]) -> list[str]:
        """Names of new threads that still run code of the cell."""
        frames = sys._current_frames()
        found = []
        for thread in set(threading.enumerate()) - self._threads:
            frame = frames.get(thread.ident or 0)
            while frame is not None and frame.f_globals is not space:
                frame = frame.f_back
            if frame is not None:
                found.append(thread.name)
        return sorted(found)
