"""Showing a line in a cell, and showing it anew later, from any thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Show", "can_update", "show_as_rendered", "shower"]

#: Called with a mime bundle, a display id, and whether it replaces what has this id.
Show = Callable[[dict[str, Any], str, bool], None]


def can_update(shell: Any) -> bool:
    """Whether a line can be replaced where it is: in a kernel."""
    return hasattr(shell.display_pub, "pub_socket")


def shower(shell: Any) -> Show:
    """Return what shows lines in this shell.

    In a kernel nothing is flushed before: that takes longer than all the rest, and an
    update from another thread must not tear apart what a cell is writing. Who has
    written something flushes it. Outside of a kernel an update would be a second line,
    and is left out.
    """
    publisher = shell.display_pub
    if not can_update(shell):
        return lambda data, name, update: _print(publisher, data, name, update)

    def show(data: dict[str, Any], name: str, update: bool) -> None:
        if getattr(publisher, "_hooks", None):
            # An Output widget wants to have it.
            publisher.publish(data, transient={"display_id": name}, update=update)
            return
        session, kind = publisher.session, "update_display_data" if update else "display_data"
        content = {"data": data, "metadata": {}, "transient": {"display_id": name}}
        message = session.msg(kind, content, parent=publisher.parent_header)
        session.send(publisher.pub_socket, message, ident=publisher.topic)

    return show


def _print(publisher: Any, data: dict[str, Any], name: str, update: bool) -> None:
    if not update:
        publisher.publish(data, transient={"display_id": name})


def show_as_rendered(shell: Any, error: BaseException | None) -> None:
    """Let an error that is raised next be shown as its site rendered it.

    IPython does so for all but syntax errors and exception groups.
    """
    lines: list[str] = getattr(error, "_render_traceback_", list)()
    if not lines or not (isinstance(error, SyntaxError) or _holds_group(error)):
        return
    usual = shell.showtraceback

    def once(*args: Any, **named: Any) -> None:
        shell.showtraceback = usual
        if sys.exc_info()[1] is error:
            shell._showtraceback(type(error), error, lines)
        else:
            usual(*args, **named)

    shell.showtraceback = once


def _holds_group(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return True
        error = error.__context__
    return False
