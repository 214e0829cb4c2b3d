"""The pieces of a cell, on as many seats at a time as there are cores."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridnb.errors import CellError, CellLost, GridError, HubError
from gridnb.notebook.lost import of_piece, retriable, why_ended, why_lost
from gridnb.notebook.sinks import HeldSink

if TYPE_CHECKING:
    from gridnb.cells.call import Run
    from gridnb.cells.outcome import Outcome
    from gridnb.cells.remote import Remote
    from gridnb.grid import Grid
    from gridnb.notebook.wanted import Places
    from gridnb.seats import Seat

__all__ = ["Piece", "Pool"]

GROW_EVERY = 1.0
SETTLE = 0.3  # seconds between looks whether the hub has heard of the loss of a worker
VAIN = 30  # times that places are sought for nothing before it is given up


@dataclass
class Piece:
    """One run of the body.

    Attributes
    ----------
    name
        What it is for the user: the values bound for it.
    needs
        Kept values that it reads.
    avoid
        Workers at which it has failed.
    attempts
        How often it was run again.
    """

    number: int
    name: str
    sink: HeldSink
    needs: Sequence[Remote] = ()
    avoid: list[str] = field(default_factory=list)
    attempts: int = 0
    again: str = ""


class Pool:
    """Runs pieces; what came of them is in `outcomes`, by their numbers.

    `run_of` makes the run of a piece; `places` says where they may run, and takes a lease
    again when no worker is left; `retries` is how often a piece is run again.
    """

    def __init__(
        self,
        grid: Grid,
        count: int,
        run_of: Callable[[int], Run],
        *,
        describe: Callable[[int], tuple[str, Sequence[Remote]]],
        places: Callable[[], Places],
        retries: int = 0,
    ) -> None:
        self.grid, self.retries = grid, retries
        self.outcomes: dict[int, Outcome] = {}
        self.used: dict[str, None] = {}
        self.spent: list[tuple[Seat, float]] = []
        #: What was run again, and why.
        self.told: list[str] = []
        #: The first failure that stops the rest: which piece, and what it was.
        self.failure: tuple[int | None, BaseException] | None = None
        self._run_of, self._places_of = run_of, places
        self._places = places()
        self._condition = threading.Condition(threading.RLock())
        self.pieces = [
            Piece(n, name, HeldSink(self._changed), needs)
            for n, (name, needs) in enumerate(map(describe, range(count)))
        ]
        self._waiting = deque(self.pieces)
        self._busy: dict[int, tuple[Piece, Seat]] = {}
        self._lost: dict[int, BaseException] = {}
        self._threads: dict[threading.Thread, str | None] = {}
        self._seatless: BaseException | None = None
        self._stopping = False
        self._grown = 0.0
        self._vain = 0

    def _changed(self) -> None:
        with self._condition:
            self._condition.notify_all()

    # in the kernel's main thread

    def work(self, look: Callable[[], None]) -> None:
        """Run all; calls `look` a few times a second, and returns when the last has ended."""
        try:
            while not self._over():
                self._grow()
                with self._condition:
                    self._condition.wait(0.1)
                look()
        finally:
            self._end()
        if self.failure is None and self._lost:
            number = min(self._lost)
            self.failure = (number, self._lost[number])

    @property
    def done(self) -> list[int]:
        """The numbers of the pieces that have a result, in order."""
        return sorted(n for n, outcome in list(self.outcomes.items()) if outcome.ok)

    @property
    def running(self) -> list[Piece]:
        """The pieces that are under way."""
        with self._condition:
            return [piece for piece, _ in self._busy.values()]

    def _end(self) -> None:
        """Stop what still runs and wait for it.

        A thread that waits for a core finds nothing to do, and ends by itself.
        """
        self._stop()
        with self._condition:
            while not self._condition.wait_for(lambda: not self._busy, 0.3):
                # One that was just beginning has not felt the interrupt.
                self._stop()
        self.grid.seats.drop_idle()

    def _stop(self) -> None:
        with self._condition:
            self._stopping = True
            for _, seat in self._busy.values():
                seat.connection.interrupt()

    def _over(self) -> bool:
        with self._condition:
            if self._busy:
                return False
            if self.failure is not None or not self._waiting:
                return True
            if not self._grown or any(thread.is_alive() for thread in self._threads):
                return False
            seatless = self._seatless
        if self._lost and not self.retries:
            return True
        if seatless is None or self._vain > VAIN:
            self._fail(None, seatless or HubError("no worker is up; see `%grid status`"))
        elif not self.retries:
            self._fail(None, seatless)
        elif time.monotonic() - self._grown >= GROW_EVERY:
            self._find_places()
        return self.failure is not None

    def _find_places(self) -> None:
        """No worker is left: take a lease again, if the budget pays for it."""
        self._vain += 1
        try:
            self._places = self._places_of()
        except GridError as error:
            self._fail(None, error)

    def _grow(self) -> None:
        """Start a thread for each core that is up and has none yet."""
        now = time.monotonic()
        if not self._waiting or now - self._grown < GROW_EVERY:
            return
        workers = self.grid.status()["workers"]
        up = [w for w in workers if w["state"] == "running" and self._fits(w)]
        cores = max(sum(each["cores"] for each in up), 1)
        self._threads = {t: w for t, w in self._threads.items() if t.is_alive()}
        for n in range(len(self._threads), min(cores, len(self._waiting) + len(self._busy))):
            thread = threading.Thread(target=self._serve, name=f"gridnb-map-{n}", daemon=True)
            self._threads[thread] = None
            thread.start()
        self._grown = now

    def _fits(self, worker: dict[str, Any]) -> bool:
        lease = self._places.lease
        return worker["site"] in self._places.sites and lease in (None, worker["lease"])

    # in threads

    def _serve(self) -> None:
        thread = threading.current_thread()
        try:
            with self.grid.seats.borrow(self._places.sites, self._places.lease) as seat:
                with self._condition:
                    self._threads[thread] = seat.worker
                while (piece := self._next(seat)) is not None:
                    self._one(seat, piece)
        except (HubError, CellError) as error:
            # One seat fewer: the others go on, if there are any.
            self._seatless = error
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._fail(None, error)
        finally:
            self._changed()

    def _next(self, seat: Seat) -> Piece | None:
        with self._condition:
            while not self._stopping and self.failure is None:
                if (piece := self._choose(seat)) is not None:
                    self._waiting.remove(piece)
                    self._busy[piece.number] = (piece, seat)
                    self.used[seat.site] = None
                    return piece
                if not self._waiting and not (self.retries and self._busy):
                    return None
                self._condition.wait(0.2)  # for one that fails elsewhere, or is taken there
        return None

    def _choose(self, seat: Seat) -> Piece | None:
        """Return the next piece for a seat: one whose kept values are there, if there is one."""
        fit = [p for p in self._waiting if seat.worker not in p.avoid or not self._elsewhere(p)]
        needing = any(piece.needs for piece in fit)
        here = (p for p in fit if needing and p.needs and all(map(seat.holds, p.needs)))
        return next(here, fit[0] if fit else None)

    def _elsewhere(self, piece: Piece) -> bool:
        """Whether somebody else could take a piece, at a worker where it has not failed."""
        return any(
            thread.is_alive() and worker is not None and worker not in piece.avoid
            for thread, worker in self._threads.items()
        )

    def _one(self, seat: Seat, piece: Piece) -> None:
        began, outcome = time.monotonic(), None
        if piece.again:
            self.told.append(
                f"{piece.again}; again at {seat.site}, {piece.attempts} of {self.retries}"
            )
        try:
            self.grid.seats.bring(seat, piece.needs)
            outcome = self.grid.seats.run(seat, self._run_of(piece.number), piece.sink)
        except CellLost as error:
            self._lost_at(seat, piece, error)
            raise
        except BaseException as error:
            self._fail(piece.number, error)
            raise
        finally:
            with self._condition:
                if outcome is not None:
                    self._take(seat, piece, outcome)
                self._vain = 0
                self.spent.append((seat, time.monotonic() - began))
                del self._busy[piece.number]
                self._condition.notify_all()

    def _take(self, seat: Seat, piece: Piece, outcome: Outcome) -> None:
        error = outcome.error
        if error is not None and retriable(error) and not self._stopping:
            said = " ".join(f"{outcome.error_name}: {outcome.error_text}".split())[:80]
            if self._again(seat, piece, f"{said} at {seat.site}"):
                return
        self.outcomes[piece.number] = outcome
        if error is not None:
            self._fail(piece.number, error)

    def _again(self, seat: Seat, piece: Piece, what: str) -> bool:
        """Put a piece back if it may be run again."""
        with self._condition:
            if piece.attempts >= self.retries or self._stopping:
                return False
            piece.attempts += 1
            piece.avoid.append(seat.worker)
            piece.again = f"{piece.name}: {what}"
            piece.sink.clear(False)
            self._waiting.appendleft(piece)
            return True

    def _lost_at(self, seat: Seat, piece: Piece, error: CellLost) -> None:
        if self._again(seat, piece, f"lost at {seat.site}"):
            return
        reason = why_ended(self.grid, seat)
        for _ in range(5):
            if reason is None and not self._stopping:
                time.sleep(SETTLE)
                reason = why_ended(self.grid, seat)
        lost = why_lost(seat, of_piece(error), reason)
        if reason is None:
            self._fail(piece.number, lost)  # the body does it: it would do so elsewhere, too
            return
        with self._condition:
            self._lost[piece.number] = lost

    def _fail(self, number: int | None, error: BaseException) -> None:
        """Keep the first error; what else is under way is interrupted and does not count."""
        with self._condition:
            if self.failure is not None or self._stopping:
                return
            self.failure = (number, error)
        self._stop()
