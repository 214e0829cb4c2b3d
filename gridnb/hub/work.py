"""One job as the hub knows it: what is to be done, what of it is, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from gridnb.cells.line import Line
from gridnb.hub.runs import ENDED, Log, RunRecord

__all__ = ["Order", "Piece", "Work"]


@dataclass(frozen=True)
class Order:
    """What a client asks a job to be.

    Attributes
    ----------
    run, label, kind, cell
        Its id, its name on screen, ``cell`` or ``function``, and the cell's text.
    header, parts, blobs
        The message that carries it (see :mod:`gridnb.cells.message`).
    pieces
        For each piece the pickle of what is bound for it alone; None for a job of one piece.
    sites, lease
        Where it may run; all sites, and any lease, if they are not said.
    request, session
        What is leased if no worker is up there, as JSON, and in which session it was asked for.
    retries
        How often a piece is tried again.
    sweep
        Whether the results are rows of a table.
    """

    run: str
    label: str
    kind: str
    header: dict[str, Any]
    parts: list[bytes]
    blobs: dict[str, bytes]
    cell: str = ""
    pieces: list[bytes] | None = None
    sites: list[str] = field(default_factory=list)
    lease: str | None = None
    request: str | None = None
    session: str = ""
    retries: int = 0
    sweep: bool = False


@dataclass
class Piece:
    """A part of a job that runs on one seat."""

    number: int
    inline: bytes | None
    attempts: int = 0


class Work:
    """A job under way.

    Attributes
    ----------
    sites, lease
        Where it may run now; a lease that was bought for it takes the place of what was asked.
    may_buy
        Whether a lease may be taken for it; not after its user has released what there was.
    stopped
        Set when nothing of it is to be begun any more.
    """

    def __init__(self, order: Order, record: RunRecord, about: dict[str, Any]) -> None:
        self.order, self.record = order, record
        self.log = Log(record.log)
        self.state = "pending"
        self.reason = ""
        self.began = time.time()
        self.ended: float | None = None
        self.ran_at: list[str] = []
        self.cost = "0"
        self.finished = 0
        self.cancelled = ""
        self.failed = False
        inlines = order.pieces if order.pieces is not None else [None]
        self.waiting = deque(Piece(n, inline) for n, inline in enumerate(inlines))
        self.total = len(self.waiting)
        self.lines: dict[int, Line] = {}
        self.task: asyncio.Task[None] | None = None
        self.names: list[str] = []  # that a cell has assigned
        self.stays: dict[int, int] = {}  # seat by piece
        self.avoid: list[str] = []  # workers where something of it has failed
        self.unreached = 0
        self.sites, self.lease = list(order.sites), order.lease
        self.may_buy = order.request is not None
        self.stopped = asyncio.Event()
        self.seen = 0
        self.written = ""
        self._about = about

    @property
    def run(self) -> str:
        """Its id."""
        return self.order.run

    @property
    def over(self) -> bool:
        """Whether nothing of it is to be begun any more."""
        return self.failed or bool(self.cancelled) or self.state in ENDED

    def message(self, piece: Piece) -> tuple[dict[str, Any], list[bytes]]:
        """Return what carries a piece to its seat."""
        header, parts = self.order.header, self.order.parts
        if piece.inline is None:
            return header, parts
        return {**header, "inline": header["inline"] + 1}, [*parts, piece.inline]

    def stop(self) -> None:
        """Begin nothing more of it, and interrupt what runs."""
        self.stopped.set()
        for line in list(self.lines.values()):
            line.interrupt()

    def fail(self, reason: str) -> None:
        """Let it fail for a reason, if it is not over already."""
        if not self.over:
            self.failed, self.reason = True, " ".join(reason.split())
            self.stopped.set()

    def end(self) -> None:
        """Let go of what was sent with it; the record has it."""
        pieces: list[bytes] | None = None if self.order.pieces is None else []
        self.order = replace(self.order, header={}, parts=[], blobs={}, pieces=pieces)
        self.waiting.clear()
        self.log.close()

    def describe(self) -> dict[str, Any]:
        """Return its state as plain data; times are seconds, `began` since the epoch."""
        return {
            **self._about,
            "id": self.run,
            "label": self.order.label,
            "kind": self.order.kind,
            "cell": self.order.cell,
            "state": self.state,
            "reason": self.reason,
            "began": self.began,
            "seconds": (self.ended or time.time()) - self.began,
            "sites": self.ran_at,
            "cost": self.cost,
            "finished": self.finished,
            "total": self.total,
            "pieces": self.order.pieces is not None,
            "sweep": self.order.sweep,
            "names": self.names,
            "log": self.log.size,
        }
