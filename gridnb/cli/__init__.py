"""The command line: ``gridnb COMMAND``.

A command's module is imported when it is run, so that ``gridnb --help`` is
there at once. Bad input is told in one line, and the exit code is then 2.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from gridnb.cli.parser import Parser, parser
from gridnb.errors import GridError
from gridnb.usage import as_options

__all__ = ["Parser", "main", "parser"]

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0, 1 (something is wrong), 2 (bad input)."""
    commands = parser()
    chosen = commands.parse_args(arguments)
    if chosen.run is None:
        commands.print_help()
        return 0
    try:
        return _command(chosen.run)(chosen)
    except GridError as error:
        sys.stderr.write(f"{chosen.prog}: {as_options(str(error))}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write(f"{chosen.prog}: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has heard enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _command(name: str) -> Callable[[object], int]:
    module, _, function = name.partition(":")
    command: Callable[[object], int] = getattr(importlib.import_module(module), function)
    return command
