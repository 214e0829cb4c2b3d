"""Errors that a user meets at a magic: one line, no traceback; *Run All* stops all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from gridnb.errors import GridError, RequestError

__all__ = ["in_one_line"]

_RED, _END = "\x1b[0;31m", "\x1b[0m"
_KEY = re.compile(r"request: ([a-z_]+): ")


@contextmanager
def in_one_line(magic: str) -> Iterator[None]:
    """Let errors of gridnb pass as one line; those of argparse become such errors.

    An error that came from a site has its own traceback, and keeps it.
    """
    try:
        yield
    except UsageError as error:
        raise _short(RequestError(f"{magic}: {error}")) from None
    except GridError as error:
        if not hasattr(error, "_render_traceback_"):
            _short(error)
        raise
    except KeyboardInterrupt as error:
        if not hasattr(error, "_render_traceback_"):
            text = str(error) or "interrupted"
            error._render_traceback_ = lambda *_: [_line("KeyboardInterrupt", text)]  # type: ignore[attr-defined]
        raise


def _line(name: str, text: str) -> str:
    return f"{_RED}{name}{_END}: {text}"


def _short(error: GridError) -> GridError:
    name, text = type(error).__name__, as_options(str(error))
    error.args = (text, *error.args[1:])
    error._render_traceback_ = lambda *_: [_line(name, text)]  # type: ignore[attr-defined]
    return error


def as_options(text: str) -> str:
    """Name what is wrong as it was written: ``max_cost`` is ``--max-cost`` here."""
    found = _KEY.match(text)
    if found is None:
        return text
    return f"--{found[1].replace('_', '-')}: {text[found.end() :]}"
