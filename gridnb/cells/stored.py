"""One message in a file: what was sent for a run, and what came back of it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gridnb.cells.frames import Buffer, jsonable

__all__ = ["read_message", "write_message"]

_PREFIX = struct.Struct("!I")


def write_message(path: Path, header: dict[str, Any], parts: Sequence[Buffer] = ()) -> None:
    """Write a message to a file of mode 0600, in one step.

    Raises
    ------
    OSError
        If it cannot be written; there is no half of it then.
    """
    header = {**header, "sizes": [len(part) for part in parts]}
    text = json.dumps(header, default=jsonable, separators=(",", ":")).encode()
    beside = path.with_suffix(".part")
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_PREFIX.pack(len(text)) + text)
        for part in parts:
            file.write(part)
    beside.replace(path)


def read_message(path: Path) -> tuple[dict[str, Any], list[bytearray]]:
    """Read what :func:`write_message` wrote.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    with path.open("rb") as file:
        header = json.loads(file.read(_PREFIX.unpack(file.read(_PREFIX.size))[0]))
        parts = [bytearray(file.read(size)) for size in header.pop("sizes")]
    return header, parts
