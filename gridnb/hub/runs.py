"""What is kept of a job: what was sent, what it has put out, what came of it.

A directory for each (mode 0700) in the user's data directory. It outlives kernel, hub and
grid, so that output and result can be had later, and goes after a while.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import platformdirs
import psutil

from gridnb.cells.frames import jsonable
from gridnb.errors import HubError
from gridnb.hub.places import Place, private, write_json

__all__ = ["ENDED", "Log", "RunRecord", "prune", "records"]

logger = logging.getLogger("gridnb.runs")

#: States in which nothing changes any more.
ENDED = frozenset({"done", "failed", "cancelled", "lost"})

_MOST = 64 * 2**20  # bytes of output that are kept of one run


def _root() -> Path:
    return private(Path(platformdirs.user_data_dir("gridnb")) / "runs")


@dataclass(frozen=True)
class RunRecord:
    """The directory of one run."""

    run: str
    directory: Path

    @classmethod
    def new(cls, run: str) -> RunRecord:
        """Create the directory of a new run."""
        return cls(run, private(_root() / run))

    @classmethod
    def of(cls, run: str) -> RunRecord:
        """Find a run, by its id or by the end of it if that names just one.

        Raises
        ------
        HubError
            If there is none, or several.
        """
        root = _root()
        if (root / run / "run.json").exists():
            return cls(run, root / run)
        found = [each for each in records() if run and each.run.endswith(f"-{run}")]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(each.run for each in found)
            raise HubError(f"several runs end in {run!r}: {names}; write one of these")
        raise HubError(f"nothing is kept of a run {run!r}; `%grid jobs` lists those that are")

    def describe(self, about: dict[str, Any]) -> None:
        """Write what is known of the run now."""
        write_json(self.directory / "run.json", about)

    def about(self) -> dict[str, Any]:
        """Return what :meth:`describe` wrote; a run whose hub is gone is ``lost``."""
        about: dict[str, Any] = json.loads((self.directory / "run.json").read_text())
        if about["state"] not in ENDED:
            if about["kind"] == "here" and not psutil.pid_exists(about["kernel"]):
                about["state"], about["reason"] = "lost", "its kernel ended before it"
            elif not Place.alive_of(about["grid"]):
                about["state"], about["reason"] = "lost", "the hub of its grid ended before it"
        return about

    @property
    def sent(self) -> Path:
        """The message that carried it to its site."""
        return self.directory / "sent"

    def outcome(self, piece: int) -> Path:
        """The message that came back of one of its pieces."""
        return self.directory / f"outcome-{piece}"

    @property
    def log(self) -> Path:
        """What it has put out, a JSON object a line."""
        return self.directory / "log"

    def read_log(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the messages from a byte on, and where the next one begins."""
        try:
            with self.log.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], 0
        whole = data[: data.rfind(b"\n") + 1]  # the last one may be half written
        return [json.loads(line) for line in whole.splitlines()], offset + len(whole)

    def forget(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Log:
    """Writes what a run puts out; from any thread. There is no file before there is output.

    What cannot be written (a full disk) is left out: the run itself is worth more than its log.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, cast("BinaryIO | None", None)
        self._lock = threading.Lock()
        self._closed = False
        self.size = 0

    def put(self, message: dict[str, Any]) -> None:
        """Append a message; what passes the limit is left out, and said."""
        text = json.dumps(message, default=jsonable, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._closed or self.size > _MOST:
                return
            self.size += len(text)
            if self.size > _MOST:
                note = f"further output is not kept (limit {_MOST >> 20} MiB)"
                text = json.dumps({"op": "note", "text": note}).encode() + b"\n"
            try:
                self._write(text)
            except OSError as error:
                self._closed = True
                logger.warning("the output of a run is not kept any more: %s", error)

    def _write(self, text: bytes) -> None:
        if self._file is None:
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


def records() -> list[RunRecord]:
    """Return all runs of which something is kept, oldest first."""
    return [record for _, record in sorted(_dated(), key=lambda each: each[0])]


def _dated() -> Iterator[tuple[float, RunRecord]]:
    for path in _root().iterdir():
        with contextlib.suppress(OSError, ValueError, KeyError):  # just being made, or broken
            about = json.loads((path / "run.json").read_text())
            yield about["began"], RunRecord(path.name, path)


def prune(keep: float) -> int:
    """Forget runs that ended more than `keep` seconds ago; returns how many."""
    count = 0
    for record in records():
        with contextlib.suppress(OSError):  # another one was faster
            about = record.about()
            if about["state"] in ENDED and _age(about) > keep:
                record.forget()
                count += 1
    return count


def _age(about: dict[str, Any]) -> float:
    return time.time() - float(about["began"]) - float(about["seconds"])
