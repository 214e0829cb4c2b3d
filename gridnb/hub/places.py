"""Where hubs leave what others have to find: runtime directories, records, locks.

The runtime directory of a grid (mode 0700) has its address, its log and its
keys; it goes with the hub. The records directory has what the grid was, how
long each worker was up, and the lock that says that the hub lives; it stays
until all of that is settled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from gridnb.errors import HubError
from gridnb.staged import forget as forget_staged

__all__ = ["Place", "places", "private", "write_json"]


def private(path: Path) -> Path:
    """Make a directory that only its owner can enter.

    Raises
    ------
    HubError
        If there is one that belongs to somebody else or is open to others.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    info = path.lstat()
    if info.st_uid != os.getuid():
        raise HubError(f"{path} belongs to another user; set XDG_RUNTIME_DIR to a place of yours")
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path


def _runtime() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    root = Path(base) if base else Path(tempfile.gettempdir()) / f"gridnb-{os.getuid()}"
    return private(root / "gridnb" if base else root)


def _records() -> Path:
    return private(Path(platformdirs.user_data_dir("gridnb")) / "grids")


@dataclass(frozen=True)
class Place:
    """The directories of one grid."""

    grid: str
    directory: Path
    records: Path

    @classmethod
    def new(cls, grid: str) -> Place:
        """Create the directories of a new grid."""
        return cls(grid, private(_runtime() / grid), private(_records() / grid))

    @classmethod
    def of(cls, grid: str) -> Place:
        """Return where an existing grid keeps its things, whatever this process's environment.

        Raises
        ------
        HubError
            If there is none of that id.
        """
        records = _records() / grid
        try:
            spec = json.loads((records / "grid.json").read_text())
        except FileNotFoundError:
            raise HubError(
                f"there is no grid {grid}; `gridnb status` lists those that are"
            ) from None
        return cls(grid, Path(spec["directory"]), records)

    def describe(self, spec: dict[str, Any]) -> None:
        """Write down what the grid is; from then on others see it."""
        here = {"directory": str(self.directory), "host": socket.gethostname()}
        write_json(self.records / "grid.json", {**spec, **here})

    def spec(self) -> dict[str, Any]:
        """Return what :meth:`describe` wrote."""
        text = (self.records / "grid.json").read_text()
        spec: dict[str, Any] = json.loads(text)
        return spec

    def announce(self, info: dict[str, Any]) -> None:
        """Write how the hub is reached."""
        write_json(self.directory / "hub.json", info)

    def info(self) -> dict[str, Any] | None:
        """Return how the hub is reached, or None if it never said."""
        try:
            info: dict[str, Any] = json.loads((self.directory / "hub.json").read_text())
        except FileNotFoundError:
            return None
        return info

    def lock(self) -> int:
        """Take the lock that says that the hub is alive; returns its descriptor.

        It goes with the last process that has the descriptor, whatever ends it.

        Raises
        ------
        BlockingIOError
            If somebody has it.
        """
        fd = os.open(self.records / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise
        return fd

    @property
    def alive(self) -> bool:
        """Whether the hub runs: it holds its lock."""
        try:
            os.close(self.lock())
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    @classmethod
    def alive_of(cls, grid: str) -> bool:
        """Whether the hub of a grid runs, if there is such a grid at all."""
        try:
            return cls.of(grid).alive
        except HubError:
            return False

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of the hub's log."""
        try:
            return "\n".join((self.directory / "hub.log").read_text().splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def forget(self) -> None:
        """Remove both directories, and what was staged."""
        forget_staged(self.grid)
        for path in (self.directory, self.records):
            if path.exists():
                shutil.rmtree(path)


def places() -> list[Place]:
    """Return the places of all grids that left something, oldest first."""
    found = []
    for path in _records().iterdir():
        with contextlib.suppress(HubError, FileNotFoundError):  # it was forgotten meanwhile
            found.append(((path / "grid.json").stat().st_mtime, Place.of(path.name)))
    return [place for _, place in sorted(found, key=lambda each: each[0])]


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace a file of mode 0600 in one step."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    part.replace(path)
