"""The notebook's end of a run that somebody else drove: from messages to an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.loader import Loader
from gridnb.cells.nodes import Node, walk
from gridnb.cells.outcome import Outcome, fill
from gridnb.cells.pickles import load, loading
from gridnb.errors import CaptureError, GridError, ReturnError

__all__ = ["recall", "rename", "replay"]

Message = tuple[dict[str, Any], list[bytearray]]


def replay(message: Message, nodes: Sequence[Node], loader: Loader) -> Outcome:
    """Make the outcome of the last message of a run; changes are for the objects in `nodes`.

    Raises
    ------
    CaptureError
        If the run did not begin, since something could not be loaded at its site.
    ReturnError
        If something that it made cannot be loaded here.
    """
    header, parts = message
    if header["op"] == "refused":
        raise CaptureError(header["text"])
    try:
        payload = loader.load(
            parts, header["readonly"], lambda i: nodes[i].value, header["remotes"]
        )
    except GridError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ReturnError(
            f"what it made cannot be loaded here ({text}); define or import what it needs first"
        ) from error
    outcome = Outcome()
    fill(outcome, header, payload, nodes)
    return outcome


def recall(
    header: dict[str, Any],
    inline: Sequence[Buffer],
    blobs: dict[str, Buffer],
    space: dict[str, Any],
) -> tuple[dict[str, Any], list[Node]]:
    """Load once more what was sent with a run, for a notebook that has not got it any more.

    Returns the captured values by name, and the objects into which changes come back.

    Raises
    ------
    ReturnError
        If it cannot be loaded here.
    """
    digests, readonly = header["digests"], header["readonly"]
    stream = blobs[digests[-1]] if header["stream_apart"] else inline[0]
    buffers: list[Buffer] = [
        bytes(blobs[digest]) if fixed else bytearray(blobs[digest])
        for digest, fixed in zip(digests, readonly, strict=False)
    ]
    try:
        with loading(space, _gone):
            values = load(stream, buffers, header["count"])
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ReturnError(
            f"what the cell had read cannot be loaded here ({text}); "
            "define or import what it needs first"
        ) from error
    nodes = [Node(value, "", "") for value in values.pop()]
    before: dict[str, Any] = {}
    for part in values:
        before |= part
    return before, nodes


def _gone(key: str) -> Any:
    raise ReturnError("it read a value that had stayed at a site, and is not known here")


def rename(outcome: Outcome, before: dict[str, Any], space: dict[str, Any]) -> None:
    """Bind, beside what was assigned, the captured names whose objects the run has changed.

    In the notebook that sent them the objects themselves change, and nothing has to be bound.
    """
    changed = {id(local) for local, _, _ in outcome.contents}
    changed |= {id(old) for old, _ in outcome.replaced}
    new = {id(old): value for old, value in outcome.replaced}
    for name, value in before.items():
        if name in outcome.assigned or name in outcome.deleted:
            continue
        if changed & walk({name: value}, lambda other: other is space).keys():
            outcome.assigned[name] = new.get(id(value), value)
            outcome.rebound = sorted({*outcome.rebound, name})
    outcome.updated = []
