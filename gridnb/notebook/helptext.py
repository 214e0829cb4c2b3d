"""What ``%%grid?``, ``%grid?`` and ``%grid COMMAND --help`` say: options in groups, examples."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["CELL_EXAMPLES", "EXAMPLES", "cell", "command", "overview"]

_WIDTH = 78
_MOST = 22  # characters for the names, before what they mean

#: Options of a cell by what they are about; what is in none comes last.
_GROUPS = (
    (
        "What the cell needs",
        "cores memory gpus sites regions deadline max-cost optimize spot",
    ),
    ("How it runs", "map sweep retries background"),
    ("What becomes of its result", "into keep replicas"),
    ("What is shown", "quote explain quiet"),
)

CELL_EXAMPLES = (
    "%%grid",
    "%%grid --cores 4 --memory 8 GiB --deadline 10 min",
    "%%grid --quote --sites alpha,beta",
    "%%grid --map year=range(2000, 2020) --into totals",
    "%%grid --sweep rate=[0.1, 0.2] depth=range(3) --max-cost 2 GD",
    "%%grid --background --retries 2 --into job",
)

_COMMAND_GROUPS = (
    ("Begin and end", "connect close"),
    ("Buy", "sites quote request scale migrate release"),
    ("Files", "stage fetch"),
    ("Watch", "status meter panel links"),
    ("Pay", "budget bill"),
    ("Jobs", "jobs attach cancel"),
)

EXAMPLES: dict[str, Sequence[str]] = {
    "connect": ("%grid connect demo --budget 5 GD", "%grid connect my-sites.yaml"),
    "quote": ("%grid quote --cores 4 --regions eu", "%grid quote --workers 3 --optimize time"),
    "request": ("%grid request --cores 4 --max-cost 1 GD", "lease = %grid request --gpus 1"),
    "scale": ("%grid scale 4", "%grid scale alpha=2 beta=1"),
    "migrate": ("%grid migrate alpha beta", "%grid migrate alpha beta --limit 30 s"),
    "bill": ("%grid bill", "%grid bill --by owner,site"),
    "budget": ("%grid budget", "%grid budget 8 GD", "%grid budget reset"),
    "release": ("%grid release", "%grid release l1"),
    "links": (
        "%grid links",
        "%grid links alpha beta --cut",
        "%grid links alpha beta --restore",
        "%grid links alpha beta --bandwidth 5 MB/s --latency 80 ms",
    ),
    "stage": ("data = %grid stage data/", "%grid stage https://example.org/t.csv", "%grid stage"),
    "fetch": ("%grid fetch out/table.csv", "%grid fetch out results/"),
    "attach": ("%grid attach 3f2a-7",),
    "cancel": ("%grid cancel 3f2a-7",),
}


def cell(parser: argparse.ArgumentParser, about: str) -> str:
    """Explain ``%%grid``: `about` it, its options in groups, examples."""
    actions = {_long(each): each for each in _options(parser)}
    parts = ["%%grid [options]", textwrap.dedent(about).strip()]
    for title, names in [*_GROUPS, ("More", " ".join(_rest(actions)))]:
        rows = [_row(actions[name]) for name in names.split() if name in actions]
        parts += [_block(title, rows)] if rows else []
    return "\n\n".join([*parts, _examples(CELL_EXAMPLES)])


def _rest(actions: Mapping[str, object]) -> Iterable[str]:
    known = {name for _, names in _GROUPS for name in names.split()}
    return [name for name in actions if name not in known]


def command(name: str, about: str, parser: argparse.ArgumentParser) -> str:
    """Explain ``%grid NAME``."""
    positional = [each for each in parser._actions if not each.option_strings]
    words = [_positional(each) for each in positional]
    options = [_row(each) for each in _options(parser)]
    usage = " ".join([f"%grid {name}", *words, *(["[options]"] if options else [])])
    parts = [usage, f"{about[0].upper()}{about[1:]}."]
    if positional:
        parts.append(_block("Words", [(_name(each), _meaning(each)) for each in positional]))
    if options:
        parts.append(_block("Options", options))
    if name in EXAMPLES:
        parts.append(_examples(EXAMPLES[name]))
    return "\n\n".join(parts)


def overview(commands: Mapping[str, str]) -> str:
    """List the subcommands, which are given with what they do, in groups."""
    known = {name for _, names in _COMMAND_GROUPS for name in names.split()}
    more = " ".join(name for name in commands if name not in known)
    parts = []
    for title, names in [*_COMMAND_GROUPS, ("More", more)]:
        rows = [(f"%grid {each}", commands[each]) for each in names.split() if each in commands]
        parts += [_block(title, rows)] if rows else []
    last = "`%grid COMMAND --help` explains each; `%%grid?` says what a cell can ask for."
    return "\n\n".join([*parts, last])


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [each for each in parser._actions if each.option_strings]


def _long(action: argparse.Action) -> str:
    return action.option_strings[-1].lstrip("-")


def _row(action: argparse.Action) -> tuple[str, str]:
    value = f" {action.metavar}" if action.nargs != 0 else ""
    return f"{action.option_strings[-1]}{value}", _meaning(action)


def _name(action: argparse.Action) -> str:
    return str(action.metavar or action.dest).upper()


def _positional(action: argparse.Action) -> str:
    name = _name(action)
    return f"[{name}]" if action.nargs == "?" else f"{name}…" if action.nargs == "+" else name


def _meaning(action: argparse.Action) -> str:
    # argparse would have put it through %, and so doubles what is meant as such.
    return (action.help or "").replace("%%", "%")


def _block(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = min(max(len(name) for name, _ in rows), _MOST)
    lines = [title]
    for name, meaning in rows:
        wrapped = textwrap.wrap(meaning, _WIDTH - width - 4) or [""]
        if len(name) > width:
            lines.append(f"  {name}")
            name = ""
        lines.append(f"  {name:<{width}}  {wrapped[0]}".rstrip())
        lines += [f"  {'':<{width}}  {each}" for each in wrapped[1:]]
    return "\n".join(lines)


def _examples(lines: Sequence[str]) -> str:
    return "\n".join(["Examples", *(f"  {each}" for each in lines)])
