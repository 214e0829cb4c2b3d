"""Loading what came back from a site, into a notebook's namespace and objects."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.pickles import load, loading
from gridnb.cells.remote import Remote

__all__ = ["Loader"]


class Loader:
    """Makes values of one cell process, and a :class:`Remote` for each that stayed there.

    `fetch` brings a value here by its key.
    """

    def __init__(self, site: str, fetch: Callable[[str], Any]) -> None:
        self.site = site
        self.space: dict[str, Any] = {}
        self._fetch = fetch
        self._remotes: weakref.WeakValueDictionary[str, Remote] = weakref.WeakValueDictionary()
        self._drops: list[str] = []

    def load(
        self,
        parts: list[bytearray],
        readonly: list[bool],
        nodes: Callable[[int], Any] | None,
        remotes: dict[str, dict[str, Any]],
    ) -> Any:
        """Load a value whose functions belong to `space` and whose references are `nodes`."""

        def remote(key: str) -> Remote:
            found = self._remotes.get(key)
            if found is None:
                found = Remote(key, self.site, fetch=self._fetch, **remotes[key])
                self._remotes[key] = found
                weakref.finalize(found, self._drops.append, key)
            return found

        def known(pid: Any) -> Any:
            return remote(pid) if isinstance(pid, str) else nodes and nodes(pid)

        buffers: list[Buffer] = [
            bytes(part) if fixed else part for part, fixed in zip(parts[1:], readonly, strict=True)
        ]
        with loading(self.space, remote):
            return load(parts[0], buffers, 1, known=known)[0]

    def take_drops(self) -> list[str]:
        """Keys of remotes that nobody here holds any more."""
        drops, self._drops[:] = self._drops[:], []
        return drops
