"""Where the output of a run goes: into the cell that is running, or aside until its turn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridnb.notebook.logbook import Logbook

__all__ = ["CellSink", "HeldSink"]


class CellSink:
    """Writes into the present cell, as a plain cell would."""

    def __init__(self, shell: Any, logbook: Logbook | None = None) -> None:
        self._shell, self._logbook = shell, logbook
        self._last = ""
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
