"""What came of a job: from the messages that are kept of it to values here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gridnb.cells.call import CellConnection
from gridnb.cells.frames import Buffer
from gridnb.cells.loader import Loader
from gridnb.cells.nodes import Node
from gridnb.cells.outcome import Outcome, apply
from gridnb.cells.pickles import load, loading
from gridnb.cells.replay import recall, rename, replay
from gridnb.cells.stored import read_message
from gridnb.errors import CellLost
from gridnb.hub.runs import RunRecord
from gridnb.providers.base import Tls

__all__ = ["Access", "Results"]


@dataclass(frozen=True)
class Access:
    """How a job reaches its grid: the hub, and the processes where values stay."""

    call: Callable[..., dict[str, Any]]
    tls: Tls


class Results:
    """Loads what the pieces of a job gave, into a notebook's namespace.

    Parameters
    ----------
    nodes
        The objects that were captured, if this is the notebook that sent them: changes go
        into them. Else they are loaded once more, and names are bound to them.
    """

    def __init__(
        self,
        record: RunRecord,
        access: Access | None,
        space: dict[str, Any],
        nodes: Sequence[Node] | None,
    ) -> None:
        self._record, self._access, self._space = record, access, space
        self._nodes = nodes

    def there(self, piece: int) -> bool:
        """Whether a piece has given something, or an error."""
        return self._record.outcome(piece).exists()

    def bring(self) -> Outcome:
        """Load what a job of one piece gave, and bind the names that it assigned.

        Raises
        ------
        ReturnError
            If something of it cannot be loaded here.
        """
        before: dict[str, Any] | None = None
        nodes = self._nodes
        if nodes is None:
            header, inline, blobs, _ = self._sent()
            before, nodes = recall(header, inline, blobs, self._space)
        outcome = self.load(0, nodes)
        outcome.ambient = {}  # the notebook has gone on meanwhile
        if before is not None:
            rename(outcome, before, self._space)
        apply(outcome, self._space)
        return outcome

    def load(self, piece: int, nodes: Sequence[Node] = ()) -> Outcome:
        """Load the outcome of a piece; binds nothing."""
        loader = Loader(_Stayed(self, self._record.about()["sites"], piece))
        loader.space = self._space
        return replay(read_message(self._record.outcome(piece)), nodes, loader)

    def bound(self) -> list[dict[str, Any]]:
        """Return what was bound for each piece beside the captured names."""
        *_, parts = self._sent()
        with loading(self._space, _gone):
            return [load(part, (), 1)[0] for part in parts]

    def _sent(self) -> tuple[dict[str, Any], list[Buffer], dict[str, Buffer], list[Buffer]]:
        """Return the message that was sent: header, parts, blobs, and the part of each piece."""
        keys, parts = read_message(self._record.sent)
        first, second = keys["parts"], keys["parts"] + len(keys["blobs"])
        blobs: dict[str, Buffer] = dict(zip(keys["blobs"], parts[first:second], strict=True))
        return keys["header"], [*parts[:first]], blobs, [*parts[second:]]

    def fetch(self, piece: int, key: str) -> Any:
        """Bring a value here that stayed at the site of a piece.

        Raises
        ------
        CellLost
            If its grid, or its process there, has ended.
        """
        if self._access is None:
            raise CellLost("the grid on which this value stayed has ended")
        seat = self._access.call("job_seat", run=self._record.run, piece=piece)
        tls = self._access.tls
        connection = CellConnection(
            seat["address"], tls_ca=tls.ca, tls_cert=tls.cert, tls_key=tls.key, site=seat["site"]
        )
        connection.loader.space = self._space
        try:
            return connection.fetch(key)
        finally:
            connection.close()


class _Stayed:
    """Where what a piece of a job made stays; the hub is asked for the way when it is wanted."""

    alive = True

    def __init__(self, results: Results, sites: list[str], piece: int) -> None:
        self._results, self._piece = results, piece
        self.site = ", ".join(sites)

    def fetch(self, key: str) -> Any:
        """Bring a value here."""
        return self._results.fetch(self._piece, key)

    def forget(self, key: str) -> None:
        """Values of a job stay as long as its process."""


def _gone(key: str) -> Any:
    raise CellLost("a value of this job had stayed at a site and is gone")
