"""Tab in a ``%grid`` or ``%%grid`` line: subcommands, options, sites, regions, variables."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from gridnb.errors import GridError
from gridnb.notebook.arguments import options
from gridnb.notebook.lines import COMMANDS
from gridnb.notebook.session import Session

__all__ = ["matcher"]


def matcher(session: Session, cell: argparse.ArgumentParser) -> Any:
    """Make the matcher (IPython's API, version 2) for these magics."""

    @context_matcher(identifier="gridnb", priority=100)  # type: ignore[untyped-decorator]
    def gridnb_matcher(context: CompletionContext) -> dict[str, Any]:
        typed = context.line_with_cursor[: _column(context)]
        found = _candidates(typed, context.cursor_line, session, cell)
        if found is None:
            return {"completions": [], "suppress": False}
        fragment = _fragment(typed)
        fits = [name for name in found if name.startswith(fragment)]
        return {
            "completions": [SimpleCompletion(text=name, type="grid") for name in sorted(set(fits))],
            "matched_fragment": fragment,
            "suppress": True,
        }

    return gridnb_matcher


def _column(context: CompletionContext) -> int:
    before = context.full_text[: context.cursor_position]
    if "\n" in context.full_text and len(before) > len(context.line_with_cursor):
        return len(before.rpartition("\n")[2])
    return min(context.cursor_position, len(context.line_with_cursor))


def _fragment(typed: str) -> str:
    """The piece of a word that is being written: after a blank, a comma, or ``=``."""
    word = typed.rpartition(" ")[2]
    return word.rpartition(",")[2].rpartition("=")[2] if "=" in word or "," in word else word


def _candidates(
    typed: str, line: int, session: Session, cell: argparse.ArgumentParser
) -> Iterable[str] | None:
    """Return what could stand here; None if this is no line of ours."""
    text = typed.lstrip()
    if line == 0 and text.startswith("%%grid "):
        return _argument(text.split(" ")[1:], cell, session)
    if not text.startswith("%grid "):
        return None
    words = text.split(" ")[1:]
    if len(words) == 1:
        return COMMANDS
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    if (
        command.name == "connect"
        and not words[-1].startswith("-")
        and not words[-2].startswith("-")
    ):
        return ["demo", "here"]
    if command.name == "scale":
        return [] if "=" in words[-1] else [f"{name}=" for name in _sites(session)]
    if command.name == "budget":
        return ["reset"]
    return _argument(words[1:], command.parser, session)


def _argument(words: list[str], parser: argparse.ArgumentParser, session: Session) -> Iterable[str]:
    before = words[-2] if len(words) > 1 else ""
    word = words[-1]
    option = word.partition("=")[0] if word.startswith("--") and "=" in word else before
    match option:
        case "--sites":
            return _sites(session)
        case "--regions":
            return _regions(session)
        case "--optimize":
            return ["cost", "time"]
        case "--by":
            return ["site", "run", "label", "owner", "worker", "lease", "kind"]
        case "--map":
            return _variables(session) if "=" in word else []
        case "--into":
            return _variables(session)
    known = options(parser)
    takes_value = {n for a in parser._actions if a.nargs != 0 for n in a.option_strings}
    if before in takes_value:
        return []
    return [name for name in known if name not in words[:-1]]


def _catalog(session: Session) -> Any:
    if session.grid is not None:
        return session.grid.catalog
    from gridnb.catalog import load
    from gridnb.config import settings

    try:
        return load(settings().catalog)
    except GridError:
        # A broken setting is told when it is used, not while somebody writes.
        return None


def _sites(session: Session) -> list[str]:
    catalog = _catalog(session)
    return [site.name for site in catalog.sites] if catalog else []


def _regions(session: Session) -> list[str]:
    catalog = _catalog(session)
    if catalog is None:
        return []
    full = {site.region for site in catalog.sites}
    return sorted(full | {region.partition("-")[0] for region in full})


def _variables(session: Session) -> list[str]:
    hidden = session.shell.user_ns_hidden
    return [n for n in session.shell.user_ns if not n.startswith("_") and n not in hidden]
