"""How leases, and values that stayed at a site, look in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridnb.errors import GridError
from gridnb.widgets import html
from gridnb.widgets.tables import rate

if TYPE_CHECKING:
    from gridnb.cells.remote import Remote
    from gridnb.grid import Grid, Lease

__all__ = ["lease", "remote"]


def lease(value: Lease, grid: Grid | None) -> dict[str, str]:
    """Say on one line what was leased, what it costs, and how much of it is up."""
    quote = value.quote
    what = ", ".join(f"{line.count} × {line.site} {line.offer}" for line in quote.lines)
    parts = [f"lease {value.id.rpartition('-')[2]}", what, rate(quote), _up(value, grid)]
    first, *rest = [part for part in parts if part]
    return {
        "text/plain": " · ".join([first, *rest]),
        "text/html": html.block(html.title(first, *(html.muted(f"· {part}") for part in rest))),
    }


def _up(value: Lease, grid: Grid | None) -> str:
    if grid is None or grid.closed:
        return "ended"
    try:
        state = grid.status(runs=0)
    except GridError:
        return ""  # it is shown without, and what asks for it next says what is wrong
    found = next((each for each in state["leases"] if each["id"] == value.id), None)
    if found is None or found["state"] != "active":
        return "ended"
    own = [w for w in state["workers"] if w["lease"] == value.id and w["state"] == "running"]
    return f"up {len(own)} of {len(value.workers)}"


def remote(value: Remote) -> str:
    """Show of a value where it is, how large, what bringing it here costs, and its beginning."""
    from gridnb.cells.remote import describe

    it = describe(value)
    head = html.title(it.kind, html.muted(f"· {it.where} · {it.size}{it.price}"))
    how = "use it in %%grid" + ("" if value.nbytes is None else ", or .fetch() it")
    return html.block(f"{head}<div>{html.safe(it.text)} {html.muted(f'· {how}')}</div>")
