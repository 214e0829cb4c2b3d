"""The messages of one run, as the kernel sends and takes them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from gridnb.cells import ambient
from gridnb.cells.capture import hidden
from gridnb.cells.frames import Buffer
from gridnb.cells.outcome import Outcome, add_note, make_error
from gridnb.cells.pack import Packed
from gridnb.cells.pickles import BLOB, dump
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
        self._end: float | None = None

    def begin(self) -> None:
        """Send the run."""
        run, packed = self.run, self.packed
        apart = len(packed.stream) >= BLOB
        inline: list[Buffer] = [] if apart else [packed.stream]
        if run.bindings:
            inline.append(dump([run.bindings], owns=lambda s: s is run.namespace, large=False)[0])
        header = {
            "op": "run",
            "run": run.id,
            "body": run.body,
            "name": self.connection.labels(run),
            "labels_count": run.count,
            "first": run.first,
            "flags": _future_flags(run.shell),
            "returns": run.returns,
            "fetch_limit": run.fetch_limit,
            "compare_limit": run.compare_limit,
            "deletes": packed.deletes,
            "imports": packed.imports,
            "sources": {name: source.to_json() for name, source in packed.sources.items()},
            "marks": packed.marks,
            "ambient": ambient.here(),
            "lines": packed.lines,
            "labels": _labels(run.shell, packed.lines),
            "drops": self.connection.take_drops(),
            "digests": packed.digests,
            "readonly": packed.readonly,
            "count": packed.count,
            "inline": len(inline),
            "stream_apart": apart,
        }
        self.connection.channel.send(header, inline)
        self.outcome.sent_bytes += sum(len(part) for part in inline)

    def tick(self) -> float | None:
        """How long to wait; sends the interrupt, and gives up when it has no effect."""
        now = time.monotonic()
        try:
            pressed = bool(os.read(self.connection.wake, 64))
        except BlockingIOError:
            pressed = False
        if pressed and self._end is None:
            self._end = now + self.run.patience
            self.connection.channel.send({"op": "interrupt", "run": self.run.id})
        if self._end is None:
            return None
        if now < self._end:
            return self._end - now
        self.run.on_stuck()
        self.connection.channel.close()
        raise KeyboardInterrupt(f"the cell did not stop and was ended; {self.unreturned()}")

    def unreturned(self) -> str:
        """What can be said of names that could not come back."""
        names = ", ".join(self.packed.names)
        if not names:
            return "what it assigned is lost"
        return f"what it assigned is lost, and what it changed in {names}"

    def take(self, header: dict[str, Any], parts: list[bytearray]) -> bool:
        """Take one message; True when it was the last."""
        self.outcome.received_bytes += sum(len(part) for part in parts)
        if header.get("run", self.run.id) != self.run.id:
            return False
        match header["op"]:
            case "stream":
                self.sink.stream(header["name"], header["text"])
            case "display":
                self.sink.display(
                    header["data"], header["metadata"], header["transient"], header["update"]
                )
            case "clear":
                self.sink.clear(header["wait"])
            case "result":
                show = getattr(self.sink, "result", None)
                if show is not None:
                    show(header["data"], header["metadata"])
            case "need":
                self._send_blobs(header["digests"])
            case "stopped":
                # It has obeyed; what comes back may take its time.
                self._end = None
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
        parts: list[Buffer] = [*self.packed.buffers, self.packed.stream]
        by_digest = dict(zip(self.packed.digests, parts, strict=False))
        blobs = [by_digest[key] for key in digests]
        self.connection.channel.send({"op": "blobs"}, blobs)
        self.outcome.sent_bytes += sum(len(part) for part in blobs)

    def _load(self, parts: list[bytearray], readonly: list[bool], remotes: dict[str, Any]) -> Any:
        nodes = self.packed.nodes
        return self.connection.loads(parts, readonly, lambda i: nodes[i].value, remotes)

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
        self._fill(header, payload)
        return True

    def _fill(self, header: dict[str, Any], payload: dict[str, Any]) -> None:
        outcome, nodes = self.outcome, self.packed.nodes
        outcome.has, outcome.data, outcome.metadata = (
            header["has"],
            header["data"],
            header["metadata"],
        )
        outcome.deleted, outcome.rebound = header["deleted"], header["rebound"]
        outcome.threads = header["threads"]
        outcome.ambient = header["ambient"]
        outcome.unlike, outcome.kept_back = header["unlike"], header["kept_back"]
        outcome.unlooked = list(dict.fromkeys(nodes[i].name for i in header["unlooked"]))
        outcome.seconds, outcome.cpu_seconds = header["seconds"], header["cpu_seconds"]
        outcome.take(payload, nodes)
        described = header["error"]
        if described is not None:
            outcome.ok = False
            outcome.rendered = header["rendered"]
            outcome.error_name, outcome.error_text = described["name"], described["text"]
            outcome.error = make_error(payload["error"], described, outcome.rendered)
            self._hint(outcome.error)

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


def _future_flags(shell: Any) -> int:
    import __future__

    flags = int(getattr(getattr(shell, "compile", None), "flags", 0))
    known = (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
    return flags & int(sum({flag for flag in known if flag > 0xFFFF}))


def _labels(shell: Any, lines: dict[str, list[str]]) -> dict[str, int]:
    known = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return {name: known[name] for name in lines if name in known}
