"""One run of a notebook: from the command line to the copy with its bill, whatever happens."""

from __future__ import annotations

import os
import queue
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.batch import grids
from gridnb.batch.bill import title
from gridnb.batch.output import GRID, Output, without_results
from gridnb.batch.parameters import Given, inject, read
from gridnb.errors import GridError, RequestError
from gridnb.fixed import VARIABLE, Fixed
from gridnb.ledger import Charge
from gridnb.playing import KERNEL, Event, Player, Step
from gridnb.units import format_seconds, parse_seconds

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Ended", "run"]

INTERRUPTED = 130
GRACE = 20.0  # seconds that a cell may take to end when it is interrupted

_TICK = 0.3
_CONNECT = "%load_ext gridnb\n%grid connect"
#: What a notebook that looks after its grid by itself contains.
_OWN_GRID = re.compile(r"load_ext\s+gridnb|\bgridnb\.(Grid|App)\b|\bGrid\(")


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes
    ----------
    code
        0, 1 if it did not get to its end, 130 if it was interrupted.
    complaints
        What went wrong, a line each.
    told
        What its copy says of its costs, as plain data.
    charges
        What was charged for it.
    """

    code: int
    complaints: list[str]
    told: dict[str, Any]
    charges: list[Charge]


def run(
    notebook: str | Path,
    output: str | Path,
    *,
    parameters: Sequence[Given] = (),
    budget: str | None = None,
    account: str | None = None,
    catalog: str | None = None,
    timeout: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Ended:
    """Run a notebook; `say` is told which cell runs.

    Raises
    ------
    GridError
        If it cannot begin; nothing was run then, and nothing spent.
    """
    source, target = Path(notebook), Path(output).absolute()
    seconds = None if timeout is None else parse_seconds(timeout, what="--timeout")
    book = _read(source, target)
    values = read(parameters)
    book = inject(book, values, source.name)
    _connect(book)
    _tidy(book)
    with tempfile.TemporaryDirectory(prefix="gridnb-run-") as scratch:
        fixed = grids.bounds(Path(scratch) / "made", target, budget, account, catalog)
        batch = _Batch(Output(book, target), grids.Grids(fixed), seconds, say or _nobody)
        batch.about["parameters"] = values
        return batch.run(_player(batch, source, Path(scratch), fixed))


def _nobody(text: str) -> None:
    pass


def _read(source: Path, target: Path) -> NotebookNode:
    try:
        import nbclient  # noqa: F401 - what executes it
        import nbformat
        from papermill.iorw import load_notebook_node
    except ImportError as error:
        raise GridError(
            f"gridnb run needs {error.name}; install it with `pip install 'gridnb[run]'`"
        ) from None
    if source.suffix != ".ipynb":
        raise RequestError(f"{source} is no notebook: its name does not end in .ipynb")
    if not source.is_file():
        raise RequestError(f"there is no notebook {source}")
    if target.exists() and target.samefile(source):
        raise RequestError(f"-o {target.name} is the notebook itself; name another file")
    if not target.parent.is_dir():
        raise RequestError(f"-o {target}: there is no directory {target.parent}")
    try:
        book = load_notebook_node(str(source))
        nbformat.validate(book)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise RequestError(f"{source} is no notebook: {why}") from None
    _check_kernel(book, source)
    return without_results(book)


def _check_kernel(book: NotebookNode, source: Path) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    name = _kernel(book)
    known = sorted(KernelSpecManager().find_kernel_specs())
    if name not in known:
        raise RequestError(
            f"{source} asks for the kernel {name!r}, which is not installed; there are: "
            f"{', '.join(known) or 'none'}"
        )


def _kernel(book: NotebookNode) -> str:
    return str(book.metadata.get("kernelspec", {}).get("name", KERNEL))


def _connect(book: NotebookNode) -> None:
    """Put a cell that connects before a notebook that does not do so itself."""
    import nbformat

    sources = (cell.source for cell in book.cells if cell.cell_type == "code")
    if any(_OWN_GRID.search(text) for text in sources):
        return
    cell = nbformat.v4.new_code_cell(_CONNECT)
    cell.metadata["tags"] = [GRID]
    book.cells.insert(0, cell)


def _tidy(book: NotebookNode) -> None:
    """Take away what papermill puts into each cell, where there is nothing in it."""
    for cell in book.cells:
        for key in ("papermill", "tags"):
            if not cell.metadata.get(key, True):
                del cell.metadata[key]


def _player(batch: _Batch, source: Path, scratch: Path, fixed: Fixed) -> Player:
    environment = {
        **os.environ,
        VARIABLE: fixed.text(),
        "GRIDNB_NOTEBOOK": str(source.absolute()),
    }
    return Player(
        batch.output.book,
        source.absolute().parent,
        scratch,
        after=batch.after,
        kernel=_kernel(batch.output.book),
        environment=environment,
    )


@dataclass
class _Batch:
    """What is known of a run while it is under way."""

    output: Output
    grids: grids.Grids
    timeout: float | None
    say: Callable[[str], None]
    about: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    #: The cell that runs, or ran last.
    step: Step | None = None

    def run(self, player: Player) -> Ended:
        """Play the notebook to its end, then end its grids and write the bill."""
        self.output.save()  # now, while nothing is spent, if it cannot be written
        code, failed = 1, "it was ended"
        try:
            player.start()
            code, failed = self._follow(player)
        except KeyboardInterrupt:
            code, failed = self._interrupted(player)
        finally:
            player.stop()
            failed = f"{self._where()}{failed}" if failed else ""
            problem = self._settle(failed)
        complaints = [failed] if failed else []
        complaints += [problem] if problem else []
        told = dict(self.output.book.metadata["gridnb"])
        return Ended(code or len(complaints), complaints, told, self.grids.charges())

    # while it runs

    def _follow(self, player: Player) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what went wrong, if anything did."""
        while True:
            left = self._left()
            if left is not None and left <= 0:
                player.interrupt()
                self._wait(player, GRACE)
                return 1, f"it did not end within {format_seconds(self.timeout or 0)}"
            event = self._wait(player, _TICK if left is None else min(_TICK, left))
            if event is not None:
                return (1, event.text) if event.what == "failed" else (0, "")

    def _left(self) -> float | None:
        return None if self.timeout is None else self.timeout - (time.monotonic() - self.began)

    def _wait(self, player: Player, seconds: float) -> Event | None:
        """Take what happens; returns the event that is the end, if it comes in time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                event = player.events.get(timeout=left)
            except queue.Empty:
                return None
            if event.what in ("failed", "ended"):
                return event
            self.step = event.step
            self._progress(event)
        return None

    def _interrupted(self, player: Player) -> tuple[int, str]:
        """Let the cell end as the stop button ends it; once more Ctrl-C, and it is killed."""
        try:
            player.interrupt()
            self._wait(player, GRACE)
        except KeyboardInterrupt:
            self.say("ending the kernel")
        return INTERRUPTED, "interrupted"

    def after(self, step: Step) -> None:
        """Note what a cell has cost so far, and save the copy; called in the player's thread."""
        self.output.runs[step.index] = self.grids.new_runs()
        self.output.seconds[step.index] = step.seconds
        self._note("")
        self.output.save()

    def _note(self, failed: str) -> None:
        charges, fixed = self.grids.charges(), self.grids.fixed
        accounts = list(dict.fromkeys(charge.account for charge in charges))
        self.about |= {
            "accounts": accounts or ([fixed.account] if fixed.account else []),
            "budget": fixed.budget,
            "grids": self.grids.ids,
            "seconds": round(time.monotonic() - self.began, 3),
            "failed": failed,
        }
        self.output.note(charges, self.about)

    def _progress(self, event: Event) -> None:
        step = event.step
        assert step is not None
        cells = self.output.book.cells
        codes = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
        mark = f"[{codes.index(step.index) + 1}/{len(codes)}]"
        if event.what == "begins":
            self.say(f"{mark} {title(cells[step.index].source)}")
        else:
            self.say(f"{mark} done in {format_seconds(step.seconds)}")

    # the end

    def _settle(self, failed: str) -> str:
        """End the grids and write the bill; returns what could not be done, or nothing."""
        problem = ""
        try:
            self.grids.end()
        except GridError as error:
            problem = str(error)
        if self.step is not None and self.step.index not in self.output.runs:
            self.output.runs[self.step.index] = self.grids.new_runs()  # it did not get to its end
            self.output.seconds[self.step.index] = self.step.seconds
        self._note(failed)
        self.output.add_bill()
        self.output.save()
        return problem

    def _where(self) -> str:
        if self.step is None:
            return ""
        cells = self.output.book.cells
        number = sum(cell.cell_type == "code" for cell in cells[: self.step.index + 1])
        return f"code cell {number} ({title(cells[self.step.index].source)}): "
