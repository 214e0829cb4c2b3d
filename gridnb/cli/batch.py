"""``gridnb run``: a notebook as a batch job."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from gridnb.cli.screen import console, write_json
from gridnb.units import format_seconds

if TYPE_CHECKING:
    from gridnb.batch.run import Ended

__all__ = ["run"]


def run(arguments: Namespace) -> int:
    """Run a notebook and show its bill; 1 if it did not get to its end."""
    from gridnb.batch import run as batch

    # What ends a batch job from outside is to leave no grid behind, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ended = batch.run(
        arguments.notebook,
        arguments.output,
        parameters=arguments.parameters or [],
        budget=arguments.budget,
        account=arguments.account,
        catalog=arguments.catalog,
        timeout=arguments.timeout,
        say=_say if arguments.progress else None,
    )
    for complaint in ended.complaints:
        sys.stderr.write(f"gridnb: {complaint}\n")
    if arguments.json:
        files = {"notebook": arguments.notebook, "output": arguments.output}
        write_json({**files, "code": ended.code, **ended.told})
    else:
        _show(arguments.output, ended)
    return ended.code


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _show(output: str, ended: Ended) -> None:
    from gridnb.tables import bill_rows, bill_table

    screen = console()
    if ended.charges:
        screen.print(bill_table("site", bill_rows(ended.charges, "site")))
    else:
        screen.print("Nothing was charged.")
    how = "stopped after" if ended.told["failed"] else "ran in"
    seconds = format_seconds(round(ended.told["seconds"], 1))
    budget = f" · budget {ended.told['budget']}" if ended.told["budget"] else ""
    screen.print(f"{output}: {how} {seconds}{budget}", markup=False, soft_wrap=True)
