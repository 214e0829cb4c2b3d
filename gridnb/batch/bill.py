"""The bill of a run, as text of a Markdown cell: any viewer of notebooks renders it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.ledger import Charge
from gridnb.units import Money, format_seconds

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Sums", "add", "plain", "rows", "text", "title"]

#: Amounts by currency: two currencies are never added up.
Sums = Mapping[str, Decimal]

_KINDS = ("used", "kept", "idle", "overhead", "egress", "total")


def add(charges: Iterable[Charge]) -> dict[str, Decimal]:
    """Add charges up."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for charge in charges:
        sums[charge.currency] += charge.amount
    return dict(sums)


def plain(sums: Sums) -> dict[str, str]:
    """Write amounts as text, with all of their digits."""
    return {currency: f"{amount:f}" for currency, amount in sums.items()}


def rows(charges: Sequence[Charge]) -> list[dict[str, Any]]:
    """Sum charges up by site, as plain data."""
    from gridnb.tables import bill_rows

    found = bill_rows(charges, "site") if charges else []
    return [
        {key: f"{value:f}" if isinstance(value, Decimal) else value for key, value in row.items()}
        for row in found
    ]


def title(source: str) -> str:
    """Name a cell by its first line of code; what stands on top of a ``%%grid`` cell is none."""
    stripped = [line.strip() for line in source.splitlines()]
    lines = [line for line in stripped if line and not line.startswith(("#", "%%grid"))]
    first = lines[0] if lines else "an empty cell"
    return first if len(first) <= 40 else first[:39] + "…"


def text(book: NotebookNode) -> str:
    """Write what a notebook's metadata say of its costs."""
    told = book.metadata["gridnb"]
    parts = [f"**{_money(told['total']) or 'nothing was charged'}**"]
    if told["budget"]:
        parts[0] += f" of {told['budget']}"
    parts.append(format_seconds(round(told["seconds"], 1)))
    parts += ["GD is simulated money"] if "GD" in told["total"] else []
    blocks = ["### What this run cost", " · ".join(parts)]
    if told["failed"]:
        blocks.append(f"It did not get to its end: {_escaped(told['failed'])}")
    if told["bill"]:
        blocks += [_by_cell(book, told), _by_site(told["bill"])]
    return "\n\n".join(blocks)


def _by_cell(book: NotebookNode, told: dict[str, Any]) -> str:
    lines = []
    for cell in book.cells:
        about = cell.metadata.get("gridnb", {})
        if "cost" in about:
            seconds = format_seconds(round(about["seconds"], 1))
            lines.append((_code(title(cell.source)), seconds, _money(about["cost"])))
    rest = "workers that start, are idle, or keep data"
    lines.append((rest, "", _money(told["between_cells"])))
    return _table(("cell", "time", "cost"), lines)


def _by_site(found: Sequence[dict[str, Any]]) -> str:
    kinds = [kind for kind in _KINDS if any(Decimal(row[kind]) for row in found)]
    lines = [(row["name"], *(_amount(row, kind) for kind in kinds)) for row in found]
    for currency in dict.fromkeys(row["currency"] for row in found):
        mine = [row for row in found if row["currency"] == currency]
        total = {kind: sum((Decimal(row[kind]) for row in mine), Decimal(0)) for kind in kinds}
        cells = (_amount({**total, "currency": currency}, kind) for kind in kinds)
        lines.append(("**total**", *(f"**{each}**" for each in cells)))
    return _table(("site", *kinds), lines)


def _amount(row: Mapping[str, Any], kind: str) -> str:
    amount = Decimal(row[kind])
    return str(Money(amount, row["currency"])) if amount else "–"


def _money(amounts: Mapping[str, str]) -> str:
    return " + ".join(str(Money(Decimal(amount), name)) for name, amount in amounts.items())


def _code(words: str) -> str:
    return f"`{words.replace('|', '¦').replace('`', '´')}`"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    top = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*top, *("| " + " | ".join(line) + " |" for line in lines)])


def _escaped(words: str) -> str:
    first = words.splitlines()[0] if words else ""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#|<>$" else c for c in first)
