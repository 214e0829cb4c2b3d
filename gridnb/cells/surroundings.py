"""What a run at a site finds beside its names, and what it leaves behind there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from gridnb.cells import ambient
from gridnb.cells.marks import differences
from gridnb.cells.modules import Finder

__all__ = ["Surroundings"]


class Surroundings:
    """Working directory, random numbers, settings, local modules and threads of one run.

    Made right before the body runs: makes this process like the notebook's, as `header` says it
    is. The runs of a map draw other random numbers each.
    """

    def __init__(self, header: Mapping[str, Any], finder: Finder) -> None:
        self._finder = finder
        self._modules = header["marks"]
        self._single = header["returns"] == "names"
        self._before, refused = ambient.enter(header["ambient"])
        self._refused = [ambient.title(name) for name in refused]
        if not self._single:
            ambient.fresh()
        ambient.LOGS.missed()
        self._environ = _environ()
        self._threads = set(threading.enumerate())

    def left(self, space: dict[str, Any], told: list[str]) -> dict[str, Any]:
        """Say what the kernel has to know of it, for the header of the outcome.

        `told` are sentences of others.
        """
        unlike = [*differences(self._modules, self._finder.marks), *self._refused]
        return {
            "threads": self._going_on(space),
            "ambient": ambient.left(self._before) if self._single else {},
            "unlike": unlike,
            "kept_back": differences(self._finder.marks, self._finder.look()),
            "told": [*told, *self._missed(), *self._environment()],
        }

    def _missed(self) -> list[str]:
        """Say which log handlers of the notebook had nothing of what was logged."""
        found = ambient.LOGS.missed()
        if not found:
            return []
        return [f"log records stayed away from {', '.join(found)}, which is in the notebook only"]

    def _environment(self) -> list[str]:
        """Undo what the cell did to the environment of this process, and say so."""
        now, before = _environ(), self._environ
        if now == before:
            return []
        names = sorted({n for n in now.keys() | before.keys() if now.get(n) != before.get(n)})
        for name in names:
            if name in before:
                os.environb[name] = before[name]
            else:
                del os.environb[name]
        return [
            "environment variables were set at the site, for this cell only: "
            + ", ".join(map(os.fsdecode, names))
        ]

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


def _environ() -> dict[Any, Any]:
    # A copy by the public way decodes each variable anew, which takes longer than all the rest.
    environ: Any = os.environ
    return dict(environ._data)
