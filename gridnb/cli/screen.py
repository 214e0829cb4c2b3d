"""Where the commands write: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["WIDE", "console", "write_json"]

#: Columns of what is written into a file or a pipe.
WIDE = 120


def console() -> Console:
    """Return the terminal, or standard output as wide as it can be read."""
    import os

    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command, for which this is no failure."""
            raise BrokenPipeError

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    return Screen(width=wide, highlight=False)


def write_json(data: Any) -> None:
    """Write plain data; decimals are text, so that no digit is lost."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")
