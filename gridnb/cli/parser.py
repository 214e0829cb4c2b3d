"""The commands and their options, and what is said about a wrong one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from gridnb import __version__
from gridnb.usage import plain

__all__ = ["Parser", "parser"]

#: What a bill can be summed up by.
GROUPS = ("site", "run", "owner", "account", "kind", "lease", "worker", "charge")


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, with the nearest right word."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)
        self.commands: Any = None

    def error(self, message: str) -> NoReturn:
        """Write one line to stderr and exit with 2."""
        self.exit(2, f"{self.prog}: {plain(message, self)}; see `{self.prog} --help`\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is not known, here, where the nearest right word is known."""
        if self.commands is not None:
            self._check_command(args)
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return parsed, unknown

    def _check_command(self, args: Sequence[str] | None) -> None:
        import sys

        given = list(sys.argv[1:] if args is None else args)
        if given and not given[0].startswith("-") and given[0] not in self.commands.choices:
            hint = _nearest(given[0], list(self.commands.choices))
            self.error(f"there is no command {given[0]!r}; {hint}")

    def _unknown(self, word: str) -> str:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            return f"{word!r} is one argument too many"
        known = [each for each in self._option_string_actions if each.startswith("--")]
        return f"there is no option {name}; {_nearest(name, known)}"


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _one_of(*names: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} will not do; {_nearest(text, names)}")
        return text

    return check


def parser() -> Parser:
    """Return the parser of the whole command line."""
    root = Parser(
        prog="gridnb",
        description="Say what a notebook cell needs and what it may cost.",
        epilog="Every command explains itself: gridnb quote --help",
    )
    root.add_argument("--version", action="version", version=f"gridnb {__version__}")
    root.set_defaults(run=None, prog=root.prog)
    commands = root.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    root.commands = commands

    def add(name: str, run: str, text: str, more: str = "") -> Parser:
        description = f"{text[0].upper()}{text[1:]}." + (f" {more}" if more else "")
        command: Parser = commands.add_parser(name, help=text, description=description)
        command.set_defaults(run=run, prog=command.prog)
        command.add_argument("--json", action="store_true", help="write plain data as JSON")
        return command

    _buying(add)
    _notebooks(add)
    _running(add)
    _money(add)
    _caring(add)
    _catalog(commands)
    return root


_Add = Callable[..., Parser]


def _buying(add: _Add) -> None:
    demo = add(
        "demo",
        "gridnb.demo:command",
        "the main job on real data, over simulated sites",
        "It takes about a minute, ends by itself, and leaves an executed notebook.",
    )
    demo.add_argument(
        "--directory", metavar="DIR", default="demo", help="where the notebook goes (default: demo)"
    )
    sites = add("sites", "gridnb.cli.market:sites", "what is on offer")
    sites.add_argument(
        "catalog",
        nargs="?",
        metavar="CATALOG",
        help="a name or a YAML file (default: the setting gridnb.catalog)",
    )
    sites.add_argument("--links", action="store_true", help="show what lies between sites, too")
    quote = add("quote", "gridnb.cli.market:quote", "what a request would cost; buys nothing")
    for option, metavar, text in _REQUEST:
        quote.add_argument(option, metavar=metavar, help=text)
    quote.add_argument(
        "--spot",
        action="store_true",
        default=argparse.SUPPRESS,
        help="only what a site may take back",
    )
    quote.add_argument("--catalog", metavar="CATALOG", help="a name or a YAML file")
    quote.add_argument("--account", metavar="NAME", help="keep within what is left of this budget")


_REQUEST = (
    ("--cores", "N", "cores of all workers together (default: 1)"),
    ("--memory", "SIZE", "memory of all workers together, like '8 GiB'"),
    ("--gpus", "N", "GPUs of all workers together"),
    ("--workers", "N", "exactly so many workers"),
    ("--sites", "A,B", "only these sites"),
    ("--regions", "R,S", "only these regions or countries"),
    ("--owners", "O,P", "only sites of these owners"),
    ("--deadline", "TIME", "by when the work is to be done, like '10 min'"),
    ("--max-cost", "MONEY", "what it may cost at most, like '2 GD'"),
    ("--optimize", "POLICY", "cost or time"),
)


class _Parameter(argparse.Action):
    """Keeps parameters in the order in which they are given, whichever way they are written."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Note one."""
        given = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*given, (self.option_strings[0], values)])


_PARAMETERS = (
    ("-p", "NAME=VALUE", "a parameter: a number, True, False, None or text"),
    ("-r", "NAME=TEXT", "a parameter that is text, whatever it looks like"),
    ("-y", "YAML", "parameters as YAML, like 'n: 100'"),
    ("-f", "FILE", "parameters in a YAML file"),
)


def _notebooks(add: _Add) -> None:
    run = add(
        "run",
        "gridnb.cli.batch:run",
        "run a notebook as a batch job, with a budget",
        "Parameters go after the cell that is tagged `parameters`, as with papermill. The copy has "
        "what each cell put out and cost, and the bill. The grid ends with the notebook.",
    )
    run.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb file; it is not changed")
    for option, metavar, text in _PARAMETERS:
        run.add_argument(option, dest="parameters", metavar=metavar, action=_Parameter, help=text)
    run.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="where the executed copy goes"
    )
    run.add_argument(
        "--budget",
        metavar="MONEY",
        help="what it may cost at most, like '2 GD', whatever the notebook says",
    )
    run.add_argument(
        "--account", metavar="NAME", help="spend from this budget, not from an own one"
    )
    run.add_argument(
        "--catalog", metavar="CATALOG", help="use this one, whatever the notebook says"
    )
    run.add_argument("--timeout", metavar="TIME", help="stop it after this time, like '10 min'")
    run.add_argument("--progress", action="store_true", help="say which cell runs")
    app = add(
        "app",
        "gridnb.cli.app:app",
        "open a notebook as a page with a form, a price and a button",
        "Voilà serves it on this machine, without its code, until Ctrl-C.",
    )
    app.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb file with a gridnb.App")
    app.add_argument("--port", metavar="N", help="where to listen (default: 8866 or a free one)")
    app.add_argument("--no-browser", action="store_true", help="only say the address")


def _running(add: _Add) -> None:
    status = add("status", "gridnb.cli.running:status", "grids that run: workers, runs, money")
    status.add_argument("grid", nargs="?", metavar="GRID", help="one of them, by id or name")
    status.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    release = add(
        "release",
        "gridnb.cli.running:release",
        "end workers, and with them what they cost",
        "Without a name the leases of the one grid that runs. What was set aside goes back.",
    )
    release.add_argument("what", nargs="?", metavar="GRID|LEASE", help="an id, or a grid's name")
    release.add_argument("--all", action="store_true", help="the leases of every grid")
    release.add_argument("--end", action="store_true", help="end the grid itself, too")


def _money(add: _Add) -> None:
    bill = add("bill", "gridnb.cli.money:bill", "what was charged, to the last digit")
    bill.add_argument("--grid", metavar="ID", help="only of this grid")
    bill.add_argument("--account", metavar="NAME", help="only of this budget")
    bill.add_argument("--all", action="store_true", help="earlier periods of budgets, too")
    bill.add_argument(
        "--by",
        metavar="WHAT",
        default="site",
        type=_one_of(*GROUPS),
        help=f"sum up by one of {', '.join(GROUPS)} (default: site)",
    )
    add("audit", "gridnb.cli.money:audit", "check the ledger: chain, sums and caps")


def _caring(add: _Add) -> None:
    reap = add("reap", "gridnb.cli.care:reap", "settle and clean up what lost grids left behind")
    reap.add_argument(
        "--orphans",
        action="store_true",
        help="also charge in full what the ledger holds for grids that are not known here; "
        "not where others use the same ledger",
    )
    add("doctor", "gridnb.cli.care:doctor", "try everything that gridnb needs, step by step")


def _catalog(commands: Any) -> None:
    catalog: Parser = commands.add_parser(
        "catalog", help="work on catalogs", description="Work on catalogs."
    )
    catalog.set_defaults(run=None)
    verbs = catalog.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    catalog.commands = verbs
    validate: Parser = verbs.add_parser(
        "validate",
        help="check a file and say what is wrong, and where",
        description="Check a catalog and say what is wrong, and where.",
    )
    validate.add_argument("file", metavar="FILE", help="a YAML file, or a name")
    validate.add_argument("--json", action="store_true", help="write plain data as JSON")
    validate.set_defaults(run="gridnb.cli.market:validate", prog=validate.prog)
