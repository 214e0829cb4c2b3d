"""Jobs: work that runs at a site while the notebook goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from gridnb.cells.call import Run
from gridnb.cells.outcome import Outcome
from gridnb.errors import CellError
from gridnb.units import Money

if TYPE_CHECKING:
    from gridnb.seats import Seat, Seats

__all__ = ["Job", "Output"]


class Output:
    """A sink that keeps the text of a run."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def stream(self, name: str, text: str) -> None:
        """Keep text of stdout or stderr."""
        self._parts.append(text)

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """Keep the text form of what is displayed."""
        self._parts.append(str(data.get("text/plain", "")) + "\n")

    def clear(self, wait: bool) -> None:
        """Forget what was kept."""
        self._parts.clear()

    def __str__(self) -> str:
        return "".join(self._parts)


class Job:
    """One piece of work at a site.

    Attributes
    ----------
    id, label
        Names it in status and bill.
    """

    def __init__(self, seats: Seats, run: str, label: str, cost: Callable[[], Money]) -> None:
        self.id = run
        self.label = label
        self._seats = seats
        self._cost = cost
        self._output = Output()
        self._future: Future[Any] = Future()
        self._seat: Seat | None = None
        self._cancelled = threading.Event()

    def start(self, work: Callable[[Job], Any]) -> Job:
        """Run `work` (which uses a seat) in a thread of its own."""

        def run() -> None:
            if not self._future.set_running_or_notify_cancel():
                return
            try:
                self._future.set_result(work(self))
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result hears it
                self._future.set_exception(error)

        threading.Thread(target=run, name=f"gridnb-{self.id}", daemon=True).start()
        return self

    def use(self, seat: Seat, run: Run) -> Outcome:
        """Run a body for this job."""
        self._seat = seat
        try:
            if self._cancelled.is_set():
                raise CellError(f"job {self.label} was cancelled")
            return self._seats.run(seat, run, self._output)
        finally:
            self._seat = None

    def result(self, timeout: float | None = None) -> Any:
        """Return the value, or raise what the work raised.

        Raises
        ------
        TimeoutError
            If it is not there after `timeout` seconds.
        concurrent.futures.CancelledError
            If it was cancelled.
        """
        try:
            return self._future.result(timeout)
        except (KeyboardInterrupt, CellError):
            if self._cancelled.is_set():
                raise CancelledError(f"job {self.label} was cancelled") from None
            raise

    def cancel(self) -> bool:
        """End the work, running or not; returns False if it was done already."""
        self._cancelled.set()
        if self._future.done():
            return False
        if not self._future.cancel() and (seat := self._seat) is not None:
            seat.connection.interrupt()
        return True

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``done``, ``failed`` or ``cancelled``."""
        if self._future.cancelled() or (self._cancelled.is_set() and self._future.done()):
            return "cancelled"
        if self._future.done():
            return "failed" if self._future.exception() else "done"
        return "running" if self._seat is not None else "pending"

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return str(self._output)

    @property
    def cost(self) -> Money:
        """What it has cost so far."""
        return self._cost()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def __repr__(self) -> str:
        return f"<Job {self.label}: {self.status}>"
