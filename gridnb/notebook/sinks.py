"""Where the output of a run goes: into the cell that is running, or aside until its turn."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.notebook.logbook import Logbook

__all__ = ["CellSink", "HeldSink", "LateSink"]

_FLUSH = 0.05  # seconds between two flushes while text comes


class CellSink:
    """Writes into the present cell, as a plain cell would."""

    def __init__(self, shell: Any, logbook: Logbook | None = None) -> None:
        self._shell, self._logbook = shell, logbook
        self._parent = getattr(shell.display_pub, "parent_header", None)
        self._last, self._flushed = "", 0.0
        #: Whether anything was put out.
        self.used = False
        #: The mime bundle of the value, once it was shown.
        self.shown: dict[str, Any] | None = None

    def stream(self, name: str, text: str) -> None:
        """Write text of ``stdout`` or ``stderr``."""
        self._keep(op="stream", name=name, text=text)
        if name != self._last:
            # The two are buffered apart; what was written first has to be seen first.
            self.flush()
            self._last = name
        getattr(sys, name).write(text)
        if time.monotonic() - self._flushed > _FLUSH:
            # Else a progress bar would be seen only when the kernel thinks of it.
            self._flushed = time.monotonic()
            self.flush()

    def _keep(self, **message: Any) -> None:
        self.used = True
        if self._logbook is not None:
            self._logbook.put(message)

    def flush(self) -> None:
        """Let what was written be seen before what comes."""
        if self._last:
            getattr(sys, self._last).flush()

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """Show a mime bundle."""
        self._keep(op="display", data=data, metadata=metadata, transient=transient, update=update)
        self._shell.display_pub.publish(data, metadata=metadata, transient=transient, update=update)

    def clear(self, wait: bool) -> None:
        """Clear the cell's output."""
        self._keep(op="clear", wait=wait)
        self._shell.display_pub.clear_output(wait)

    def message(self, message: dict[str, Any]) -> None:
        """Show a message of a job's log."""
        match message["op"]:
            case "stream":
                self.stream(message["name"], message["text"])
            case "note":
                self.stream("stderr", message["text"] + "\n")
            case "display":
                keys = ("data", "metadata", "transient", "update")
                self.display(*(message[key] for key in keys))
            case "clear":
                self.clear(message["wait"])
            case "result":
                self.result(message["data"], message["metadata"])

    def result(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Show the value of the last expression as this cell's ``Out``."""
        self._keep(op="result", data=data, metadata=metadata)
        hook = self._shell.displayhook
        hook.check_for_underscore()
        hook.start_displayhook()
        hook.write_output_prompt()
        hook.write_format_data(data, metadata)
        hook.finish_displayhook()
        self.shown = data

    def value(self, value: Any) -> None:
        """Make a value that was shown ``_`` and ``Out[n]``."""
        hook = self._shell.displayhook
        hook.update_user_ns(value)
        hook.fill_exec_result(value)
        if self.shown:
            hook.log_output(self.shown)

    def late(self) -> LateSink | None:
        """What takes output for this cell when it has ended; None outside of a kernel."""
        if not hasattr(self._shell.display_pub, "pub_socket"):
            return None
        return LateSink(self._shell, self._parent)


class LateSink:
    """Writes into a cell that has ended, from any thread."""

    def __init__(self, shell: Any, parent: Any) -> None:
        self._publisher, self._parent = shell.display_pub, parent

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        publisher = self._publisher
        message = publisher.session.msg(kind, content, parent=self._parent)
        publisher.session.send(publisher.pub_socket, message, ident=publisher.topic)

    def stream(self, name: str, text: str) -> None:
        """Write text."""
        self._send("stream", {"name": name, "text": text})

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """Show a mime bundle."""
        kind = "update_display_data" if update else "display_data"
        self._send(kind, {"data": data, "metadata": metadata, "transient": transient})

    def clear(self, wait: bool) -> None:
        """Clear the cell's output."""
        self._send("clear_output", {"wait": wait})


class HeldSink:
    """Keeps output until :meth:`give` passes it on; for runs that go on side by side.

    `changed` is called when there is something new.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._held: list[tuple[str, tuple[Any, ...]]] = []

    def _keep(self, what: str, *arguments: Any) -> None:
        self._held.append((what, arguments))
        self._changed()

    def stream(self, name: str, text: str) -> None:
        """Keep text."""
        self._keep("stream", name, text)

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        """Keep a mime bundle."""
        self._keep("display", data, metadata, transient, update)

    def clear(self, wait: bool) -> None:
        """Clear what this run has put out, if it was not passed on yet."""
        self._held.clear()

    def give(self, sink: CellSink) -> None:
        """Pass on what was kept, in order."""
        held, self._held = self._held, []
        for what, arguments in held:
            getattr(sink, what)(*arguments)
