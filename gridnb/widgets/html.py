"""Small pieces of HTML that look right in a light and in a dark theme.

Colours are JupyterLab's, with fallbacks for other front ends. What is written here
contains no dollar sign; a cell's text may, so MathJax is told to leave it all alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["bar", "block", "muted", "table", "tag", "text_table", "title"]

_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif)"
_SMALL = "font-size:var(--jp-ui-font-size1,13px)"
_INK = "color:var(--jp-ui-font-color1,inherit)"
_FAINT = "color:var(--jp-ui-font-color2,inherit)"
_RULE = "var(--jp-border-color2,rgba(128,128,128,.35))"
_CELL = (
    "padding:2px 14px 2px 0;background:transparent;border:0;vertical-align:top;white-space:nowrap"
)


def safe(text: object) -> str:
    """Escape text."""
    return escape(str(text))


def block(body: str) -> str:
    """Put the outermost element around a piece."""
    style = f"{_FONT};{_SMALL};{_INK};line-height:1.5"
    return f'<div class="gridnb mathjax_ignore tex2jax_ignore" style="{style}">{body}</div>'


def muted(text: object) -> str:
    """Write text that matters less."""
    return f'<span style="{_FAINT}">{safe(text)}</span>'


def tag(text: object, why: str = "") -> str:
    """Write a word in a small frame; `why` is shown under the mouse."""
    style = (
        f"{_FAINT};border:1px solid {_RULE};border-radius:3px;padding:0 5px;"
        "font-size:.88em;display:inline-block;white-space:normal"
    )
    return f'<span style="{style}" title="{safe(why)}">{safe(text)}</span>'


def title(text: object, *after: str) -> str:
    """Write a line above a table."""
    return f'<div style="margin:2px 0 4px"><b>{safe(text)}</b> {" ".join(after)}</div>'


def bar(share: float) -> str:
    """Draw how much of something is done, from 0 to 1."""
    width = min(max(round(100 * share), 0), 100)
    return (
        '<span style="display:inline-block;vertical-align:middle;width:120px;height:6px;'
        f'border-radius:3px;margin-right:8px;background:{_RULE}">'
        f'<span style="display:block;width:{width}%;height:6px;border-radius:3px;'
        'background:var(--jp-brand-color1,#1976d2)"></span></span>'
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[str] = ()
) -> str:
    """Write a table; columns named in `numbers` stand to the right."""
    right = set(numbers)
    sides = ["right" if name in right else "left" for name in head]
    line = f"border-bottom:1px solid {_RULE}"
    top = "".join(
        f'<th style="{_CELL};{line};{_FAINT};font-weight:500;text-align:{side}">{safe(name)}</th>'
        for name, side in zip(head, sides, strict=True)
    )
    body = "".join(
        '<tr style="background:transparent">'
        + "".join(_cell(value, side) for value, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in rows
    )
    style = f"border-collapse:collapse;{_SMALL};margin:0 0 8px;border:0"
    return (
        f'<div style="overflow-x:auto"><table style="{style}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object, side: str) -> str:
    digits = ";font-variant-numeric:tabular-nums" if side == "right" else ""
    return f'<td style="{_CELL};text-align:{side}{digits}">{safe(value)}</td>'


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[str] = ()
) -> str:
    """Write the same table for a terminal."""
    right = set(numbers)
    lines = [list(head), *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if name in right else text.ljust(width)
            for text, width, name in zip(line, widths, head, strict=True)
        ).rstrip()
        for line in lines
    )
