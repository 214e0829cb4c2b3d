"""Jobs: work that runs at a site while the notebook goes on, and when it is gone."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gridnb.cells.call import CellConnection
from gridnb.cells.frames import Buffer
from gridnb.cells.loader import Loader
from gridnb.cells.nodes import Node
from gridnb.cells.outcome import Outcome, apply
from gridnb.cells.pickles import load, loading
from gridnb.cells.replay import recall, rename, replay
from gridnb.cells.stored import read_message
from gridnb.errors import CellError, CellLost, HubError
from gridnb.hub.runs import ENDED, RunRecord
from gridnb.providers.base import Tls
from gridnb.units import Money
from gridnb.widgets.jobview import bundle, show

__all__ = ["Access", "Follower", "Gather", "Job"]

WAIT = 10.0  # seconds after which the hub answers also when nothing is new

#: Makes of the results of several pieces, and of what was bound for each, what the user gets.
Gather = Callable[[Sequence[Any], Sequence[dict[str, Any]]], Any]


@dataclass(frozen=True)
class Access:
    """How a job reaches its grid: the hub, and the processes where values stay."""

    call: Callable[..., dict[str, Any]]
    tls: Tls


class Job(Future[Any]):
    """A piece of work at a site; a :class:`concurrent.futures.Future` that can be awaited, too.

    It lives at the hub: this object only follows it. After a restart of the kernel
    :meth:`gridnb.Grid.job` gives another one of the same job.

    Attributes
    ----------
    id, label, cell
        Its name in status and bill, and the text of its cell (empty for a function).
    messages
        What it has put out so far.
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
        gather: Gather | None = None,
    ) -> None:
        super().__init__()
        about = record.about()
        self.id: str = about["id"]
        self.label: str = about["label"]
        self.cell: str = about["cell"]
        #: ``cell``, ``function``, or ``here`` for a cell that its kernel drove.
        self.kind: str = about["kind"]
        self.messages: list[dict[str, Any]] = []
        self.on_change: list[Callable[[], None]] = []
        #: Of a job that ran a cell: what came back, once it was brought here.
        self.outcome: Outcome | None = None
        self.record, self._access, self._space = record, access, space
        self._nodes, self._gather = nodes, gather
        self._about = about
        self._offset = 0
        self._bringing = threading.RLock()
        self._update = threading.Lock()
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
    def reason(self) -> str:
        """Why it failed or ended; empty if it did not."""
        return str(self._about["reason"])

    @property
    def cost(self) -> Money:
        """What it has cost so far."""
        amount = self._about["cost"]
        if self._access is not None:
            try:
                amount = self._access.call("run_info", run=self.id)["cost"]
            except HubError:
                # The hub has ended; the record has what it charged last.
                self._access = None
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

    def take(self, about: dict[str, Any]) -> None:
        """Take what the hub, or the record, says of it; from any thread."""
        with self._update:
            fresh, self._offset = self.record.read_log(self._offset)
            self.messages += fresh
            self._about = about
            if about["state"] in ENDED and not self.done():
                self._end()
        for listener in list(self.on_change):
            listener()

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
        try:
            self.result(timeout)
        except (TimeoutError, CancelledError):
            raise
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
        """Load what came back, and bind the names that it assigned; once."""
        if self.outcome is not None:
            return self.outcome
        if self.kind == "here":
            raise CellError(
                f"run {self.id} belonged to its kernel, which has what it gave; "
                "only its output is kept"
            )
        if not self.record.outcome(0).exists():
            raise CellError(f"job {self.label}: {self.reason}")
        before: dict[str, Any] | None = None
        nodes = self._nodes
        if nodes is None:
            before, nodes = self._recall()
        outcome = self._load(0, nodes)
        outcome.ambient = {}  # the notebook has gone on meanwhile
        if before is not None:
            rename(outcome, before, self._space)
        self.outcome = outcome
        apply(outcome, self._space)
        return outcome

    def _load(self, piece: int, nodes: Sequence[Node]) -> Outcome:
        loader = Loader(_Stayed(self, piece))
        loader.space = self._space
        return replay(read_message(self.record.outcome(piece)), nodes, loader)

    def _recall(self) -> tuple[dict[str, Any], list[Node]]:
        header, inline, blobs, _ = self._sent()
        return recall(header, inline, blobs, self._space)

    def _sent(self) -> tuple[dict[str, Any], list[Buffer], dict[str, Buffer], list[Buffer]]:
        """Return the message that was sent: header, parts, blobs, and the part of each piece."""
        keys, parts = read_message(self.record.sent)
        first, second = keys["parts"], keys["parts"] + len(keys["blobs"])
        blobs: dict[str, Buffer] = dict(zip(keys["blobs"], parts[first:second], strict=True))
        return keys["header"], [*parts[:first]], blobs, [*parts[second:]]

    def _fetch(self, piece: int, key: str) -> Any:
        if self._access is None:
            raise CellLost("the grid on which this value stayed has ended")
        seat = self._access.call("job_seat", run=self.id, piece=piece)
        tls = self._access.tls
        connection = CellConnection(
            seat["address"],
            tls_ca=tls.ca,
            tls_cert=tls.cert,
            tls_key=tls.key,
            site=seat["site"],
        )
        connection.loader.space = self._space
        try:
            return connection.fetch(key)
        finally:
            connection.close()

    def _gathered(self) -> Any:
        if self.state == "done":
            return self.partial()
        for number in range(self.done_of[1]):
            if self.record.outcome(number).exists():
                error = self._load(number, ()).error
                if error is not None:
                    raise error
        finished, total = self.done_of
        raise CellError(
            f"job {self.label}: {self.reason}; {finished} of {total} results are in .partial()"
        )

    def partial(self) -> Any:
        """Return what the pieces that have finished so far gave: a list, or a table of a sweep."""
        *_, bound = self._sent()
        values, names = [], []
        for number, part in enumerate(bound):
            if not self.record.outcome(number).exists():
                continue
            outcome = self._load(number, ())
            if outcome.error is None:
                values.append(outcome.value)
                names.append(self._bound(part))
        return values if self._gather is None else self._gather(values, names)

    def _bound(self, part: Buffer) -> dict[str, Any]:
        with loading(self._space, _gone):
            bound: dict[str, Any] = load(part, (), 1)[0]
        return bound

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


class _Stayed:
    """Where what a piece of a job made stays; the hub is asked for the way when it is wanted."""

    def __init__(self, job: Job, piece: int) -> None:
        self._job, self._piece = job, piece
        self.site = ", ".join(job.sites)
        self.alive = True

    def fetch(self, key: str) -> Any:
        """Bring a value here."""
        return self._job._fetch(self._piece, key)

    def forget(self, key: str) -> None:
        """Values of a job stay as long as its process."""


class Follower:
    """Keeps the jobs of one grid up to date, in a thread that lives while one is under way."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._jobs: dict[str, Job] = {}
        self._latest: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def known(self, run: str) -> Job | None:
        """Return the job of this id that is followed, or was."""
        return self._jobs.get(run)

    def add(self, job: Job) -> Job:
        """Follow a job to its end."""
        with self._lock:
            self._jobs[job.id] = job
            told = self._latest.pop(job.id, None)
            if self._thread is None and not self._stopped and not job.done():
                self._thread = threading.Thread(
                    target=self._follow, name="gridnb-jobs", daemon=True
                )
                self._thread.start()
        if told is not None:
            job.take(told)
        return job

    def stop(self) -> None:
        """Follow no more; what is asked of the hub just now is not waited for."""
        self._stopped = True

    def leave(self) -> None:
        """Let nobody wait for jobs that go on: they are not followed any more."""
        for job in list(self._jobs.values()):
            job.left()

    def settle(self) -> None:
        """The hub has ended: the records know what became of its jobs."""
        for job in list(self._jobs.values()):
            if not job.done():
                job.take(job.record.about())

    def _follow(self) -> None:
        since = 0
        while self._wanted():
            try:
                answer = self._access.call("jobs_wait", since=since, timeout=WAIT)
            except (HubError, OSError, RuntimeError, CancelledError, asyncio.CancelledError):
                if not self._stopped:
                    self.settle()
                return
            since = answer["version"]
            for about in answer["jobs"]:
                with self._lock:
                    job = self._jobs.get(about["id"])
                    if job is None:
                        self._latest[about["id"]] = about
                if job is not None:
                    job.take(about)

    def _wanted(self) -> bool:
        with self._lock:
            wanted = not self._stopped and any(not job.done() for job in self._jobs.values())
            if not wanted:
                self._thread = None
            return wanted


def _gone(key: str) -> Any:
    raise CellLost("a value of this job had stayed at a site and is gone")
