"""The code blocks of a Markdown text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its code and the line that begins it."""

    language: str
    words: tuple[str, ...]
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a text in order."""
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(language, tuple(words), match["code"], line))
    return found


def commands(text: str) -> list[tuple[int, str]]:
    """Return the commands of the bash blocks, each with its line; comments and prompts left out."""
    found = []
    for block in blocks(text):
        if block.language not in ("bash", "sh", "shell", "console"):
            continue
        joined = re.sub(r"\s*\\\n\s*", " ", block.code)
        for number, line in enumerate(joined.splitlines(), block.line):
            command = re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ")
            if command:
                found.append((number, command))
    return found
