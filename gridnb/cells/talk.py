"""The messages of one run, as the kernel sends and takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridnb.cells import environment
from gridnb.cells.capture import bound, hidden
from gridnb.cells.late import deliver
from gridnb.cells.line import Stop
from gridnb.cells.message import blobs, code_name, message
from gridnb.cells.outcome import Outcome, add_note, fill
from gridnb.cells.pack import Packed
from gridnb.cells.run import Run, Sink
from gridnb.errors import CaptureError, ReturnError

if TYPE_CHECKING:
    from gridnb.cells.call import CellConnection

__all__ = ["Talk", "in_words"]


class Talk:
    """The messages of one run."""

    def __init__(
        self,
        connection: CellConnection,
        run: Run,
        packed: Packed,
        sink: Sink,
    ) -> None:
        self.connection, self.run, self.packed, self.sink = connection, run, packed, sink
        self.outcome = Outcome()
        self.stop = Stop(connection, run.id, run.patience, run.on_stuck)

    def begin(self) -> None:
        """Send the run."""
        line = self.connection
        header, inline = message(self.run, self.packed, code_name(self.run), line.take_drops())
        line.channel.send(header, inline)
        self.outcome.sent_bytes += sum(len(part) for part in inline)

    def unreturned(self) -> str:
        """What can be said of names that could not come back."""
        made = ", ".join(bound(self.run.body, self.run.shell))
        names = ", ".join(self.packed.names)
        lost = f"what it assigned is lost{f' ({made})' if made else ''}"
        return f"{lost}, and what it changed in {names}" if names else lost

    def take(self, header: dict[str, Any], parts: list[bytearray]) -> bool:
        """Take one message; True when it was the last."""
        self.outcome.received_bytes += sum(len(part) for part in parts)
        if header.get("run", self.run.id) != self.run.id:
            self.connection.late.take(header)
            return False
        if deliver(header, self.sink):
            return False
        match header["op"]:
            case "need":
                self._send_blobs(header["digests"])
            case "stopped":
                self.stop.obeyed()
            case "refused":
                raise CaptureError(header["text"])
            case "apart":
                self._choose(header, parts)
            case "outcome":
                return self._finish(header, parts)
        return False

    def _send_blobs(self, digests: list[str]) -> None:
        if not digests:
            return
        known = blobs(self.packed)
        parts = [known[key] for key in digests]
        self.connection.channel.send({"op": "blobs"}, parts)
        self.outcome.sent_bytes += sum(len(part) for part in parts)

    def _load(self, parts: list[bytearray], readonly: list[bool], remotes: dict[str, Any]) -> Any:
        nodes = self.packed.nodes
        return self.connection.loader.load(parts, readonly, lambda i: nodes[i].value, remotes)

    def _choose(self, header: dict[str, Any], parts: list[bytearray]) -> None:
        """Find out which values cannot be loaded here; these are to stay."""
        stay = []
        for index, readonly in enumerate(header["readonly"]):
            own = [parts.pop(0) for _ in range(len(readonly) + 1)]
            try:
                self._load(own, readonly, header["remotes"])
            except Exception as error:  # noqa: BLE001 - user classes raise what they like
                stay.append(index)
                self.outcome.unloadable = in_words(error)
        self.connection.channel.send({"op": "again", "run": self.run.id, "stay": stay})

    def _finish(self, header: dict[str, Any], parts: list[bytearray]) -> bool:
        try:
            payload = self._load(parts, header["readonly"], header["remotes"])
        except Exception as error:
            if header["again"]:
                text = f"what the cell made cannot be loaded here: {in_words(error)}"
                raise ReturnError(text) from error
            self.outcome.unloadable = in_words(error)
            self.connection.channel.send({"op": "apart", "run": self.run.id})
            return False
        fill(self.outcome, header, payload, self.packed.nodes)
        self.outcome.told += environment.unsent(self.run.body, self.packed.codes)
        if self.outcome.error is not None:
            self._hint(self.outcome.error)
        return True

    def _hint(self, error: BaseException) -> None:
        """Say so if a name that the cell missed is known here: it did not travel."""
        name = getattr(error, "name", None)
        if not isinstance(error, NameError) or name not in self.run.namespace:
            return
        if hidden(name, self.run.namespace, self.run.shell):
            why = "it is IPython's own; bind its value to a name of yours first"
        elif name not in self.packed.names:
            why = (
                "a cell takes along the names that it reads, but not those in strings, eval() or "
                f"globals(); put a line that is only `{name};` into the cell"
            )
        else:
            return
        add_note(error, f"{name!r} is in the notebook and did not travel: {why}")


def in_words(error: BaseException) -> str:
    """Class and text of an error, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
