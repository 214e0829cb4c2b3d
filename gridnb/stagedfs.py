"""``grid-stage://`` for fsspec, and so for Dask, pandas, pyarrow and all that reads with it.

Paths stay names until a file is touched, so that a graph made in the notebook reads at each
site what the site has. Found by fsspec through the entry point group ``fsspec.specs``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from gridnb.staged import SCHEME, GridPath, locate

__all__ = ["StagedFileSystem", "register"]


class StagedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files behind :class:`gridnb.staged.GridPath`; what was staged cannot be written."""

    protocol = SCHEME
    # What lies at a place changes when something is written or brought there.
    use_listings_cache = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._local = LocalFileSystem(auto_mkdir=True)

    @staticmethod
    def _here(path: str) -> str:
        return str(locate(GridPath(f"{SCHEME}://{path.removeprefix(f'{SCHEME}://')}")))

    def _named(self, info: dict[str, Any], below: str, path: str) -> dict[str, Any]:
        """Put the name back in place of the path here."""
        inside = Path(info["name"]).relative_to(below).as_posix()
        name = self._strip_protocol(path)
        return {**info, "name": name if inside == "." else f"{name}/{inside}"}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """List a directory at this place."""
        here = self._here(path)
        found = [self._named(each, here, path) for each in self._local.ls(here, detail=True)]
        return found if detail else sorted(each["name"] for each in found)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Describe a file or directory at this place."""
        here = self._here(path)
        return self._named(self._local.info(here), here, path)

    def ukey(self, path: str) -> str:
        """What the content depends on: of a staged file it is the name."""
        found = GridPath(f"{SCHEME}://{self._strip_protocol(path)}")
        return found.path if found.digest else str(super().ukey(path))

    def modified(self, path: str) -> Any:
        """Return when it was last written at this place."""
        return self._local.modified(self._here(path))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return self._local.open(self._here(path), mode)

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Make a directory at this place."""
        self._local.mkdir(self._here(path), create_parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory, and those above it, at this place."""
        self._local.makedirs(self._here(path), exist_ok=exist_ok)

    def rm_file(self, path: str) -> None:
        """Remove a file at this place."""
        self._local.rm_file(self._here(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory at this place."""
        self._local.rmdir(self._here(path))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file at this place."""
        shutil.copyfile(self._here(path1), self._here(path2))


def register() -> None:
    """Let fsspec know of it also where gridnb is not installed but on the path."""
    fsspec.register_implementation(SCHEME, StagedFileSystem, clobber=True)
