"""``--background``: a cell as a job, and ``%grid attach``, which comes back to one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gridnb.errors import CellError, RequestError
from gridnb.hub.consent import PLAY
from gridnb.notebook.cell import Cell, count_of, label, notes
from gridnb.notebook.footer import Footer, Rates
from gridnb.notebook.progress import Progress
from gridnb.notebook.sinks import CellSink
from gridnb.widgets.display import show_as_rendered, shower

if TYPE_CHECKING:
    from gridnb.jobs.job import Job
    from gridnb.notebook.session import Session

__all__ = ["attach", "run_background"]

LOOK = 0.5  # seconds after which an interrupt is noticed at the latest


def run_background(cell: Cell, session: Session, shell: Any) -> Job:
    """Hand a cell to the hub; the job is the cell's value, and shows itself.

    Raises
    ------
    GridError
        If there is no budget for workers, or something that the cell reads cannot be sent.
    """
    from gridnb.broker import Request
    from gridnb.cells.pack import pack
    from gridnb.cells.run import Run
    from gridnb.config import settings

    if cell.replicas > 1:
        raise RequestError(
            "--replicas: what a job makes stays where it ran; leave out --background, or --replicas"
        )
    config = settings()
    packed = pack(cell.body, shell.user_ns, shell=shell, without=cell.names)
    places = session.places(cell.ask, Progress(shell, cell.quiet), wait=False)
    grid = session.connected()
    run = Run(
        grid.new_run(),
        cell.body,
        shell.user_ns,
        count=count_of(shell),
        shell=shell,
        packed=packed,
        returns="names" if cell.pieces is None else "result",
        first=cell.first,
        fetch_limit=config.fetch_limit,
        compare_limit=config.compare_limit,
        keep=cell.keep,
    )
    wanted = cell.ask.request or {"cores": config.cores}
    job = grid.start(
        run,
        label(run.count, cell.body),
        kind="cell",
        pieces=cell.pieces,
        sites=places.sites,
        lease=places.lease,
        request=Request.of(**wanted).to_json(),
        retries=cell.retries,
        sweep=cell.sweep,
    )
    if cell.into:
        shell.user_ns[cell.into] = job
    return job


def attach(job: Job, session: Session, shell: Any) -> None:
    """Show what a job has put out, and goes on to, in this cell; then bring what it made.

    An interrupt ends the watching, not the job.

    Raises
    ------
    BaseException
        What the job raised.
    """
    sink = CellSink(shell)
    try:
        _watch(job, sink)
    except KeyboardInterrupt:
        short = job.id.partition("-")[2]
        raise KeyboardInterrupt(
            f"the job runs on; `%grid attach {short}` comes back to it, "
            f"`%grid cancel {short}` ends it"
        ) from None
    error: BaseException | None = None
    if job.kind == "here" or job.cancelled():  # its names were bound when it ran, or there are none
        sink.flush()
        _footer(job, session, failed=job.state != "done").show(shower(shell))
        if job.cancelled():
            raise CellError(f"{job.label} was cancelled ({job.reason}); it has no result")
        return
    try:
        value = job.result()
        if not sink.shown and value is not None:
            sink.result(*shell.display_formatter.format(value))
        if sink.shown:
            sink.value(value)
    except BaseException as raised:
        error = raised
        raise
    finally:
        sink.flush()
        _footer(job, session, failed=error is not None).show(shower(shell))
        show_as_rendered(shell, error)


def _watch(job: Job, sink: CellSink) -> None:
    new, shown = threading.Event(), 0
    job.on_change.append(new.set)
    try:
        while True:
            over = job.done()
            messages = job.messages
            if over and not shown:  # pieces that ran side by side, one after the other
                messages = sorted(messages, key=lambda each: each.get("piece", 0))
            for message in messages[shown:]:
                sink.message(message)
                shown += 1
            if over:
                return
            sink.flush()
            new.wait(LOOK)
            new.clear()
    finally:
        job.on_change.remove(new.set)


def _footer(job: Job, session: Session, *, failed: bool) -> Footer:
    cost, (currency, scale) = job.cost, job.rates
    return Footer(
        run=job.id,
        rates=Rates(currency, scale, currency in PLAY, job.free),
        sites=tuple(job.sites),
        seconds=job.seconds,
        cost=cost.amount,
        exact=True,
        left=session.left,
        failed=failed,
        notes=_notes(job),
    )


def _notes(job: Job) -> list[str]:
    if job.outcome is None:
        return []
    if job.outcome.remote and not job.reachable:
        names = ", ".join(job.outcome.remote)
        return [f"stayed at {', '.join(job.sites)}, and gone with its workers: {names}"]
    return notes(job.outcome)
