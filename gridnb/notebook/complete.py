"""Tab in a ``%grid`` or ``%%grid`` line: subcommands, options, and what an option can be.

Options come from the parsers, values from where they are: the catalog, the hub, the ledger,
the kept jobs, the notebook's own names.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from gridnb.notebook import values
from gridnb.notebook.arguments import options
from gridnb.notebook.lines import COMMANDS
from gridnb.notebook.session import Session

__all__ = ["matcher"]

Values = Callable[[Session, str], Iterable[str]]

#: What the value of an option can be, given what is typed of it.
_OPTIONS: dict[str, Values] = {
    "--site": values.sites,
    "--sites": values.sites,
    "--regions": values.regions,
    "--optimize": values.policies,
    "--by": values.columns,
    "--account": values.accounts,
    "--into": values.variables,
    "--cores": lambda session, typed: ["1", "2", "4", "8"],
    "--retries": lambda session, typed: ["1", "2", "3"],
    "--replicas": lambda session, typed: ["2", "3"],
}

#: What a word of a subcommand can be.
_WORDS: dict[str, Values] = {
    "connect": values.catalogs,
    "scale": values.scaled,
    "migrate": values.sites,
    "budget": lambda session, typed: ["reset"],
    "release": values.leases,
    "links": values.simulated,
    "attach": values.jobs,
    "fetch": values.written,
    "stage": values.paths,
    "cancel": values.running_jobs,
}

_LINE = re.compile(r"\s*(?:[\w.,\s]+=\s*)?%grid\s(?P<rest>.*)", re.DOTALL)
_CELL = re.compile(r"%%grid\s(?P<rest>.*)", re.DOTALL)
_PIECES = re.compile(r"--(?:map|sweep)[\s=]+")
_AFTER = re.compile(r"(^|\s)-")
_BLANK = re.compile(r"\S\s")
_NAME = re.compile(r"\w*$")


class _Ours(list[SimpleCompletion]):
    """Candidates that replace those of Python, even if there are none.

    IPython heeds ``suppress`` only of a matcher that has found something, by its length.
    """

    def __len__(self) -> int:
        return super().__len__() or 1


def matcher(session: Session, cell: argparse.ArgumentParser) -> Any:
    """Make the matcher (IPython's API, version 2) for these magics."""

    @context_matcher(identifier="gridnb", priority=100)  # type: ignore[untyped-decorator]
    def gridnb_matcher(context: CompletionContext) -> dict[str, Any]:
        typed = context.line_with_cursor[: _column(context)]
        answer = _candidates(typed, context.cursor_line, session, cell)
        if answer is None:
            return {"completions": [], "suppress": False}
        found, fragment = answer
        fits = sorted({name for name in found if name.startswith(fragment)})
        return {
            "completions": _Ours(SimpleCompletion(text=name, type="grid") for name in fits),
            "matched_fragment": fragment,
            "suppress": True,
        }

    return gridnb_matcher


def _column(context: CompletionContext) -> int:
    before = context.full_text[: context.cursor_position]
    if "\n" in context.full_text and len(before) > len(context.line_with_cursor):
        return len(before.rpartition("\n")[2])
    return min(context.cursor_position, len(context.line_with_cursor))


#: What could stand here, and how much of it is written.
Answer = tuple[Iterable[str], str]


def _candidates(
    typed: str, line: int, session: Session, cell: argparse.ArgumentParser
) -> Answer | None:
    """Return what could stand at the end of a line; None if that is none of ours."""
    if line == 0 and (found := _CELL.fullmatch(typed)):
        return _pieces(found["rest"], session) or _words(found["rest"], cell, session)
    if (found := _LINE.fullmatch(typed)) is None:
        return None
    name, blank, rest = found["rest"].lstrip().partition(" ")
    if not blank:
        return COMMANDS, name
    command = COMMANDS.get(name)
    if command is None:
        return [], ""
    return _words(rest, command.parser, session, _WORDS.get(name))


def _pieces(text: str, session: Session) -> Answer | None:
    """Complete in the values of ``--map`` and ``--sweep``, which are Python."""
    *_, last = [None, *_PIECES.finditer(text)]
    if last is None:
        return None
    rest = text[last.end() :]
    _, equals, value = rest.rpartition("=")
    if _AFTER.search(rest) or (_BLANK.search(value) and not _open(value)):
        return None  # another option, or there could be one
    if not equals:
        return [], ""  # a new name
    fragment = _NAME.search(value)
    assert fragment is not None  # it finds nothing, too
    return values.variables(session, fragment[0]), fragment[0]


def _open(text: str) -> bool:
    return sum(map(text.count, "([{")) > sum(map(text.count, ")]}"))


def _words(
    text: str,
    parser: argparse.ArgumentParser,
    session: Session,
    positional: Values | None = None,
) -> Answer:
    *before, word = re.split(r"\s+", text)
    option = word.partition("=")[0] if word.startswith("--") and "=" in word else None
    if option is None and before and before[-1] in _taking(parser):
        option = before[-1]
    if option is not None:
        fragment = word.rpartition("=")[2].rpartition(",")[2]
        known = _OPTIONS.get(option)
        return (known(session, fragment) if known else []), fragment
    if positional is not None and not word.startswith("-"):
        return positional(session, word), word
    return [name for name in [*options(parser), "--help"] if name not in before], word


def _taking(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options that take a value."""
    return {name for each in parser._actions if each.nargs != 0 for name in each.option_strings}
