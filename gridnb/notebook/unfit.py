"""What a cell asks for that cannot be, found before anything is leased for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gridnb.errors import RequestError

if TYPE_CHECKING:
    from gridnb.notebook.cell import Cell

__all__ = ["check"]


def check(cell: Cell, shell: Any, *, quote: bool) -> None:
    """Refuse what is sure to fail.

    Raises
    ------
    RequestError
        If the body calls a magic that belongs to the notebook, or what is to be priced
        is more than a quote prices.
    """
    from gridnb.cells.shell import refusal

    if quote and cell.replicas > 1:
        raise RequestError(
            f"--quote: prices the first site, and --replicas {cell.replicas} means more than one; "
            "leave out --replicas, and quote the others with `%grid quote --cores 1 --sites …`"
        )
    for name in _magics(cell.body, shell):
        if (why := refusal(name)) is not None:
            raise RequestError(f"%%grid: {why}")


def _magics(body: str, shell: Any) -> Iterator[str]:
    """Find the magics that a body calls in any case: what stands in an ``if`` may not be run."""
    try:
        statements = ast.parse(shell.transform_cell(body)).body
    except (SyntaxError, ValueError):
        return  # the site says so, with the line
    for statement in statements:
        if not isinstance(statement, ast.Expr | ast.Assign):
            continue
        match statement.value:
            case ast.Call(
                func=ast.Attribute(attr="run_line_magic" | "run_cell_magic"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
