"""What a run has put out, as one piece of HTML: for a view that is replaced as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

__all__ = ["render", "screen", "tail"]

LINES = 12  # of text that are shown
RICH = 200_000  # characters of a figure or table that are shown

_CLASS = re.compile(r'class="([^"]*)"')
_COLOURS = {
    "black": "#555",
    "red": "#d33f49",
    "green": "#2e8b57",
    "yellow": "#b58900",
    "blue": "#2b7bb9",
    "magenta": "#a64ca6",
    "cyan": "#258f8f",
    "white": "#999",
}  # to be read on white and on black
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PRE = (
    "margin:4px 0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:transparent;color:inherit;border:0;"
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)"
)


def screen(text: str) -> str:
    """Return what a terminal shows of a text: a carriage return begins its line anew."""
    return "\n".join(_line(line) for line in text.replace("\r\n", "\n").split("\n"))


def _line(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown


def tail(text: str, lines: int = LINES) -> str:
    """Return the last lines of a text as a terminal shows it."""
    found = screen(text).rstrip("\n").split("\n")
    return "\n".join(found[-lines:])


def render(messages: Sequence[dict[str, Any]]) -> str:
    """Return the end of what was put out: the last lines of text, and the last rich output."""
    text, rich = _collect(messages)
    body = f'<pre style="{_PRE}">{_coloured(tail(text))}</pre>' if text.strip() else ""
    return body + rich


def _collect(messages: Iterable[dict[str, Any]]) -> tuple[str, str]:
    texts: list[str] = []
    rich = ""
    wait = False
    for message in messages:
        op = message["op"]
        if op == "clear":
            wait = bool(message["wait"])
            if not wait:
                texts, rich = [], ""
            continue
        if wait:
            texts, rich, wait = [], "", False
        if op in ("stream", "note"):
            texts.append(message["text"] + ("\n" if op == "note" else ""))
        elif found := _rich(message["data"]):
            rich = found
        else:
            texts.append(str(message["data"].get("text/plain", "")) + "\n")
    return "".join(texts), rich


def _rich(data: dict[str, Any]) -> str:
    """Return a picture or a table as HTML; empty for what is text only, or too large."""
    found = ""
    if "image/png" in data:
        found = f'<img style="max-width:100%" src="data:image/png;base64,{data["image/png"]}">'
    elif "image/svg+xml" in data:
        found = str(data["image/svg+xml"])
    elif "text/html" in data:
        found = str(data["text/html"])
    return found if len(found) <= RICH and "<script" not in found else ""


def _coloured(text: str) -> str:
    """Escape a text; its ANSI colours are kept where nbconvert is installed."""
    try:
        from nbconvert.filters.ansi import ansi2html
    except ImportError:
        return escape(_ANSI.sub("", text))
    convert: Any = ansi2html  # has no annotations
    return _CLASS.sub(_style, str(convert(text)))


def _style(found: re.Match[str]) -> str:
    """Write as a style what front ends know as a class in text outputs alone."""
    styles = []
    for name in found[1].split():
        kind, _, rest = name.removeprefix("ansi-").rpartition("-")
        colour = _COLOURS.get(kind.removesuffix("-intense"))
        if rest in ("fg", "bg") and colour is not None:
            styles.append(f"{'color' if rest == 'fg' else 'background'}:{colour}")
        elif name == "ansi-bold":
            styles.append("font-weight:bold")
        elif name == "ansi-underline":
            styles.append("text-decoration:underline")
    return f'style="{";".join(styles)}"'
