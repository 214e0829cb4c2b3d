"""What a notebook or script does with files of its grid: stages them, lists them, fetches some.

A local file is hashed where it lies, and sent from there; nothing of it is copied here. What
stands at a URL is read once, into the grid's own directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from gridnb import staged
from gridnb.cluster.store import CHUNK, Entry, Manifest, Store, parts_of
from gridnb.errors import StageError
from gridnb.staged import NOTEBOOK, SCHEME, VOLUME, GridPath
from gridnb.units import Money, format_bytes

if TYPE_CHECKING:
    from gridnb.hub.client import GridCluster

__all__ = ["Grid", "Staged", "fetch", "listed", "stage", "volume"]


class Grid(Protocol):
    """What is used here of a :class:`gridnb.Grid`."""

    id: str
    currency: str
    cluster: GridCluster
    carry: Callable[[str, str, int], None]


class Staged(GridPath):
    """A file or directory that was staged: a path that holds everywhere, and what it took.

    Attributes
    ----------
    size, files
        Bytes that it takes at a site, and how many files it has.
    sites
        Sites that had it when this was made; ``grid.staged()`` tells how it is now.
    sent, saved
        Bytes that went to sites so far, and bytes that they needed and had already.
    egress
        What the sites that sent it take for that.
    origin
        The place that had it first.
    routes
        Bytes by the places from and to which they went.
    """

    __slots__ = ("egress", "files", "origin", "routes", "saved", "sent", "sites", "size")

    def __init__(self, grid: str, currency: str, about: dict[str, Any]) -> None:
        super().__init__(f"{SCHEME}://{grid}/{about['digest']}/{about['name']}")
        self.size: int = about["size"]
        self.files: int = about["files"]
        self.sites: tuple[str, ...] = tuple(about["sites"])
        self.sent: int = about["sent"]
        self.saved: int = about["saved"]
        self.egress = Money(Decimal(about["egress"]), currency)
        self.origin: str = about["origin"]
        self.routes = {(source, target): count for source, target, count in about["routes"]}

    def __repr__(self) -> str:
        count = f"{self.files} file{'' if self.files == 1 else 's'}, {format_bytes(self.size)}"
        where = f"at {', '.join(self.sites)}" if self.sites else "at no site yet"
        return f"<Staged {self.name}: {count}, {where}>"


def stage(
    grid: Grid,
    source: str | os.PathLike[str],
    *,
    site: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Staged:
    """See :meth:`gridnb.Grid.stage`."""
    if isinstance(source, GridPath) or str(source).startswith(f"{SCHEME}://"):
        path = source if isinstance(source, GridPath) else GridPath(str(source))
        if path.digest is None:
            if not path.name:
                raise StageError("the whole volume cannot be staged; give a path below it")
            say(f"publishing {path.name}…")
            return _told(grid, grid.cluster.call("publish", inside=_inside(grid, path), site=site))
        return _told(grid, grid.cluster.call("stage", digest=path.digest))
    text = os.fspath(source)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    root = staged.directory(grid.id, NOTEBOOK)
    for name in ("items", "trees"):
        (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    if "://" in text or "::" in text:
        manifest = _download(grid, text, root, say)
    else:
        manifest = _local(grid, Path(text).expanduser().absolute(), root, say)
    say(f"sending {manifest.name} ({format_bytes(manifest.size)}) to the sites that lack it…")
    return _told(grid, grid.cluster.call("stage", digest=manifest.digest))


def _told(grid: Grid, answer: dict[str, Any]) -> Staged:
    if answer["failed"]:
        raise StageError("; ".join(dict.fromkeys(answer["failed"].values())))
    return Staged(grid.id, grid.currency, answer)


# from here


def _local(grid: Grid, path: Path, root: Path, say: Callable[[str], None]) -> Manifest:
    path = Path(os.path.normpath(path))
    if not path.exists():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, beside, 1)
        hint = f"did you mean {near[0]!r}?" if near else "give the path of one that there is"
        raise StageError(f"there is no file or directory {path}; {hint}")
    if not path.name:
        raise StageError(f"{path} cannot be staged; give a directory below it")
    found = list(_walk(path, path.name))
    sizes = [size for _, _, size in found]
    grid.cluster.call("stage_check", size=sum(sizes), what=path.name)
    say(f"hashing {path.name} ({format_bytes(sum(sizes))})…")
    entries, times = [], {}
    for file, name, size in found:
        if name.endswith("/"):
            entries.append(Entry(name, 0, ""))
            continue
        digest, changed_at = _hash(file, size)
        entries.append(Entry(name, size, digest))
        times[name] = changed_at
    manifest = Manifest.of(entries)
    _write(root, manifest, str(path), [times.get(entry.path) for entry in manifest.entries])
    return manifest


def _walk(path: Path, name: str, above: tuple[Path, ...] = ()) -> Iterator[tuple[Path, str, int]]:
    """Yield the files below a path, links followed, with their names and sizes."""
    try:
        info = path.stat()
        if stat.S_ISREG(info.st_mode):
            yield path, name, info.st_size
            return
        if not stat.S_ISDIR(info.st_mode):
            raise StageError(f"{path} is neither a file nor a directory and cannot be staged")
        if (real := path.resolve()) in above:
            raise StageError(f"{path} leads back to {real}, which it is in; take the link away")
        below = sorted(path.iterdir())
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}") from None
    for each in below:
        yield from _walk(each, f"{name}/{each.name}", (*above, real))
    if not below:
        yield path, f"{name}/", 0


#: Digests of files that were hashed before, by what would be another if they had been written.
_hashed: dict[tuple[str, int, int, int, int], str] = {}
_FRESH = 2 * 10**9  # a write so many ns after another may leave the time as it was


def _hash(path: Path, size: int) -> tuple[str, int]:
    try:
        info = path.stat()
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}") from None
    # A time of writing can be set; the time of that cannot.
    key = str(path), info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
    if key in _hashed and info.st_size == size:
        return _hashed[key], info.st_mtime_ns
    found, changed_at = _hash_anew(path, size)
    if time.time_ns() - changed_at > _FRESH:
        _hashed[key] = found
    return found, changed_at


def _hash_anew(path: Path, size: int) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}") from None
    if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
        raise StageError(f"{path} is being written; stage it when it is whole")
    return digest, after.st_mtime_ns


def _write(root: Path, manifest: Manifest, source: str | None, times: Sequence[int | None]) -> None:
    """Leave a record of what was staged, for the hub and for those who open it here."""
    record = {"entries": manifest.entries, "source": source, "times": times}
    part = root / f"{manifest.digest}.part"
    part.write_text(json.dumps(record))
    part.rename(root / "items" / f"{manifest.digest}.json")


# from a URL


@dataclass(frozen=True)
class _There:
    """What stands at a URL: its file system, its name, and its files by their names."""

    fs: Any
    name: str
    files: dict[str, tuple[str, int | None]]


def _download(grid: Grid, url: str, root: Path, say: Callable[[str], None]) -> Manifest:
    there = _look(url)
    known = sum(size or 0 for _, size in there.files.values())
    grid.cluster.call("stage_check", size=known, what=there.name)
    if (free := shutil.disk_usage(root).free) < known:
        raise StageError(
            f"{there.name} has {format_bytes(known)}, and {format_bytes(free)} are free on the "
            f"disk of {root}"
        )
    say(f"reading {there.name}…")
    part = root / f"{os.getpid()}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        entries = []
        for name, (path, _) in there.files.items():
            target = part / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            size, digest = _copy(there.fs, path, target)
            entries.append(Entry(name, size, digest))
        manifest = Manifest.of(entries)
        grid.cluster.call("stage_check", size=manifest.size, what=there.name)
        tree = root / "trees" / manifest.digest
        if not tree.exists():
            part.rename(tree)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    # Its address is not kept: there may be a password in it.
    _write(root, manifest, None, [None] * len(manifest.entries))
    return manifest


def _look(url: str) -> _There:
    import fsspec.core

    # Whatever is kept or said of it is without what may be a secret.
    scheme = _scheme(url)
    name = _name(url) or scheme
    try:
        fs, path = fsspec.core.url_to_fs(url)
        name = _name(path) or scheme
        info = fs.info(path)
        found = {path: info} if info["type"] == "file" else fs.find(path, detail=True)
    except FileNotFoundError:
        raise StageError(f"there is nothing at {scheme}://…/{name}") from None
    except ImportError as error:
        raise StageError(f"{scheme}:// cannot be read here: {error}") from None
    except ValueError as error:
        raise StageError(
            f"{scheme}:// cannot be read ({_kind(error)}); write a path, or a URL that fsspec knows"
        ) from None
    except Exception as error:  # noqa: BLE001 - what it says may be secret
        raise StageError(f"{scheme}://…/{name} cannot be read: {_kind(error)}") from None
    files: dict[str, tuple[str, int | None]] = {}
    base = _bare(path).rstrip("/")
    for each, about in found.items():
        below = _bare(each).removeprefix(base).lstrip("/")
        if info["type"] != "file" and not below:  # the directory itself
            continue
        file = f"{name}/{below}" if below else name
        if any(part in ("", ".", "..") for part in file.split("/")):
            raise StageError(f"{name} has files that lead out of it")
        if file in files:
            raise StageError(f"{name} has several files that would be {file} here")
        files[file] = each, about.get("size")
    if not files:
        raise StageError(f"there are no files at {scheme}://…/{name}")
    return _There(fs, name, files)


def _bare(path: str) -> str:
    """Take away the query and fragment, in which there may be a signature or password."""
    path = path.partition("?")[0]
    return path.partition("#")[0] if "://" in path else path  # elsewhere it is part of a name


def _name(path: str) -> str:
    """Return the last part of a path or URL; of one that has but a host, the host."""
    _, url, rest = _bare(path).rpartition("://")
    name = PurePosixPath(rest.rstrip("/")).name
    if url and "/" not in rest.rstrip("/"):
        return name.rpartition("@")[2].partition(":")[0]  # no user and password
    return name


def _scheme(url: str) -> str:
    found = re.match(r"[\w+.:-]*", url.partition("://")[0])
    return found.group().rstrip(":") if found else ""


def _kind(error: Exception) -> str:
    """Say what an error is; its text may have the URL in it, and with it a secret."""
    kind = type(error).__name__
    if isinstance(status := getattr(error, "status", None), int):
        return f"{kind}, status {status}"
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return f"{kind}, {os.strerror(error.errno).lower()}"
    return kind


def _copy(fs: Any, path: str, target: Path) -> tuple[int, str]:
    """Copy a file here, and hash it on the way."""
    hashed, size = hashlib.sha256(), 0
    try:
        with fs.open(path, "rb") as file, target.open("wb") as here:
            while data := file.read(CHUNK):
                hashed.update(data)
                here.write(data)
                size += len(data)
    except Exception as error:  # noqa: BLE001 - what it says may be secret
        raise StageError(f"{target.name} could not be read: {_kind(error)}") from None
    return size, hashed.hexdigest()


# what there is


def listed(grid: Grid) -> list[Staged]:
    """See :meth:`gridnb.Grid.staged`."""
    items = grid.cluster.call("staged")["items"]
    return [Staged(grid.id, grid.currency, each) for each in items]


def volume(grid: Grid) -> GridPath:
    """See :attr:`gridnb.Grid.volume`."""
    return GridPath(f"{SCHEME}://{grid.id}/{VOLUME}")


def _inside(grid: Grid, path: str | GridPath) -> str:
    """Return where in the volume a path is."""
    found = path if isinstance(path, GridPath) else None
    if found is None and "://" in str(path):
        found = GridPath(str(path))
    if found is None:
        found = volume(grid) / str(path)
    if found.grid != grid.id:
        raise StageError(f"{found} belongs to another grid; this is {grid.id}")
    return found.inside.as_posix()


# back


def fetch(
    grid: Grid,
    path: str | GridPath,
    to: str | os.PathLike[str] | None = None,
    *,
    site: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """See :meth:`gridnb.Grid.fetch`."""
    if isinstance(path, GridPath) and path.digest is not None:
        return _fetch_staged(grid, path, path.digest, to, say)
    inside = _inside(grid, path)
    found = grid.cluster.call("volume", inside=inside, site=site)["files"]
    files = _agreed(found)
    alone = len(files) == 1 and files[0]["path"] == inside
    target = _target(grid, inside, to)
    targets = [target if alone else target / _below(each["path"], inside) for each in files]
    size = sum(each["size"] for each in files)
    say(f"fetching {PurePosixPath(inside).name} ({format_bytes(size)})…")
    for each, place in zip(files, targets, strict=True):
        _bring(grid, each, place)
    return target


def _below(path: str, inside: str) -> PurePosixPath:
    """Return where below a directory a file is; a worker has said so, and may say anything."""
    try:
        below = PurePosixPath(path).relative_to(inside)
    except ValueError:
        below = PurePosixPath("/")
    if below.is_absolute() or ".." in below.parts:
        raise StageError(f"{path!r} leads out of the volume")
    return below


def _fetch_staged(
    grid: Grid,
    path: GridPath,
    digest: str,
    to: str | os.PathLike[str] | None,
    say: Callable[[str], None],
) -> Path:
    """Bring what was published from a site; what was staged from here is here."""
    store = Store(staged.directory(grid.id, NOTEBOOK), sys.maxsize)
    store.prepare()
    if not store.has(digest):
        source = grid.cluster.call("stage_source", digest=digest)
        manifest = Manifest.of(source["entries"])
        say(f"fetching {manifest.name} ({format_bytes(manifest.size)})…")
        with store.writing(manifest) as writer:
            try:
                for parts in parts_of(writer.missing):
                    grid.carry(source["site"], NOTEBOOK, sum(part.size for part in parts))
                    which = {"parts": [list(part) for part in parts], "place": NOTEBOOK}
                    writer.feed(grid.cluster.piece(source["address"], "stage_read", **which))
                writer.finish()
            finally:
                writer.close()
    here = path.local
    if to is None:
        return here
    target = _target(grid, path.name, to)
    target.parent.mkdir(parents=True, exist_ok=True)
    if here.is_dir():
        shutil.copytree(here, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
    else:
        shutil.copyfile(here, target)
    return target


def _agreed(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each file once; sites that have different ones under one name are an error."""
    files: dict[str, dict[str, Any]] = {}
    for each in found:
        known = files.setdefault(each["path"], each)
        if known["digest"] != each["digest"]:
            raise StageError(
                f"{each['path']} is not the same at {known['site']} and {each['site']}; say which "
                f"is meant, like site={known['site']!r}, or give them names of their own"
            )
    return list(files.values())


def _target(grid: Grid, inside: str, to: str | os.PathLike[str] | None) -> Path:
    if to is None:
        return staged.directory(grid.id, NOTEBOOK) / VOLUME / inside
    given = Path(to).expanduser()
    name = PurePosixPath(inside).name
    return given / name if given.is_dir() or os.fspath(to).endswith("/") else given


def _bring(grid: Grid, file: dict[str, Any], target: Path) -> None:
    """Bring one file here when the link has carried it; it is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    hashed, offset = hashlib.sha256(), 0
    try:
        with part.open("wb") as here:
            while offset < file["size"]:
                grid.carry(file["site"], NOTEBOOK, min(CHUNK, file["size"] - offset))
                which = {"inside": file["path"], "offset": offset}
                data = grid.cluster.piece(file["address"], "volume_read", **which)
                if not data:
                    break
                hashed.update(data)
                here.write(data)
                offset += len(data)
        if hashed.hexdigest() != file["digest"]:
            raise StageError(f"{file['path']} was written while it was fetched; fetch it again")
        part.rename(target)
    except OSError as error:
        raise StageError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
