"""``--explain``: what a cell would send to its site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridnb.errors import CaptureError
from gridnb.units import format_bytes
from gridnb.widgets import html

__all__ = ["explain"]

_HEAD = ("name", "type", "size")


@dataclass(frozen=True)
class Explanation:
    """The captured names of a cell, with the size of each and of all together."""

    rows: tuple[tuple[str, str, str], ...]
    total: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        table = html.table(_HEAD, self.rows, numbers=["size"]) if self.rows else ""
        return {
            "text/plain": repr(self),
            "text/html": html.block(html.title("What travels", html.muted(self.total)) + table),
        }

    def __repr__(self) -> str:
        rows = html.text_table(_HEAD, self.rows, numbers=["size"]) if self.rows else ""
        return f"What travels: {self.total}\n{rows}".rstrip()


def explain(body: str, shell: Any, without: tuple[str, ...] = ()) -> Explanation:
    """Say what `body` reads and what sending it takes.

    Raises
    ------
    CaptureError
        If something of it cannot be sent; names the variable.
    """
    from gridnb.cells.pack import pack

    space = shell.user_ns
    whole = pack(body, space, shell=shell, without=without)
    rows = []
    for name in whole.names:
        try:
            size = format_bytes(pack(name, space, shell=shell).nbytes)
        except CaptureError:
            size = "cannot be sent"
        rows.append((name, type(space[name]).__name__, size))
    if not rows:
        return Explanation((), "the cell's text alone")
    total = f"{format_bytes(whole.nbytes)} in one piece; what a site has had is not sent again"
    return Explanation(tuple(rows), total)
