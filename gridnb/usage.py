"""Mistakes in a line, told as the line is written: with its options, and what would be right."""

from __future__ import annotations

import argparse
import re

__all__ = ["as_options", "plain"]

_KEY = re.compile(r"request[:.] ?([a-z_]+): ")
_EXPECTED = re.compile(r"argument (\S+): expected .*argument")
_IGNORED = re.compile(r"argument (\S+): ignored explicit argument (.*)")
_REQUIRED = "the following arguments are required: "


def as_options(text: str) -> str:
    """Name what is wrong of a request as it was written: ``max_cost`` is ``--max-cost``.

    >>> as_options("request: max_cost: '5' is not an amount of money")
    "--max-cost: '5' is not an amount of money"
    """
    text = text.replace('max_cost="', '--max-cost "').replace(
        "max_cost leaves", "--max-cost leaves"
    )
    found = _KEY.match(text)
    if found is None:
        return text
    return f"--{found[1].replace('_', '-')}: {text[found.end() :]}"


def plain(complaint: str, parser: argparse.ArgumentParser) -> str:
    """Say what argparse complains about, and what would be right, in plain words."""
    if found := _EXPECTED.fullmatch(complaint):
        name = found[1].split("/")[-1]
        action = parser._option_string_actions.get(name)
        value = str(action.metavar or action.dest.upper()) if action else "VALUE"
        return f"{name} needs a value; write {name} {value}"
    if found := _IGNORED.fullmatch(complaint):
        return f"{found[1].split('/')[-1]} takes no value; leave out {found[2]}"
    if complaint.startswith(_REQUIRED):
        names = [each.split("/")[-1] for each in complaint.removeprefix(_REQUIRED).split(", ")]
        return f"missing: {' and '.join(names)}"
    return complaint.removeprefix("argument ")
