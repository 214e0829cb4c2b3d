"""Paths that have the same name at every site, in the notebook, and in a graph on its way.

A :class:`GridPath` is ``os.PathLike``: what opens it (``open``, pandas, pyarrow) gets the file
of the place where it is opened. Written as text it is a URL (``grid-stage://…``), which fsspec
and all that builds on it read at every place, too. Two areas lie behind such names: what was
staged, under its digest, which nobody changes; and the volume, into which tasks write.

Each site has a directory of its own, which a process there finds by the variable
:data:`ROOT`; the workers of a site share it. A process that opens what is not there leaves a
wish, which a worker of the site fulfils (:mod:`gridnb.cluster.staging`).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gridnb.errors import StageError

__all__ = [
    "NOTEBOOK",
    "ROOT",
    "SCHEME",
    "VOLUME",
    "GridPath",
    "changed",
    "directory",
    "forget",
    "hold",
    "owner",
    "release",
]

#: The scheme of the URLs.
SCHEME = "grid-stage"
#: The variable that names the directory of a process's site.
ROOT = "GRIDNB_STAGE"
#: The area into which tasks and cells write.
VOLUME = "volume"
#: Where the notebook is, among the sites. No site can have such a name.
NOTEBOOK = "the notebook"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PATIENCE = 60.0  # seconds in which some worker of the site has to care for a wish
_POLL = 0.03


def nobody() -> Hashable:
    """Say that a path is opened for nobody in particular: it is held until the process ends."""
    return None


#: Says for whom a path is opened in this thread; workers put in who runs there.
owner: Callable[[], Hashable] = nobody

_held: dict[tuple[str, str], tuple[int, set[Hashable]]] = {}
_guard = threading.Lock()


def _base() -> Path:
    import platformdirs

    # Not the runtime directory: that is often memory.
    return Path(platformdirs.user_cache_dir("gridnb")) / "stage"


def directory(grid: str, place: str) -> Path:
    """Return where a site of a grid on this machine, or the notebook, keeps its files."""
    return _base() / grid / place.replace(" ", "-")


def forget(grid: str) -> None:
    """Remove all that a grid has staged on this machine."""
    shutil.rmtree(_base() / grid, ignore_errors=True)


class GridPath(os.PathLike[str]):
    """A file or directory under one name at every place of a grid.

    It behaves as a :class:`pathlib.Path` in what is here, and is resolved where it is used.

    Raises
    ------
    StageError
        If the text is no such name.

    >>> path = GridPath("grid-stage://4fe1/volume/results") / "a.csv"
    >>> path.path, path.name, path.suffix
    ('grid-stage://4fe1/volume/results/a.csv', 'a.csv', '.csv')
    """

    __slots__ = ("area", "grid", "inside")

    def __init__(self, url: str) -> None:
        scheme, separator, rest = url.partition("://")
        parts = [part for part in rest.split("/") if part not in ("", ".")]
        fits = len(parts) > 1 and (parts[1] == VOLUME or _DIGEST.fullmatch(parts[1]))
        if scheme != SCHEME or not separator or not fits or ".." in parts:
            raise StageError(
                f"{url!r} is no name of a staged file; write {SCHEME}://GRID/DIGEST/NAME, as "
                "grid.stage() gives it"
            )
        self.grid, self.area = parts[0], parts[1]
        self.inside = PurePosixPath(*parts[2:])

    @property
    def path(self) -> str:
        """The name as text, a URL for fsspec: the same everywhere."""
        inside = self.inside.as_posix()
        return f"{SCHEME}://{self.grid}/{self.area}" + ("" if inside == "." else f"/{inside}")

    @property
    def digest(self) -> str | None:
        """The SHA-256 under which it was staged; None in the volume."""
        return None if self.area == VOLUME else self.area

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.inside.name

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return self.inside.suffix

    @property
    def parent(self) -> GridPath:
        """The directory in which it lies."""
        return self._at(self.inside.parent)

    def _at(self, inside: PurePosixPath) -> GridPath:
        return GridPath(f"{SCHEME}://{self.grid}/{self.area}/{inside.as_posix()}")

    def __truediv__(self, more: str | os.PathLike[str]) -> GridPath:
        return self._at(self.inside / os.fspath(more))

    def joinpath(self, *more: str) -> GridPath:
        """Return a path below this one."""
        return self._at(self.inside.joinpath(*more))

    # where it is used

    def __fspath__(self) -> str:
        """Return the path at this place; what is not here yet is brought first.

        fsspec gets the name as it is: what it opens it may open at another place.

        Raises
        ------
        StageError
            If it cannot be brought, or has changed since it was staged.
        """
        import sys

        if sys._getframe(1).f_globals.get("__name__") == "fsspec.utils":
            return self.path
        return str(self.local)

    @property
    def local(self) -> Path:
        """The path at this place; see :meth:`__fspath__`."""
        return locate(self)

    def exists(self) -> bool:
        """Whether it exists at this place."""
        return self.local.exists()

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.local.is_file()

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.local.is_dir()

    def stat(self) -> os.stat_result:
        """Return what the system says of it at this place."""
        return self.local.stat()

    def iterdir(self) -> Iterator[GridPath]:
        """Yield what is in the directory, in order of names."""
        return iter(sorted(self / each.name for each in self.local.iterdir()))

    def glob(self, pattern: str) -> Iterator[GridPath]:
        """Yield what is below and fits a pattern, in order of names."""
        here = self.local
        return iter(sorted(self / each.relative_to(here) for each in here.glob(pattern)))

    def open(self, mode: str = "r", **options: Any) -> IO[Any]:
        """Open the file at this place, as the built-in ``open`` does."""
        return self.local.open(mode, **options)

    def read_bytes(self) -> bytes:
        """Return what the file holds."""
        return self.local.read_bytes()

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return what the file holds, as text."""
        return self.local.read_text(encoding)

    # as a value

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"GridPath({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GridPath) and self.path == other.path

    def __lt__(self, other: GridPath) -> bool:
        return self.path < other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return GridPath, (self.path,)

    def __dask_tokenize__(self) -> str:
        return self.path


def locate(path: GridPath) -> Path:
    """Return where a path is at this place; what is not here yet is brought first.

    Raises
    ------
    StageError
        If it cannot be had here.
    """
    place = os.environ.get(ROOT)
    root = Path(place) if place else directory(path.grid, NOTEBOOK)
    if root.parent.name != path.grid:
        raise StageError(
            f"{path} belongs to grid {path.grid}, and this is grid {root.parent.name}; stage it "
            "here, too"
        )
    if path.area == VOLUME:
        found = root / VOLUME / path.inside
        found.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # who writes expects that
        return found
    if place:
        hold(root, path.area)
        return root / "trees" / path.area / path.inside
    return _original(root, path)


def _record(root: Path, digest: str) -> Path:
    return root / "items" / f"{digest}.json"


def hold(root: Path, digest: str) -> None:
    """Keep a staged item of a site from being evicted; brings it first if it is not there.

    It is held until its owner's end (:data:`owner`, :func:`release`).

    Raises
    ------
    StageError
        If it cannot be brought.
    """
    whose, key = owner(), (str(root), digest)
    with _guard:
        if key in _held:
            _held[key][1].add(whose)
            return
    locks = root / "uses"
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(locks / digest, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _wait_for(root, digest, descriptor)
        os.utime(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    with _guard:
        if key in _held:  # another thread was faster
            os.close(descriptor)
        else:
            _held[key] = (descriptor, set())
        _held[key][1].add(whose)


def _wait_for(root: Path, digest: str, descriptor: int) -> None:
    """Lock an item that is there; wish for it as long as it is not."""
    while True:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _record(root, digest).exists():
            return
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # who brings it must not wait for us
        _wish(root, digest)


def _wish(root: Path, digest: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise StageError(
            f"{digest[:12]} is not at this site yet, and an async function cannot wait for it; "
            "open it in a thread, with asyncio.to_thread"
        )
    wishes = root / "wishes"
    wishes.mkdir(mode=0o700, parents=True, exist_ok=True)
    wish = wishes / f"{digest}.{uuid.uuid4().hex}"
    refusal = wish.with_name(f"{wish.name}.error")
    wish.touch(mode=0o600)
    try:
        while not _record(root, digest).exists():
            if refusal.exists():
                raise StageError(refusal.read_text())
            if time.time() - wish.stat().st_mtime > _PATIENCE:
                raise StageError(
                    f"{digest[:12]} is not at this site, and no worker here brings it; "
                    "see `%grid status`"
                )
            time.sleep(_POLL)
    finally:
        wish.unlink(missing_ok=True)
        refusal.unlink(missing_ok=True)


def release(whose: Hashable) -> None:
    """Let go of all that was held for an owner."""
    with _guard:
        for key, (descriptor, owners) in list(_held.items()):
            owners.discard(whose)
            if not owners:
                del _held[key]
                os.close(descriptor)


# in the notebook


def _original(root: Path, path: GridPath) -> Path:
    """Return the file or directory that was staged, as long as it is as it was then."""
    try:
        record = json.loads(_record(root, path.area).read_text())
    except FileNotFoundError:
        raise StageError(
            f"{path} is not here; `grid.fetch` brings what sites have, and grid.staged() lists it"
        ) from None
    if record["source"] is None:
        return root / "trees" / path.area / path.inside
    source = Path(record["source"])
    if (name := changed(record)) is not None:
        raise StageError(f"{name} has changed since it was staged; stage it again")
    return source.joinpath(*path.inside.parts[1:])


def changed(record: dict[str, Any]) -> str | None:
    """Return the first file of a staged original that is not as it was, or None."""
    source = Path(record["source"])
    if source.is_dir():
        known = {name.removesuffix("/") for name, _, _ in record["entries"]}
        for above, folders, names in os.walk(source, followlinks=True):
            for each in [*names, *([] if folders or names else ["."])]:
                here = Path(above, each)
                if (source.name / here.relative_to(source)).as_posix() not in known:
                    return str(here)
    for (name, size, _), time_then in zip(record["entries"], record["times"], strict=True):
        file = source.joinpath(*PurePosixPath(name).parts[1:])
        try:
            info = file.stat()
        except OSError:
            return str(file)
        if time_then is not None and (info.st_size, info.st_mtime_ns) != (size, time_then):
            return str(file)
    return None
