"""Environment variables that the notebook has set: they may be secrets, and do not travel.

A cell that may read them is told so. Others hear of each variable once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from types import CodeType

__all__ = ["begin", "unsent"]

_WORDS = frozenset({"environ", "environb", "getenv", "getenvb"})
_IN_TEXT = re.compile(
    r"\b(environb?|getenvb?)\b|^\s*%env\b|^\s*!|=\s*!|^%%(bash|sh)\b", re.MULTILINE
)
_MOST = 8


class _Known:
    base: dict[str, str] | None = None
    told: set[str] = set()  # noqa: RUF012 - one notebook in a process


def begin() -> None:
    """What is set now was not set by the notebook."""
    if _Known.base is None:
        _Known.base = dict(os.environ)


def unsent(body: str, codes: Iterable[CodeType]) -> list[str]:
    """Say which variables did not travel, if the cell may have read them or nobody said so yet."""
    base = _Known.base
    if base is None:
        return []
    names = {name for name, value in os.environ.items() if base.get(name) != value}
    names |= {name for name in base if name not in os.environ}
    if not names:
        return []
    mentioned = {name for name in names if re.search(rf"\b{re.escape(name)}\b", body)}
    if _IN_TEXT.search(body) or any(_reads(code) for code in codes):
        mentioned = names
    fresh = mentioned | (names - _Known.told)
    _Known.told |= names
    if not fresh:
        return []
    listed = sorted(fresh)
    more = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    return [
        "environment variables of the notebook do not travel, since they may be secrets: "
        f"{', '.join(listed[:_MOST])}{more} (set them in the cell)"
    ]


def _reads(code: CodeType) -> bool:
    if not _WORDS.isdisjoint(code.co_names):
        return True
    return any(_reads(each) for each in code.co_consts if isinstance(each, CodeType))
