"""``--explain``: what a cell would send to its site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.errors import CaptureError
from gridnb.units import Money, format_bytes, format_seconds
from gridnb.widgets import html

if TYPE_CHECKING:
    from gridnb.catalog import Catalog

__all__ = ["explain"]

_HEAD = ("name", "type", "size")
_SAMPLE = 1000  # values of a name that are measured


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


def explain(
    body: str,
    shell: Any,
    without: tuple[str, ...] = (),
    *,
    catalog: Catalog | None = None,
    sites: Sequence[str] = (),
    pieces: Sequence[Mapping[str, Any]] = (),
) -> Explanation:
    """Say what `body` reads and what sending it to one of `sites` takes.

    `pieces` are what is bound for each run of the body: each takes its own values along.

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
    bound = [_bound(name, pieces, space) for name in without] if pieces else []
    rows += [row for row, _ in bound]
    nbytes = whole.nbytes + sum(size for _, size in bound)
    cost = "" if catalog is None else f"; {sending(nbytes, catalog, sites)}"
    if not rows:
        return Explanation((), f"the cell's text alone{cost}")
    total = f"{format_bytes(whole.nbytes)} in one piece, what a site has had is not sent again"
    if bound:
        total = f"{format_bytes(nbytes)}; what all runs read is sent to a site once"
    return Explanation(tuple(rows), total + cost)


def _bound(
    name: str, pieces: Sequence[Mapping[str, Any]], space: dict[str, Any]
) -> tuple[tuple[str, str, str], int]:
    """Return the row of a name that each run has its own value of, and their size together."""
    from gridnb.cells.pickles import dump

    values = {id(piece[name]): piece[name] for piece in pieces}
    count = len(pieces) if len(pieces[0]) == 1 else len(values)
    sample = list(values.values())[:_SAMPLE]
    kinds = dict.fromkeys(type(value).__name__ for value in sample)
    what = f"{name} ({count:,} value{'' if count == 1 else 's'})"
    try:
        size = 0
        for value in sample:
            stream, buffers, _ = dump([value], owns=lambda each: each is space)
            size += len(stream) + sum(view.nbytes for view in buffers)
    except Exception:  # noqa: BLE001 - user classes raise what they like
        return (what, ", ".join(kinds), "cannot be sent"), 0
    # Each run has one of them; of very many only the first are measured.
    size = size * len(pieces) // len(sample)
    about = "≈ " if len(values) > len(sample) else ""
    return (what, ", ".join(kinds), f"{about}{format_bytes(size)}"), size


def sending(nbytes: int, catalog: Catalog, sites: Sequence[str]) -> str:
    """Say what bytes from this machine to a site cost, and how long they take where it is known.

    Only bytes that leave a site are charged, so that it takes a site on this machine.
    """
    origin = next((site for site in catalog.sites if site.provider == "local"), None)
    targets = [name for name in (sites or catalog.names) if origin is None or name != origin.name]
    if origin is None or not targets:
        return "sending it costs nothing"
    gib = Decimal(nbytes) / 2**30
    dearest = max(targets, key=lambda name: catalog.egress(origin.name, name))
    price = catalog.egress(origin.name, dearest) * gib
    link = catalog.link(origin.name, dearest)
    most = "at most " if len(targets) > 1 else ""
    cost = f"{most}{Money(price, origin.currency)}" if price else "nothing"
    takes = ""
    if link.bandwidth is not None:
        seconds = format_seconds(link.latency + nbytes / link.bandwidth)
        takes = f" and takes about {seconds}"
    return f"sending it to {dearest} costs {cost}{takes}"
