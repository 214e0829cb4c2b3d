"""Errors that a user meets at a magic: one line, no traceback; *Run All* stops all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from gridnb.errors import GridError, RequestError
from gridnb.usage import as_options

__all__ = ["in_one_line"]

_RAISE = re.compile(r"raise the budget by [\d.,]+ \w+")
_RED, _END = "\x1b[0;31m", "\x1b[0m"


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
    name, text = (
        type(error).__name__,
        _RAISE.sub(r"\g<0> with `%grid budget`", as_options(str(error))),
    )
    error.args = (text, *error.args[1:])
    error._render_traceback_ = lambda *_: [_line(name, text)]  # type: ignore[attr-defined]
    return error
