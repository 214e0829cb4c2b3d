"""The options of ``%grid`` and ``%%grid``: what they are called, and how a line is split."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser, argument

from gridnb.usage import plain

__all__ = [
    "CELL",
    "REQUEST",
    "options",
    "parse",
    "parser",
    "request_of",
    "whole",
    "with_options",
]

F = TypeVar("F", bound=Callable[..., Any])

#: What a request says; the names are those of :class:`gridnb.broker.Request`.
REQUEST = (
    argument("--cores", metavar="N", help="cores, over all workers together"),
    argument("--memory", metavar="SIZE", help="memory, over all workers together, like 8GiB"),
    argument("--gpus", metavar="N", help="GPUs, over all workers together"),
    argument("--sites", metavar="A,B", help="only at these sites (see `%%grid sites`)"),
    argument("--regions", metavar="R,S", help="only in these regions, like eu or us-east"),
    argument("--max-cost", metavar="MONEY", help="what the lease may cost at most, like '2 GD'"),
    argument("--deadline", metavar="TIME", help="when the work is to be done, like '10 min'"),
    argument(
        "--optimize",
        metavar="POLICY",
        help="cost (the default), time, or another policy that is installed",
    ),
    argument(
        "--spot",
        action="store_true",
        default=None,
        help="spot offers only: cheaper, and the site may take a worker back",
    ),
)

#: What only a cell has.
CELL = (
    argument(
        "--quote", action="store_true", help="show what it would cost; runs and spends nothing"
    ),
    argument(
        "--map",
        metavar="x=xs",
        help="run the body once for each x in xs, in parallel; the list of results comes back, "
        "what the body assigns stays at the site",
    ),
    argument(
        "--sweep",
        metavar="a=xs b=ys",
        help="run the body once for each combination; a DataFrame of parameters and results comes "
        "back, with a column for each key where results are dictionaries",
    ),
    argument(
        "--retries",
        metavar="N",
        help="run the body, or a piece of --map or --sweep, again up to N times after an error "
        "or a lost worker, at another one where there is one; every attempt is paid for",
    ),
    argument(
        "--keep",
        action="store_true",
        help="the result and what is assigned stay at the site, whatever their size; the next "
        "%%%%grid uses them there, .fetch() brings one here",
    ),
    argument(
        "--replicas",
        metavar="N",
        help="keep, and hold what is kept at N sites, so that the loss of one loses nothing",
    ),
    argument(
        "--background",
        action="store_true",
        help="run as a job that goes on without the notebook; its names come back with "
        "its result (job.result(), `%%grid attach`)",
    ),
    argument("--into", metavar="NAME", help="bind the result (or the job) to this name as well"),
    argument("--quiet", action="store_true", help="no line under the cell"),
    argument("--explain", action="store_true", help="show what travels to the site, with sizes"),
)

_KEYS = (
    "cores",
    "memory",
    "gpus",
    "sites",
    "regions",
    "max_cost",
    "deadline",
    "optimize",
    "spot",
    "workers",
)
_NUMBER = re.compile(r"[0-9][0-9_,.]*")
_UNIT = re.compile(r"[A-Za-z]{1,7}(/s)?")


def with_options(*groups: Iterable[argument]) -> Callable[[F], F]:
    """Give a magic these options, in this order."""

    def decorate(magic: F) -> F:
        for each in reversed([one for group in groups for one in group]):
            magic = each(magic)
        return magic

    return decorate


def parser(name: str, description: str, arguments: Iterable[argument]) -> MagicArgumentParser:
    """Make the parser of a subcommand."""
    made = MagicArgumentParser(name, description=description)
    for each in arguments:
        each.add_to_parser(made, None)
    return made


def options(known: argparse.ArgumentParser) -> list[str]:
    """Return the options of a parser, for completion."""
    return [name for action in known._actions for name in action.option_strings]


def parse(known: argparse.ArgumentParser, line: str, magic: str) -> argparse.Namespace:
    """Read a line; an amount, size or time may stand without quotes (``--max-cost 2 GD``).

    Raises
    ------
    UsageError
        If there is an option or word too many; names the nearest option.
    """
    try:
        words = _joined(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"{str(error).lower()} in {line!r}; close the quote") from None
    try:
        found, extra = known.parse_known_args(words)
    except UsageError as error:
        raise UsageError(plain(str(error), known)) from None
    if extra:
        raise UsageError(_unknown(extra[0], options(known), magic))
    return found


def _joined(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and _UNIT.fullmatch(word) and _NUMBER.fullmatch(joined[-1]):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


def _unknown(word: str, known: list[str], magic: str) -> str:
    if magic == "%%grid" and word.split("=")[0] == "--workers":
        return "--workers is for `%grid request`; on a cell say how much it needs, like --cores 4"
    if not word.startswith("-"):
        return f"{word!r} is one word too many; see `{magic}?`"
    near = get_close_matches(word.split("=")[0], known, 1)
    if near:
        return f"there is no option {word}; did you mean {near[0]}?"
    return f"there is no option {word}; there are {' '.join(known)}"


def whole(text: str | None, option: str, least: int, default: int) -> int:
    """Read the number of an option.

    Raises
    ------
    UsageError
        If it is not a whole number of at least `least`.
    """
    if text is None:
        return default
    if not text.isdecimal() or int(text) < least:
        raise UsageError(
            f"{option}: {text!r} is not a whole number of at least {least}; "
            f"write one, like {option} {max(least, 2)}"
        )
    return int(text)


def request_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, as keywords of :class:`gridnb.broker.Request`."""
    given = {key: getattr(arguments, key, None) for key in _KEYS}
    return {key: value for key, value in given.items() if value is not None}
