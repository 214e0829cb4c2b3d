"""Loading what came back from a site, into a notebook's namespace and objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.kept import Kept, Place
from gridnb.cells.pickles import load, loading
from gridnb.cells.remote import Remote

__all__ = ["Loader"]


class Loader:
    """Makes values of one cell process, and a :class:`Remote` for each that stayed there.

    `kept` knows the values that stayed anywhere; `place` is where those of this process are.
    """

    def __init__(self, place: Place, kept: Kept | None = None) -> None:
        self.space: dict[str, Any] = {}
        self.kept = Kept() if kept is None else kept
        self._place = place

    def load(
        self,
        parts: list[bytearray],
        readonly: list[bool],
        nodes: Callable[[int], Any] | None,
        remotes: dict[str, dict[str, Any]],
    ) -> Any:
        """Load a value whose functions belong to `space` and whose references are `nodes`."""

        def remote(key: str) -> Remote:
            return self.kept.remote(key, self._place, remotes.get(key))

        def known(pid: Any) -> Any:
            return remote(pid) if isinstance(pid, str) else nodes and nodes(pid)

        buffers: list[Buffer] = [
            bytes(part) if fixed else part for part, fixed in zip(parts[1:], readonly, strict=True)
        ]
        with loading(self.space, remote):
            return load(parts[0], buffers, 1, known=known)[0]
