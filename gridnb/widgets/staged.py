"""What ``%grid stage`` shows: what was staged, where it is, what that took and what it saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridnb.units import Money, format_bytes
from gridnb.widgets.tables import Part, View, tags

if TYPE_CHECKING:
    from gridnb.staging import Staged

__all__ = ["sentence", "table"]

_HEAD = ("name", "digest", "files", "size", "at", "sent", "not sent again", "egress")
_NUMBERS = frozenset(("files", "size", "sent", "not sent again", "egress"))


def table(items: Sequence[Staged], grid: dict[str, Any]) -> View:
    """Show what was staged; `grid` is that part of its status."""
    rows = [_row(item) for item in items]
    routes: dict[tuple[str, str], int] = {}
    for item in items:
        for pair, count in item.routes.items():
            routes[pair] = routes.get(pair, 0) + count
    ways = [(f"{source} → {target}", format_bytes(n)) for (source, target), n in routes.items()]
    after = [
        f"{format_bytes(sum(item.sent for item in items))} sent",
        f"{format_bytes(sum(item.saved for item in items))} not sent again",
    ]
    if items:
        after.append(f"egress {_sum(items)}")
    else:
        after = ["nothing yet; `%grid stage PATH` stages a file or directory"]
    parts = [
        Part(_HEAD, rows, _NUMBERS),
        Part(("from → to", "sent"), ways, frozenset({"sent"})),
    ]
    return View("staged files", after, parts, tags(grid), data=list(items))


def _row(item: Staged) -> tuple[object, ...]:
    return (
        item.name,
        (item.digest or "")[:12],
        item.files,
        format_bytes(item.size),
        ", ".join(item.sites) or "no site yet",
        format_bytes(item.sent),
        format_bytes(item.saved),
        str(item.egress),
    )


def _sum(items: Sequence[Staged]) -> Money:
    total = items[0].egress
    for item in items[1:]:
        total = total + item.egress
    return total


def sentence(item: Staged) -> str:
    """Say in a line what was staged, where it is, and what that took."""
    where = (
        f"at {', '.join(item.sites)}" if item.sites else "each site gets it with its first worker"
    )
    parts = [f"staged {item.name}", f"{item.files} file{'' if item.files == 1 else 's'}"]
    parts += [format_bytes(item.size), where, f"{format_bytes(item.sent)} sent so far"]
    if item.saved:
        parts.append(f"{format_bytes(item.saved)} not sent again")
    if item.egress:
        parts.append(f"egress {item.egress}")
    return " · ".join(parts)
