"""The subcommands of ``%grid``; each is a function from a line to what is shown."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser, argument

from gridnb.errors import HubError, RequestError
from gridnb.fixed import fixed
from gridnb.notebook import helptext
from gridnb.notebook.arguments import REQUEST, parse, parser, request_of
from gridnb.notebook.progress import Progress

if TYPE_CHECKING:
    from gridnb.grid import Lease
    from gridnb.notebook.session import Session

__all__ = ["COMMANDS", "Command", "Lines", "overview"]

_WORKERS = argument("--workers", metavar="N", help="exactly so many workers")


@dataclass(frozen=True)
class Command:
    """One subcommand: its name, what it does, and its parser."""

    name: str
    help: str
    parser: MagicArgumentParser


def _command(name: str, text: str, *arguments: argument) -> Command:
    return Command(name, text, parser(f"grid {name}", text, arguments))


COMMANDS = {
    each.name: each
    for each in (
        _command(
            "connect",
            "connect this notebook to a grid, or come back to the one that runs",
            argument("catalog", nargs="?", help="name or path of a catalog, like demo or here"),
            argument("--budget", metavar="MONEY", help="the cap, like '5 GD'"),
            argument("--account", metavar="NAME", help="whose budget; by default this notebook's"),
        ),
        _command("sites", "what the catalog offers, and what is up"),
        _command("quote", "what a request would cost; spends nothing", *REQUEST, _WORKERS),
        _command("request", "lease workers", *REQUEST, _WORKERS),
        _command(
            "scale",
            "bring the grid, or sites of it, to a number of workers",
            argument("numbers", nargs="+", help="4, or alpha=2 beta=1"),
        ),
        _command(
            "migrate",
            "move what works at one site to another, while it works",
            argument("source", help="the site that it leaves"),
            argument("target", help="the site that it goes to"),
            argument("--limit", metavar="TIME", default="5 min", help="for what runs to finish"),
            argument("--force", action="store_true", help="end what cannot be moved"),
        ),
        _command("status", "workers, leases, runs and traffic"),
        _command("jobs", "jobs of this budget, those that have ended too"),
        _command(
            "attach",
            "come back to a job: its output, its result, the names that it assigned",
            argument("run", help="its id or the end of it, as `%%grid jobs` lists it"),
        ),
        _command(
            "cancel",
            "end a job, running or not",
            argument("run", help="its id or the end of it, as `%%grid jobs` lists it"),
        ),
        _command(
            "stage",
            "bring a file, directory or URL to all sites, once each; without a path: what is there",
            argument("path", nargs="?", help="a path or URL, or grid-stage://… of the volume"),
            argument("--site", metavar="NAME", help="publish what this site has in the volume"),
        ),
        _command(
            "fetch",
            "bring here what cells or tasks have written below grid.volume",
            argument("path", help="its path in the volume, like out/table.csv"),
            argument("to", nargs="?", help="a file or directory here"),
            argument("--site", metavar="NAME", help="of this site, if several have that name"),
        ),
        _command("meter", "spent, held, left, and how long it lasts"),
        _command(
            "links",
            "what lies between simulated sites and what goes over it; cut, restore or set a link",
            argument("sites", nargs="*", help="the two ends of one link, like alpha beta"),
            argument("--cut", action="store_true", help="break it; transfers over it fail"),
            argument("--restore", action="store_true", help="undo --cut"),
            argument("--bandwidth", metavar="RATE", help="set it, like 5 MB/s"),
            argument("--latency", metavar="TIME", help="set it, like 80 ms"),
        ),
        _command("panel", "a live panel: meter, request form, sites, leases, runs and bill"),
        _command(
            "bill",
            "what was charged",
            argument("--by", metavar="A,B", default="", help="sum up by these columns, like owner"),
        ),
        _command(
            "budget",
            "show the budget, set its cap, or begin a new period",
            argument("cap", nargs="?", help="the new cap, like '8 GD', or reset"),
        ),
        _command(
            "release",
            "end the workers of a lease, or all of them",
            argument("lease", nargs="?", help="a lease, like l1"),
        ),
        _command(
            "close",
            "release everything and end the grid",
            argument("--jobs", action="store_true", help="also while jobs run, which end with it"),
        ),
    )
}


def overview() -> str:
    """The subcommands, a line each, in groups."""
    return helptext.overview({each.name: each.help for each in COMMANDS.values()})


class Lines:
    """Carries out lines of ``%grid``."""

    def __init__(self, session: Session, say: Callable[[str], None], on_release: Any) -> None:
        self._session, self._say, self._on_release = session, say, on_release

    def run(self, line: str) -> Any:
        """Carry out one line; returns what the cell shows, or None.

        Raises
        ------
        UsageError, GridError
            If there is no such subcommand or option, or it cannot be done.
        """
        name, _, rest = line.strip().partition(" ")
        if not name or name in ("-h", "--help", "help"):
            self._say(overview())
            return None
        command = COMMANDS.get(name)
        if command is None:
            raise UsageError(_unknown(name))
        if {"-h", "--help"} & set(rest.split()):
            self._say(helptext.command(command.name, command.help, command.parser))
            return None
        arguments = parse(command.parser, rest, "%grid")
        return getattr(self, f"_{name}")(arguments)

    def _connect(self, given: argparse.Namespace) -> None:
        say = Progress(self._session.shell, quiet=False)
        grid, how = self._session.connect(given.catalog, given.budget, given.account, say=say)
        say(f"{how} {describe(grid)}")

    def _sites(self, _: argparse.Namespace) -> Any:
        from gridnb.widgets import tables

        if self._session.grid is not None:
            grid = self._session.answering()
            return tables.sites(grid.catalog, grid.status())
        from gridnb.catalog import load
        from gridnb.config import settings

        return tables.sites(load(settings().catalog))

    def _quote(self, given: argparse.Namespace) -> Any:
        return self._session.answering().quote(**request_of(given))

    def _request(self, given: argparse.Namespace) -> Any:
        self._session.answering()
        lease = self._session.lease(request_of(given))
        self._say(_leased(lease))
        lease.wait(1)
        return lease

    def _scale(self, given: argparse.Namespace) -> None:
        grid = self._session.answering()
        count = grid.scale(_numbers(given.numbers))
        self._say(f"{count} worker{'' if count == 1 else 's'}")

    def _migrate(self, given: argparse.Namespace) -> None:
        say = Progress(self._session.shell, quiet=False)
        grid = self._session.answering()
        migration = grid.migrate(given.source, given.target, force=given.force, limit=given.limit)
        try:
            migration.wait(progress=lambda now: say(str(now)))
        except KeyboardInterrupt:
            migration.stop()
            raise

    def _status(self, _: argparse.Namespace) -> Any:
        from gridnb.widgets import tables

        return tables.status(self._session.answering().status(bill=True))

    def _jobs(self, _: argparse.Namespace) -> Any:
        from gridnb.jobs.find import jobs_of
        from gridnb.widgets import tables

        grid = self._session.grid
        if grid is not None:
            return tables.jobs(grid.jobs())
        return tables.jobs(jobs_of(self._session.account(), self._session.shell.user_ns))

    def _attach(self, given: argparse.Namespace) -> None:
        from gridnb.notebook.background import attach

        attach(self._job(given.run), self._session, self._session.shell)

    def _cancel(self, given: argparse.Namespace) -> None:
        job = self._job(given.run)
        said = "is being cancelled" if job.cancel() else f"had ended already: {job.state}"
        self._say(f"{job.label} {said}")

    def _job(self, run: str) -> Any:
        """Find a job; one that goes on needs its grid, to which the notebook comes back."""
        from gridnb.hub.runs import ENDED, RunRecord
        from gridnb.jobs.find import job_of

        record, space = RunRecord.of(run), self._session.shell.user_ns
        about = record.about()
        if self._session.grid is None:
            if about["state"] in ENDED:
                return job_of(record, space)
            if about["account"] != self._session.account():
                raise HubError(
                    f"run {record.run} goes on under the budget {about['account']}; "
                    f'`%grid connect --account "{about["account"]}"` first'
                )
            say = Progress(self._session.shell, quiet=False)
            grid, how = self._session.connect(say=say)
            say(f"{how} {describe(grid)}")
        return self._session.connected().job(record.run, space)

    def _stage(self, given: argparse.Namespace) -> Any:
        from gridnb.staging import stage
        from gridnb.widgets import staged

        grid = self._session.answering()
        if given.path is None:
            return staged.table(grid.staged(), grid.status(runs=0)["grid"])
        say = Progress(self._session.shell, quiet=False)
        space = self._session.shell.user_ns
        # A file comes before a name: `data = %grid stage data` means the file each time.
        named = _is_path(space.get(given.path)) and not Path(given.path).expanduser().exists()
        source = space[given.path] if named else given.path
        done = stage(grid, source, site=given.site, say=say)
        say(staged.sentence(done))
        return done

    def _fetch(self, given: argparse.Namespace) -> Any:
        from gridnb.staging import fetch

        grid = self._session.answering()
        space = self._session.shell.user_ns
        path = space[given.path] if _is_path(space.get(given.path)) else given.path
        say = Progress(self._session.shell, quiet=False)
        found = fetch(grid, path, given.to, site=given.site, say=say)
        say(f"fetched {found}")
        return found

    def _meter(self, _: argparse.Namespace) -> Any:
        from gridnb.widgets import tables

        return tables.meter(self._session.answering().status(bill=True))

    def _links(self, given: argparse.Namespace) -> Any:
        grid = self._session.answering()
        if not given.sites:
            return _all_links(grid, given)
        link = grid.links[tuple(given.sites)]
        if given.cut and given.restore:
            raise RequestError("links: --cut and --restore undo each other; give one of them")
        if given.bandwidth is not None or given.latency is not None:
            link.set(bandwidth=given.bandwidth, latency=given.latency)
        if given.cut:
            link.cut()
        if given.restore:
            link.restore()
        return link

    def _panel(self, _: argparse.Namespace) -> Any:
        from gridnb.widgets.panel import Panel

        session, grid = self._session, self._session.answering()
        return Panel(
            grid,
            lease=lambda request: _leased(session.lease(request)),
            set_budget=lambda cap: session.set_budget(grid, cap),
        )

    def _bill(self, given: argparse.Namespace) -> Any:
        from gridnb.widgets import tables

        grid = self._session.answering()
        columns = [name for name in given.by.replace(" ", "").split(",") if name]
        try:
            return tables.bill(grid.bill(), columns, grid.status()["grid"])
        except ValueError as error:
            raise RequestError(f"--by: {error}") from None

    def _budget(self, given: argparse.Namespace) -> Any:
        from gridnb.config import settings
        from gridnb.ledger import Ledger
        from gridnb.units import parse_money
        from gridnb.widgets import tables

        grid, bounds = self._session.answering(), fixed()
        if given.cap is not None and bounds is not None and bounds.account is not None:
            self._say(bounds.stays)
        elif given.cap == "reset":
            with Ledger(settings().ledger) as ledger:
                ledger.reset(grid.account, grid.currency)
            self._say("a new period has begun; what was spent before stays in the ledger")
        elif given.cap is not None:
            self._session.set_budget(grid, parse_money(given.cap, what="budget"))
        self._session.left = None
        return tables.budget(grid.status(bill=True))

    def _release(self, given: argparse.Namespace) -> None:
        grid = self._session.answering()
        lease = given.lease
        if lease is not None and not lease.startswith(grid.id):
            lease = f"{grid.id}-{lease}"
        ended = grid.release(lease)
        self._on_release()
        if not ended:
            self._say("there was nothing to release")
            return
        spent = grid.spent
        names = ", ".join(each.rpartition("-")[2] for each in ended)
        self._say(f"released {names} · {spent} spent so far")

    def _close(self, given: argparse.Namespace) -> None:
        grid = self._session.answering()
        name = grid.id
        if running := [] if given.jobs else [job for job in grid.jobs() if not job.done()]:
            some = ", ".join(job.label for job in running[:3])
            raise HubError(
                f"{len(running)} job{'' if len(running) == 1 else 's'} still run ({some}); "
                "`%grid close --jobs` ends them too, and without it they go on"
            )
        self._session.close()
        self._say(f"grid {name} has ended; nothing of it runs or costs any more")


def _all_links(grid: Any, given: argparse.Namespace) -> Any:
    if given.cut or given.restore or given.bandwidth or given.latency:
        raise RequestError("links: name the two sites of the link, like `%grid links alpha beta …`")
    return grid.links


def _is_path(value: object) -> bool:
    """Whether a word of a line is the name of a path in the notebook."""
    return isinstance(value, os.PathLike)


def _leased(lease: Lease) -> str:
    from gridnb.widgets.tables import rate

    lines = ", ".join(f"{each.count} × {each.site} {each.offer}" for each in lease.quote.lines)
    return f"leased {lines} · {rate(lease.quote)} · starting"


def _unknown(name: str) -> str:
    near = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean `%grid {near[0]}`?" if near else f"there are: {', '.join(COMMANDS)}"
    return f"there is no `%grid {name}`; {hint}"


def _numbers(words: Sequence[str]) -> int | dict[str, int]:
    try:
        if len(words) == 1 and "=" not in words[0]:
            return int(words[0])
        pairs = (word.split("=", 1) for word in words)
        return {site: int(number) for site, number in pairs}
    except ValueError:
        raise RequestError(
            f"scale: {' '.join(words)!r} says no number of workers; write 4, or alpha=2 beta=1"
        ) from None


def describe(grid: Any) -> str:
    """Say in a line which grid it is, and how its budget stands."""
    state = grid.status()
    from gridnb.widgets.tables import budget_text

    up = len(state["workers"])
    workers = f"{up} worker{'' if up == 1 else 's'}" if up else "no workers yet"
    parts = [f"grid {grid.id}", f"catalog {grid.catalog.name}", *budget_text(state), workers]
    if state["grid"]["simulated"]:
        parts.append("simulated money and time")
    return " · ".join(parts)
