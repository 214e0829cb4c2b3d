"""Output of threads that go on when their cell has ended: it still goes to that cell."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from gridnb.cells.run import Sink
from gridnb.errors import GridError

__all__ = ["Late", "deliver"]

_MOST = 100  # runs that are remembered
_EVERY = 0.3  # seconds between two questions


class Late:
    """The cells of past runs, by run.

    While no run is under way `ask` is asked for what has come for them, as long as any of
    their threads live; with a run, it comes by itself. `busy` says that one is under way.
    """

    def __init__(
        self, ask: Callable[[dict[str, Any]], tuple[dict[str, Any], Any]], busy: Callable[[], bool]
    ) -> None:
        self._ask, self._busy = ask, busy
        self._sinks: OrderedDict[str, Sink] = OrderedDict()
        self._asking: threading.Thread | None = None

    def keep(self, run: str, sink: Sink, *, going: bool) -> None:
        """A run has ended; `going` says whether threads of it live."""
        make: Callable[[], Sink | None] = getattr(sink, "late", lambda: None)
        later = make()
        if later is None:
            return
        self._sinks[run] = later
        if len(self._sinks) > _MOST:
            self._sinks.popitem(last=False)
        if going and (self._asking is None or not self._asking.is_alive()):
            self._asking = threading.Thread(target=self._listen, name="gridnb-late", daemon=True)
            self._asking.start()

    def take(self, message: dict[str, Any]) -> None:
        """Pass on a message to the run that it belongs to."""
        sink = self._sinks.get(message.get("run", ""))
        if sink is not None:
            deliver(message, sink)

    def _listen(self) -> None:
        going = True
        while going:
            time.sleep(_EVERY)
            if self._busy():
                continue
            try:
                answer, _ = self._ask({"op": "late"})
            except GridError:
                # The process has ended, and its threads with it.
                return
            for message in answer["messages"]:
                self.take(message)
            going = bool(self._sinks.keys() & set(answer["going"]))


def deliver(message: dict[str, Any], sink: Sink) -> bool:
    """Pass a message of output on; False if it is another kind of message."""
    match message["op"]:
        case "stream":
            sink.stream(message["name"], message["text"])
        case "display":
            sink.display(
                message["data"], message["metadata"], message["transient"], message["update"]
            )
        case "clear":
            sink.clear(message["wait"])
        case "result":
            show = getattr(sink, "result", None)
            if show is not None:
                show(message["data"], message["metadata"])
        case _:
            return False
    return True
