"""``python -m benchmarks`` lists the benchmarks; ``python -m benchmarks NAME`` runs one."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from difflib import get_close_matches

import benchmarks
from benchmarks import harness

NOT_ONE = {"__main__", "harness"}


def names() -> list[str]:
    """Return the names of all benchmarks."""
    found = {each.name for each in pkgutil.iter_modules(benchmarks.__path__)}
    return sorted(each for each in found - NOT_ONE if not each.startswith("_"))


def title(name: str) -> str:
    """Return what a benchmark measures, in a line."""
    text = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
    return text.partition("\n")[0].replace("``", "").rstrip(".")


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _parser().parse_args(arguments)
    known = names()
    wanted = known if options.names == ["all"] else options.names
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, 1)
            right = f"did you mean {near[0]}" if near else f"there are {', '.join(known)}"
            print(f"no benchmark is called {name!r}; {right}", file=sys.stderr)
            return 2
    # A process that may not keep its bytecode compiles all it imports at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in wanted:
        repeats = options.repeats or (3 if options.quick else 9)
        module = importlib.import_module(f"benchmarks.{name}")
        rows = module.run(repeats=repeats, quick=options.quick)
        if options.json:
            print(harness.as_json(name, rows))
        else:
            harness.show(name, title(name), rows)
    if not wanted:
        for name in known:
            print(f"{name:12} {title(name)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark, or 'all'")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="under a minute, less exact")
    parser.add_argument("--repeats", type=_count, metavar="N", help="how often each is measured")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; write a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
