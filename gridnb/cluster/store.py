"""The directory of one site in which staged files lie, by the SHA-256 of what they hold.

``blobs/`` has each file's content once, under its digest; ``trees/`` the staged items, as
hard links to blobs; ``items/`` a record for each item that is whole, written last and removed
first; ``incoming/`` what is on its way; ``uses/`` a file for each item, locked while somebody
uses it (:func:`gridnb.staged.hold`), whose time is that of the last use. Nothing is in
``blobs/`` that was not verified, and all of it together never passes the limit.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from gridnb.errors import StageError
from gridnb.units import format_bytes

__all__ = ["Corrupt", "Entry", "Manifest", "Part", "Store", "Writer", "parts_of", "read"]

#: Bytes that are asked for at once.
CHUNK = 2**20
#: All staged files get this time, so that they look the same at every site and a write shows.
_TIME = 10**18
#: SHA-256, as blobs are named by it.
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Entry(NamedTuple):
    """A file of an item: its path, which begins with the item's name, size and SHA-256.

    An empty directory is an entry whose path ends in ``/``, with no digest.
    """

    path: str
    size: int
    digest: str


def _is_file(entry: Entry) -> bool:
    return not entry.path.endswith("/") and _DIGEST.fullmatch(entry.digest) is not None


class Part(NamedTuple):
    """A piece of a blob: its digest, where the piece begins, and how long it is."""

    digest: str
    offset: int
    size: int


class Corrupt(StageError):
    """What has arrived is not what was asked for."""


@dataclass(frozen=True)
class Manifest:
    """What an item is: its name and its files. Its digest is that of this list."""

    name: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Sequence[Any]]) -> Self:
        """Make one of entries in any order.

        Raises
        ------
        StageError
            If there is none, a path leads out of the item, or a size or digest is none.
        """
        found = tuple(sorted(Entry(*each) for each in entries))
        if not found:
            raise StageError("there are no files in it")
        names = {entry.path.split("/")[0] for entry in found}
        for entry in found:
            parts = entry.path.removesuffix("/").split("/")
            if len(names) != 1 or any(part in ("", ".", "..") for part in parts):
                raise StageError(f"{entry.path!r} is no path of a staged item")
            # A digest is the name under which a content is written.
            valid = entry.path.endswith("/") if not entry.digest else _is_file(entry)
            if not valid or entry.size < 0:
                raise StageError(f"{entry.path!r} has no size and digest of a staged file")
        return cls(names.pop(), found)

    @property
    def digest(self) -> str:
        """SHA-256 of the list of paths, sizes and digests."""
        text = json.dumps([list(entry) for entry in self.entries], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def size(self) -> int:
        """Bytes that it takes at a site; content that it has twice counts once."""
        return sum(self.blobs.values())

    @property
    def files(self) -> int:
        """How many files it has."""
        return sum(bool(entry.digest) for entry in self.entries)

    @property
    def blobs(self) -> dict[str, int]:
        """Digests of its contents, with their sizes."""
        return {entry.digest: entry.size for entry in self.entries if entry.digest}


class Store:
    """A site's directory. `limit` is in bytes."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root, self.limit = root, limit
        self.blobs, self.trees = root / "blobs", root / "trees"
        self.items, self.uses, self.incoming = root / "items", root / "uses", root / "incoming"

    def prepare(self) -> None:
        """Make the directories."""
        wishes = self.root / "wishes"
        for path in (self.blobs, self.trees, self.items, self.uses, self.incoming, wishes):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has(self, digest: str) -> bool:
        """Whether an item is here, whole."""
        return (self.items / f"{digest}.json").exists()

    def manifest(self, digest: str) -> Manifest:
        """Return what an item is.

        Raises
        ------
        FileNotFoundError
            If it is not here.
        """
        record = json.loads((self.items / f"{digest}.json").read_text())
        return Manifest.of(record["entries"])

    def digests(self) -> list[str]:
        """Return the items that are here, the least recently used first."""
        found = [path.stem for path in self.items.glob("*.json")]
        return sorted(found, key=lambda digest: (self._used(digest), digest))

    def _used(self, digest: str) -> int:
        try:
            return (self.uses / digest).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def size(self) -> int:
        """Return the bytes that it takes."""
        held = [*self.blobs.iterdir(), *self.incoming.rglob("*")]
        return sum(path.stat().st_size for path in held if path.is_file())

    @contextmanager
    def writing(self, manifest: Manifest) -> Iterator[Writer]:
        """Take the store to bring an item into it; one at a time, whatever process asks.

        Raises
        ------
        StageError
            If there is no room for it beside what is in use; nothing was evicted then.
        """
        self.prepare()
        with os.fdopen(os.open(self.root / "writer", os.O_CREAT | os.O_RDWR, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._clean(manifest)
            evicted = self._make_room(manifest)
            writer = Writer(self, manifest, evicted)
            try:
                yield writer
            finally:
                writer.close()

    def _clean(self, wanted: Manifest) -> None:
        """Remove what an interrupted writer has left; whole blobs that are wanted stay."""
        for path in self.incoming.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.trees.iterdir():
            if not self.has(path.name):
                shutil.rmtree(path)
        for path in self.blobs.iterdir():
            known = wanted.blobs.get(path.name)
            info = path.stat()
            if known is None and info.st_nlink == 1:
                path.unlink()
            elif known is not None and (info.st_size, info.st_mtime_ns) != (known, _TIME):
                self._discard(path.name)

    def _discard(self, blob: str) -> None:
        """Remove a blob that somebody has changed, with the items that have it."""
        for digest in self.digests():
            if blob in self.manifest(digest).blobs:
                self._remove(digest, ())
        (self.blobs / blob).unlink(missing_ok=True)

    def _make_room(self, manifest: Manifest) -> list[str]:
        """Evict the least recently used items, as many as it takes; returns their digests."""
        wanted = manifest.blobs
        lacking = {blob: n for blob, n in wanted.items() if not (self.blobs / blob).exists()}
        need = sum(lacking.values())
        if self.size() + need <= self.limit:
            self._fits_disk(manifest, need)
            return []
        with self._unused() as unused:
            kept = {**wanted}
            for digest in self.digests():
                if digest not in unused:
                    kept |= self.manifest(digest).blobs
            if (total := sum(kept.values())) > self.limit:
                raise StageError(
                    f"there is no room for {manifest.name} ({format_bytes(manifest.size)}): with "
                    f"what is in use it would be {format_bytes(total)}, and the limit is "
                    f"{format_bytes(self.limit)}; raise gridnb.stage.limit"
                )
            evicted: list[str] = []
            while self.size() + need > self.limit:
                evicted.append(unused.pop(0))
                self._remove(evicted[-1], wanted)
        self._fits_disk(manifest, need)
        return evicted

    def _fits_disk(self, manifest: Manifest, need: int) -> None:
        if (free := shutil.disk_usage(self.root).free) < need:
            raise StageError(
                f"there is no room for {manifest.name}: it needs {format_bytes(need)}, and "
                f"{format_bytes(free)} are free on the disk of {self.root}"
            )

    @contextmanager
    def _unused(self) -> Iterator[list[str]]:
        """Give the items that nobody uses, and keep them from being used meanwhile."""
        locks: list[int] = []
        found = []
        try:
            for digest in self.digests():
                locks.append(os.open(self.uses / digest, os.O_CREAT | os.O_RDWR, 0o600))
                try:
                    fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                found.append(digest)
            yield found
        finally:
            for descriptor in locks:
                os.close(descriptor)

    def _remove(self, digest: str, spared: Iterable[str]) -> None:
        """Remove an item, and its blobs that no other item has, except those `spared`."""
        blobs = self.manifest(digest).blobs
        (self.items / f"{digest}.json").unlink()
        shutil.rmtree(self.trees / digest, ignore_errors=True)
        for blob in blobs.keys() - set(spared):
            path = self.blobs / blob
            if path.exists() and path.stat().st_nlink == 1:
                path.unlink()

    def blob(self, digest: str) -> Path:
        """Return where a content lies.

        Raises
        ------
        Corrupt
            If it is not here, or was changed.
        """
        path = self.blobs / digest
        if not path.exists() or path.stat().st_mtime_ns != _TIME:
            raise Corrupt(f"{digest[:12]} is not here as it was staged")
        return path

    def verify(self, blobs: Iterable[str]) -> None:
        """Read contents anew, and drop those that are damaged, with the items that have them."""
        with os.fdopen(os.open(self.root / "writer", os.O_CREAT | os.O_RDWR, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for blob in blobs:
                path = self.blobs / blob
                if not path.exists() or _hash(path) != blob:
                    self._discard(blob)

    def adopt(self, manifest: Manifest, files: Sequence[Path]) -> list[str]:
        """Take files that are at this site already; returns the digests of evicted items.

        Raises
        ------
        StageError
            If there is no room, or a file changes meanwhile.
        """
        with self.writing(manifest) as writer:
            where = dict(zip((e.path for e in manifest.entries), files, strict=True))
            by_blob = {e.digest: where[e.path] for e in manifest.entries if e.digest}
            for blob in writer.missing:
                with by_blob[blob].open("rb") as file:
                    while data := file.read(CHUNK):
                        writer.feed(data)
            writer.finish()
            return writer.evicted


class Writer:
    """Brings one item into a store: takes the bytes that are missing, in order.

    Attributes
    ----------
    missing
        Sizes of the contents that have to come, by digest, in the order in which they must.
    evicted
        Digests of the items that had to go for it.
    """

    def __init__(self, store: Store, manifest: Manifest, evicted: list[str]) -> None:
        self._store, self.manifest, self.evicted = store, manifest, evicted
        self.missing = {
            blob: size for blob, size in manifest.blobs.items() if not (store.blobs / blob).exists()
        }
        self.received = 0
        self._left = list(self.missing.items())
        self._file: Any = None
        self._hash: Any = None
        self._room = 0
        self._next()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises
        ------
        Corrupt
            If a content is complete and not what its digest says, or there is too much of it.
        """
        view = memoryview(data)
        self.received += len(view)
        while len(view):
            if self._file is None:
                raise Corrupt(f"{self.manifest.name}: more has arrived than was asked for")
            piece, view = view[: self._room], view[self._room :]
            self._file.write(piece)
            self._hash.update(piece)
            self._room -= len(piece)
            self._next()

    def _next(self) -> None:
        """Go on to the next content as long as the present one is complete."""
        while not self._room:
            if self._file is not None:
                self._keep()
            if not self._left:
                return
            blob, self._room = self._left[0]
            # No fsync: the store ends with its grid, and so with the machine.
            self._file = (self._store.incoming / blob).open("wb")
            self._hash = hashlib.sha256()

    def _keep(self) -> None:
        blob, _ = self._left.pop(0)
        self._file.close()
        self._file = None
        path = self._store.incoming / blob
        if self._hash.hexdigest() != blob:
            path.unlink()
            raise Corrupt(f"{self.manifest.name}: what has arrived is not what was staged")
        path.chmod(0o400)
        os.utime(path, ns=(_TIME, _TIME))
        path.rename(self._store.blobs / blob)

    def finish(self) -> None:
        """Make the item visible, all of it at once.

        Raises
        ------
        Corrupt
            If bytes are missing.
        """
        if self._left:
            raise Corrupt(f"{self.manifest.name}: less has arrived than was asked for")
        store, digest = self._store, self.manifest.digest
        if store.has(digest):  # another process has brought it while this one waited
            return
        tree = store.incoming / digest
        tree.mkdir(mode=0o700)
        for entry in self.manifest.entries:
            path = tree / entry.path
            if entry.digest:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(store.blobs / entry.digest)
            else:
                path.mkdir(parents=True, exist_ok=True)
        tree.rename(store.trees / digest)
        (store.uses / digest).touch(mode=0o600)
        record = {"entries": self.manifest.entries, "source": None}
        part = store.incoming / f"{digest}.json"
        part.write_text(json.dumps(record))
        part.rename(store.items / f"{digest}.json")

    def close(self) -> None:
        """Let go of a file that is half there."""
        if self._file is not None:
            self._file.close()


def parts_of(missing: dict[str, int], size: int = CHUNK) -> list[list[Part]]:
    """Divide contents into groups of pieces of `size` bytes (the last one less), in order."""
    groups: list[list[Part]] = [[]]
    room = size
    for blob, length in missing.items():
        offset = 0
        while offset < length:
            taken = min(room, length - offset)
            groups[-1].append(Part(blob, offset, taken))
            offset, room = offset + taken, room - taken
            if not room:
                groups.append([])
                room = size
    return [group for group in groups if group]


def read(find: Any, parts: Iterable[Sequence[Any]]) -> bytes:
    """Read pieces of contents, which `find` gives as paths by their digests.

    Raises
    ------
    Corrupt
        If there is less in a file than there should be.
    """
    found = bytearray()
    for each in parts:
        part = Part(*each)
        with find(part.digest).open("rb") as file:
            file.seek(part.offset)
            data = file.read(part.size)
        if len(data) != part.size:
            raise Corrupt(f"{part.digest[:12]} is not as it was staged")
        found += data
    return bytes(found)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
