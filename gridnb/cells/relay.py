"""Driving a run for somebody who is not there: nothing that it made is loaded here.

The hub does this for jobs. What the body puts out is handed on as it comes, and the
outcome stays a message, until a kernel asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.line import Line, Stop, Stuck
from gridnb.errors import CellLost

__all__ = ["PATIENCE", "relay"]

#: Seconds between an interrupt and the end of the cell process.
PATIENCE = 1.0

Message = tuple[dict[str, Any], list[bytearray]]
_OUTPUT = frozenset({"stream", "display", "clear", "result"})


def relay(
    line: Line,
    sent: tuple[dict[str, Any], Sequence[Buffer]],
    blobs: Mapping[str, Buffer],
    put: Callable[[dict[str, Any]], None],
    on_stuck: Callable[[], object],
) -> Message:
    """Send a run and hear it to its end; returns its ``outcome``, or a ``refused`` message.

    Parameters
    ----------
    sent
        Header and parts, as :func:`gridnb.cells.message.message` made them.
    blobs
        Parts that are sent when they are asked for.
    put
        Takes each message of output, in order, in this thread.
    on_stuck
        Has to end the cell process when an interrupt has no effect.

    Raises
    ------
    CellLost
        If the cell process ended before the body did.
    Stuck
        If an interrupt had no effect.
    """
    header, inline = sent
    run = header["run"]
    stop = Stop(line, run, PATIENCE, on_stuck)
    try:
        line.channel.send(header, inline)
        while True:
            answer, parts = line.channel.receive(stop.tick, line.wake)
            if answer.get("run", run) != run:
                continue
            op = answer["op"]
            if op in _OUTPUT:
                put(answer)
            elif op == "need":
                _give(line, answer["digests"], blobs)
            elif op == "stopped":
                stop.obeyed()
            elif op in ("outcome", "refused"):
                return answer, parts
    except (EOFError, OSError) as error:
        line.channel.close()
        if stop.sent:
            raise Stuck from None
        raise CellLost(f"run {run}: its cell process ended before it did") from error


def _give(line: Line, digests: Sequence[str], blobs: Mapping[str, Buffer]) -> None:
    if digests:
        line.channel.send({"op": "blobs"}, [blobs[digest] for digest in digests])
