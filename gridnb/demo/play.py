"""Executing a notebook in a kernel of its own, in a thread, while others watch."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Event", "Player", "Step", "template"]

#: Seconds that a cell may take.
CELL_TIMEOUT = 180
_PATIENCE = 30.0
TEMPLATE = Path(__file__).with_name("gridnb-demo.ipynb")


@dataclass(frozen=True)
class Step:
    """A code cell: its name, what it does in a few words, and what it showed."""

    name: str
    title: str
    outputs: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    def text(self, kind: str | None = None) -> str:
        """Return the text of its outputs, or of those of one kind, as a terminal shows them."""
        chosen = [o for o in self.outputs if kind is None or o["output_type"] == kind]
        parts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in chosen]
        return "\n".join(part.strip("\n") for part in parts if part)


@dataclass(frozen=True)
class Event:
    """What happened: a step ``begins`` or is ``done``; or the notebook ``failed`` or ``ended``."""

    what: str
    step: Step | None = None
    text: str = ""


def template() -> NotebookNode:
    """Return the demo's notebook as it is shipped, without outputs.

    Raises
    ------
    GridError
        If what is needed to run it is not installed.
    """
    try:
        import ipykernel  # noqa: F401 - the notebook's kernel
        import nbclient  # noqa: F401 - what executes it
        import nbformat
    except ImportError as error:
        raise GridError(
            f"the demo needs {error.name}; install it with `pip install 'gridnb[demo]'`"
        ) from None
    book: NotebookNode = nbformat.read(TEMPLATE, 4)
    return book


class Player:
    """Runs a notebook from its first cell to its last; :attr:`events` tells how it goes.

    `scratch` is an empty directory of this user alone. `before` is called in the notebook's
    thread before a step begins.
    """

    def __init__(
        self, book: NotebookNode, directory: Path, scratch: Path, before: Callable[[Step], None]
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.book = book
        self._directory, self._scratch, self._before = directory, scratch, before
        self._manager: Any = None
        self._began = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="gridnb-demo", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the kernel if it still runs, and wait for the thread."""
        self._stopped = True
        process = getattr(getattr(self._manager, "provisioner", None), "process", None)
        if process is not None and self._thread.is_alive():
            process.kill()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        # Files of this user alone, where TCP would be open to all of the machine.
        self._manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", connection_file=str(self._scratch / "k.json")
        )
        client = NotebookClient(
            self.book,
            km=self._manager,
            timeout=CELL_TIMEOUT,
            resources={"metadata": {"path": str(self._directory)}},
            on_cell_execute=self._begins,
            on_cell_executed=self._done,
        )
        try:
            with (self._scratch / "kernel.log").open("wb") as log:
                client.execute(stderr=log, cleanup_kc=True)
            self.events.put(Event("ended"))
        except CellExecutionError as error:
            self.events.put(Event("failed", text=f"{error.ename}: {error.evalue}"))
        except DeadKernelError:
            if not self._stopped:
                self.events.put(Event("failed", text="the kernel ended before the notebook did"))
        except Exception as error:  # noqa: BLE001 - the thread that watches raises it
            self.events.put(Event("failed", text=f"{type(error).__name__}: {error}"))

    def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code":
            step = _step(cell)
            self._before(step)
            self._began = time.monotonic()
            self.events.put(Event("begins", step))

    def _done(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        # A cell that failed is told by the error that ends the notebook.
        if cell.cell_type == "code" and execute_reply["content"]["status"] == "ok":
            self.events.put(Event("done", _step(cell, time.monotonic() - self._began)))


def _step(cell: NotebookNode, seconds: float = 0.0) -> Step:
    told = cell.metadata.get("gridnb", {})
    outputs = [dict(each) for each in cell.outputs]
    return Step(told.get("name", ""), told.get("title", "running a cell"), outputs, seconds)
