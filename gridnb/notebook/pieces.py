"""``--map x=xs`` and ``--sweep a=xs b=ys``: for which values the body of a cell is run.

What is right of a ``=`` is Python, so the line is not split into words there: an
expression ends where, outside of brackets and quotes, an option or another ``name=`` begins.
"""

from __future__ import annotations

import itertools
import keyword
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError

from gridnb.errors import RequestError

__all__ = ["MOST", "Pieces", "take_pieces"]

#: More runs of one cell than this are refused; it is a slip more often than a wish.
MOST = 1_000_000

_OPTION = re.compile(r"--(map|sweep)(?=[\s=]|$)[\s=]*")
_ANY_OPTION = re.compile(r"--[a-z]")
_NAME = re.compile(r"(\w+)\s*=(?!=)\s*")
_QUOTED_NAME = re.compile(r"""(?=(["'])\w+\s*=(?!=))""")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_LIKE = {"map": "--map year=years", "sweep": "--sweep rate=[0.1, 0.2] depth=range(3)"}


@dataclass(frozen=True)
class Pieces:
    """Names with the text of their values, as a line has them."""

    option: str
    values: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are bound for each run of the body."""
        return tuple(name for name, _ in self.values)

    @property
    def sweep(self) -> bool:
        """Whether it is ``--sweep``."""
        return self.option == "sweep"

    def evaluate(self, space: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what is bound for each run: every combination, the last name's values first.

        Raises
        ------
        RequestError
            If an expression fails or gives nothing to go through, or they are too many.
        """
        found = [self._values(expression, space) for _, expression in self.values]
        count = math.prod(len(each) for each in found)
        if count > MOST:
            raise RequestError(
                f"--{self.option}: {count:,} runs of a cell are too many; write at most {MOST:,}"
            )
        return [dict(zip(self.names, each, strict=True)) for each in itertools.product(*found)]

    def _values(self, expression: str, space: dict[str, Any]) -> list[Any]:
        try:
            return list(itertools.islice(eval(expression, space), MOST + 1))
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(
                f"--{self.option}: {expression!r} gives no values ({said}); "
                "write something that can be iterated over"
            ) from error


def take_pieces(line: str) -> tuple[str, Pieces | None]:
    """Take ``--map`` and ``--sweep`` out of a line; the rest is for :func:`~.arguments.parse`.

    Raises
    ------
    UsageError
        If what follows is no name with an expression; says what would be right.
    """
    rest, option, values, at = "", "", [], 0
    while at < len(line):
        found = _OPTION.match(line, at) if _at_word(line, at) else None
        if found is None:
            end = _step(line, at)
            rest, at = rest + line[at:end], end
            continue
        if option and option != found[1]:
            raise UsageError("--map and --sweep do not go together; --sweep takes several names")
        option = found[1]
        fresh, at = _bound(line, found.end(), option)
        values += fresh
        rest += " "
    if not option:
        return line, None
    _check(option, [name for name, _ in values])
    return rest.strip(), Pieces(option, tuple(values))


def _check(option: str, names: list[str]) -> None:
    if option == "map" and len(names) > 1:
        raise UsageError(
            f"--map: takes one name, not {' and '.join(names)}; --sweep runs all combinations"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--{option}: {twice} is there twice; give each name once")


def _bound(line: str, at: int, option: str) -> tuple[list[tuple[str, str]], int]:
    """Return the names with their expressions from here on, and where they end."""
    found: list[tuple[str, str]] = []
    while at < len(line) and not _ANY_OPTION.match(line, at):
        if _QUOTED_NAME.match(line, at):
            end = _string(line, at)
            text = line[at + 1 : end - 1]
        else:
            end = _until(line, at, lambda here: _begins(line, here))
            text = line[at:end]
        found.append(_pair(text, option))
        at = _blank(line, end)
    if not found:
        raise UsageError(f"--{option}: write a name and its values, like {_LIKE[option]}")
    return found, at


def _pair(text: str, option: str) -> tuple[str, str]:
    named = _NAME.match(text)
    name = named[1] if named else ""
    expression = text[named.end() :].strip() if named else ""
    if not name.isidentifier() or keyword.iskeyword(name) or not expression:
        raise UsageError(
            f"--{option}: {text.strip()!r} is not a name and its values; "
            f"write a name and its values, like {_LIKE[option]}"
        )
    _until(expression, 0, lambda _: False)  # says which bracket is not closed
    return name, expression


def _begins(line: str, at: int) -> bool:
    """Whether another name or option begins at this place."""
    if not _at_word(line, at):
        return False
    starts = _ANY_OPTION.match(line, at) or _NAME.match(line, at) or _QUOTED_NAME.match(line, at)
    return starts is not None


def _until(line: str, at: int, ends: Callable[[int], bool]) -> int:
    """Return where, outside of brackets and quotes, `ends` is true, or the end of the line."""
    first, open_ = at, list[str]()
    while at < len(line):
        char = line[at]
        if not open_ and at > first and ends(at):
            break
        if char in _CLOSES:
            open_.append(_CLOSES[char])
        elif open_ and char == open_[-1]:
            open_.pop()
        elif char in ")]}":
            raise UsageError(f"{char!r} closes nothing in {line[first:].strip()!r}; leave it out")
        at = _step(line, at)
    if open_:
        raise UsageError(f"{open_[-1]!r} is missing in {line[first:].strip()!r}; close the bracket")
    return at


def _step(line: str, at: int) -> int:
    return _string(line, at) if line[at] in "\"'" else at + 1


def _string(line: str, at: int) -> int:
    """Return the end of the string that begins here."""
    quote = line[at : at + 3] if line[at : at + 3] in ('"""', "'''") else line[at]
    here = at + len(quote)
    while here < len(line):
        if line.startswith(quote, here):
            return here + len(quote)
        here += 2 if line[here] == "\\" else 1
    raise UsageError(f"no closing quotation in {line[at:].strip()!r}; close the quote")


def _at_word(line: str, at: int) -> bool:
    return at == 0 or line[at - 1].isspace()


def _blank(line: str, at: int) -> int:
    while at < len(line) and line[at].isspace():
        at += 1
    return at
