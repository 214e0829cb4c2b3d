"""A job, as the notebook sees it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import Any

from gridnb.cells.nodes import Node
from gridnb.cells.outcome import Outcome
from gridnb.errors import CellError, CellLost, HubError
from gridnb.hub.places import Place
from gridnb.hub.runs import ENDED, RunRecord
from gridnb.jobs.results import Access, Results
from gridnb.jobs.table import frame
from gridnb.units import Money
from gridnb.widgets.jobview import bundle, show

__all__ = ["Job"]

logger = logging.getLogger("gridnb.jobs")


class Job(Future[Any]):
    """A piece of work at a site; a :class:`concurrent.futures.Future` that can be awaited, too.

    It lives at the hub: this object only follows it. After a restart of the kernel
    :meth:`gridnb.Grid.job` gives another one of the same job.

    Attributes
    ----------
    id, label, cell
        Its name in status and bill, and the text of its cell (empty for a function).
    on_change
        Called, from another thread, when something about it is new.
    """

    def __init__(
        self,
        record: RunRecord,
        access: Access | None,
        space: dict[str, Any],
        *,
        nodes: Sequence[Node] | None = None,
    ) -> None:
        super().__init__()
        about = record.about()
        self.id: str = about["id"]
        self.label: str = about["label"]
        self.cell: str = about["cell"]
        #: ``cell``, ``function``, or ``here`` for a cell that its kernel drove.
        self.kind: str = about["kind"]
        self._messages: list[dict[str, Any]] = []
        self.on_change: list[Callable[[], None]] = []
        #: Of a job that ran a cell: what came back, once it was brought here.
        self.outcome: Outcome | None = None
        self.record, self._access = record, access
        self._results = Results(record, access, space, nodes)
        self._about = about
        self._offset = 0
        self._bringing = threading.RLock()
        self._update = threading.RLock()
        self.take(about)

    # what is told of it

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``done``, ``failed``, ``cancelled`` or ``lost``."""
        return str(self._about["state"])

    status = state

    @property
    def done_of(self) -> tuple[int, int]:
        """How many of its pieces have finished, and how many there are."""
        return self._about["finished"], self._about["total"]

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.state in ENDED:
            return float(self._about["seconds"])
        return time.time() - float(self._about["began"])

    @property
    def sites(self) -> list[str]:
        """Where it has run."""
        return list(self._about["sites"])

    @property
    def free(self) -> bool:
        """Whether none of the sites of its grid takes money."""
        return bool(self._about.get("free", False))

    @property
    def reachable(self) -> bool:
        """Whether its grid runs, so that it can be cancelled and what it kept can be had."""
        return self._access is not None and Place.alive_of(str(self._about["grid"]))

    @property
    def rates(self) -> tuple[str, Decimal]:
        """The currency of its grid, and billed seconds for a real one."""
        return self._about["currency"], Decimal(self._about["time_scale"])

    @property
    def reason(self) -> str:
        """Why it failed or ended; empty if it did not."""
        return str(self._about["reason"])

    @property
    def cost(self) -> Money:
        """What it has cost so far."""
        if self._access is None:
            return self.charged
        try:
            amount = self._access.call("run_info", run=self.id)["cost"]
        except HubError:
            return self.charged  # it has ended, or does not answer now
        return Money(Decimal(amount), self._about["currency"])

    @property
    def charged(self) -> Money:
        """What had been charged for it when that was written down last; asks nobody."""
        about = self.record.about()
        return Money(Decimal(about["cost"]), about["currency"])

    @property
    def names(self) -> list[str]:
        """What its cell assigned, as far as it is known; :meth:`result` binds it here."""
        return list(self._about.get("names", ()))

    @property
    def output(self) -> str:
        """The text that it has put out so far."""
        parts: list[str] = []
        for message in self.messages:
            match message["op"]:
                case "stream":
                    parts.append(message["text"])
                case "display":
                    parts.append(str(message["data"].get("text/plain", "")) + "\n")
                case "note":
                    parts.append(message["text"] + "\n")
                case "clear":
                    parts.clear()
        return "".join(parts)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What it has put out so far, as messages (see :mod:`gridnb.hub.runs`)."""
        with self._update:
            fresh, self._offset = self.record.read_log(self._offset)
            self._messages += fresh
            return self._messages

    def take(self, about: dict[str, Any]) -> None:
        """Take what the hub, or the record, says of it; from any thread."""
        with self._update:
            self._about = about
            if about["state"] in ENDED and not self.done():
                self._end()
        for listener in list(self.on_change):
            try:
                listener()
            except Exception:
                logger.exception("a listener of job %s failed", self.id)

    def left(self) -> None:
        """Its grid was left: whoever waits for it hears that, and it goes on."""
        with self._update:
            if not self.done():
                self.set_exception(
                    HubError(
                        f"this notebook has left the grid of job {self.label}, which goes on; "
                        f"Grid.attach().job({self.id!r}) comes back to it"
                    )
                )

    def _end(self) -> None:
        match self.state:
            case "cancelled":
                super().cancel()
                self.set_running_or_notify_cancel()
            case "lost":
                self.set_exception(CellLost(f"job {self.label} was lost: {self.reason}"))
            case _:
                # Whoever asks for the result has it loaded then, and by its own thread.
                self.set_result(None)

    # what came of it

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value; names that a cell assigned are bound, and what it raised is raised.

        Raises
        ------
        TimeoutError
            If it has not ended after `timeout` seconds.
        concurrent.futures.CancelledError
            If it was cancelled.
        CellLost
            If its hub was lost.
        ReturnError
            If what it made cannot be loaded here.
        """
        super().result(timeout)
        return self._value()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for its end; returns what it raised, or None."""
        super().result(timeout)
        try:
            self._value()
        except BaseException as error:  # noqa: BLE001 - that is what was asked for
            return error
        return None

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in an event loop."""
        return self._wait().__await__()

    async def _wait(self) -> Any:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: Any) -> None:
            loop.call_soon_threadsafe(ended.set)

        self.add_done_callback(wake)
        await ended.wait()
        return self.result(0)

    def _value(self) -> Any:
        with self._bringing:
            if self._about["pieces"]:
                return self._gathered()
            outcome = self._bring()
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def _bring(self) -> Outcome:
        if self.outcome is not None:
            return self.outcome
        if self.kind == "here":
            raise CellError(
                f"run {self.id} belonged to its kernel, which has what it gave; "
                "only its output is kept"
            )
        if not self._results.there(0):
            raise CellError(f"job {self.label}: {self.reason}")
        self.outcome = self._results.bring()
        return self.outcome

    def _gathered(self) -> Any:
        if self.state == "done":
            return self.partial()
        finished, total = self.done_of
        for number in filter(self._results.there, range(total)):
            error = self._results.load(number).error
            if error is not None:
                raise error
        raise CellError(
            f"job {self.label}: {self.reason}; {finished} of {total} results are in .partial()"
        )

    def partial(self) -> Any:
        """Return what the pieces that have finished so far gave: a list, or a table of a sweep."""
        bound = self._results.bound()
        values, names = [], []
        for number in filter(self._results.there, range(len(bound))):
            outcome = self._results.load(number)
            if outcome.error is None:
                values.append(outcome.value)
                names.append(bound[number])
        return frame(values, names) if self._about["sweep"] else values

    # ending it

    def cancel(self) -> bool:
        """End it, running or not; returns False if it had ended already."""
        if self.done() or self._access is None:
            return False
        return bool(self._access.call("job_cancel", run=self.id)["cancelled"])

    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state == "running"

    def _ipython_display_(self) -> None:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        if shell is None:
            sys.stdout.write(f"{self!r}\n")
        else:
            show(self, shell)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)

    def __repr__(self) -> str:
        finished, total = self.done_of
        many = f", {finished} of {total}" if self._about["pieces"] else ""
        return f"<Job {self.id} {self.label}: {self.state}{many}>"
