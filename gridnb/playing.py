"""Executing a notebook in a kernel of its own, in a thread, while others watch."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["KERNEL", "Event", "Player", "Step"]

#: The kernel of this environment.
KERNEL = "python3"

_PATIENCE = 30.0


@dataclass(frozen=True)
class Step:
    """A code cell: where it stands, what it is, and what it showed.

    Attributes
    ----------
    index
        Its place among all cells, from 0.
    name, title
        What the notebook's metadata call it.
    seconds
        How long it ran; 0 while it runs.
    """

    index: int
    name: str = ""
    title: str = "running a cell"
    outputs: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def of(cls, cell: NotebookNode, index: int, seconds: float = 0.0) -> Step:
        """Describe a cell as it is now."""
        told = cell.metadata.get("gridnb", {})
        names = {key: told[key] for key in ("name", "title") if key in told}
        return cls(index, outputs=[dict(each) for each in cell.outputs], seconds=seconds, **names)

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


class Player:
    """Runs a notebook from its first cell to its last; :attr:`events` tells how it goes.

    Parameters
    ----------
    directory
        Where its kernel works.
    scratch
        An empty directory of this user alone.
    before, after
        Called in the notebook's thread before a step begins and when it has ended, well or not.
    kernel
        Name of the kernel.
    environment
        Of the kernel; by default that of this process.
    timeout
        Seconds that a cell may take; None for as long as it takes.
    """

    def __init__(
        self,
        book: NotebookNode,
        directory: Path,
        scratch: Path,
        *,
        before: Callable[[Step], None] | None = None,
        after: Callable[[Step], None] | None = None,
        kernel: str = KERNEL,
        environment: Mapping[str, str] | None = None,
        timeout: int | None = None,
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.book = book
        self._directory, self._scratch = directory, scratch
        self._before, self._after = before, after
        self._kernel, self._environment, self._timeout = kernel, environment, timeout
        self._manager: Any = None
        self._began = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="gridnb-player", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def interrupt(self) -> None:
        """Do what the stop button does: the cell that runs ends with a KeyboardInterrupt."""
        process = self._process()
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End the kernel if it still runs, and wait for the thread."""
        self._stopped = True
        process = self._process()
        if process is not None and self._thread.is_alive():
            process.kill()
        self._thread.join(_PATIENCE)

    def _process(self) -> Any:
        return getattr(getattr(self._manager, "provisioner", None), "process", None)

    def _run(self) -> None:
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        # Files of this user alone, where TCP would be open to all of the machine.
        self._manager = AsyncKernelManager(
            kernel_name=self._kernel,
            transport="ipc",
            connection_file=str(self._scratch / "k.json"),
        )
        client = NotebookClient(
            self.book,
            km=self._manager,
            timeout=self._timeout,
            resources={"metadata": {"path": str(self._directory)}},
            on_cell_execute=self._begins,
            on_cell_executed=self._done,
        )
        environment = {} if self._environment is None else {"env": dict(self._environment)}
        try:
            with (self._scratch / "kernel.log").open("wb") as log:
                client.execute(stderr=log, cleanup_kc=True, **environment)
            self.events.put(Event("ended"))
        except CellExecutionError as error:
            self.events.put(Event("failed", text=f"{error.ename}: {error.evalue}"))
        except DeadKernelError:
            if not self._stopped:
                self.events.put(Event("failed", text=self._death()))
        except Exception as error:  # noqa: BLE001 - the thread that watches raises it
            self.events.put(Event("failed", text=f"{type(error).__name__}: {error}"))

    def _death(self) -> str:
        process = self._process()
        code = None if process is None else process.poll()
        if code is None or code >= 0:
            return "the kernel ended before the notebook did"
        name = signal.Signals(-code).name
        hint = "; perhaps the memory was used up" if name == "SIGKILL" else ""
        return f"the kernel was ended by {name}{hint}"

    def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        step = Step.of(cell, cell_index)
        if self._before is not None:
            self._before(step)
        self._began = time.monotonic()
        self.events.put(Event("begins", step))

    def _done(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        step = Step.of(cell, cell_index, time.monotonic() - self._began)
        if self._after is not None:
            self._after(step)
        # A cell that failed is told by the error that ends the notebook.
        if execute_reply["content"]["status"] == "ok":
            self.events.put(Event("done", step))
