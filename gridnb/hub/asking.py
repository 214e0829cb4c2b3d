"""Asking whoever is there whether real money may be spent: in a notebook, or in a terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from types import BuiltinFunctionType
from typing import Any

from gridnb.config import settings
from gridnb.errors import ConsentError
from gridnb.hub.consent import bought

__all__ = ["agree", "note", "session"]

_YES = frozenset({"y", "yes"})
_agreed: set[tuple[int, str, str]] = set()
_session = (os.getpid(), uuid.uuid4().hex)


def session() -> str:
    """Return the name of this session: of this process."""
    global _session
    if _session[0] != os.getpid():  # a fork is another session
        _session = os.getpid(), uuid.uuid4().hex
    return _session[1]


def note(account: str, currency: str) -> None:
    """Note that in this session the money of an account may be spent."""
    _agreed.add((os.getpid(), account, currency))


def agree(error: ConsentError, *, ask: bool = True) -> None:
    """Have somebody agree to what a hub refused; returns if that is so.

    With `ask` false, nobody is asked.

    Raises
    ------
    ConsentError
        If they do not agree, or if there is nobody to ask.
    """
    account, currency = error.budget["account"], error.budget["currency"]
    if (os.getpid(), account, currency) in _agreed or settings().confirm == "never":
        return
    answer = _answer(_question(error)) if ask else None
    if answer is None:
        raise error
    if answer.strip().lower() not in _YES:
        raise ConsentError("nothing was leased and nothing is spent: real money was not agreed to")
    note(account, currency)


def _question(error: ConsentError) -> str:
    from gridnb.broker import Quote

    what = bought([Quote.from_json(quote) for quote in error.quotes])
    budget = error.budget
    return f"Lease {what}, from a budget with {budget['left']} left of {budget['cap']}? [y/N] "


def _answer(question: str) -> str | None:
    """Put a question to the user; None if there is no way to."""
    kernel = _kernel()
    if threading.current_thread() is not threading.main_thread():
        return None
    if kernel is None and _in_loop():  # a server's, perhaps: it must not wait for somebody
        return None
    if not (_is_terminal() if kernel is None else _takes_input()):
        return None
    from IPython.core.error import StdinNotImplementedError

    try:
        return input(question)
    except (EOFError, StdinNotImplementedError):
        return None


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _takes_input() -> bool:
    """Whether a kernel has taken the place of input(), as it does while a cell runs."""
    return not isinstance(input, BuiltinFunctionType)


def _kernel() -> Any:
    """Return the kernel of this notebook, or None in a terminal or a script."""
    module = sys.modules.get("IPython.core.getipython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None)
