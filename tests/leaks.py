"""Find, by a tag in their environment, the processes that a test has started, and end them.

The tag names session, module and test: ``8f3a/tests.ledger.test_crash/2``. What a
module's fixture starts carries the module's tag and may live as long as the module.
A process inherits the tag whatever its parent does later: daemons, sessions of
their own and orphans have it too. Children that are only forked show the
environment of pytest itself and are found as its children.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import psutil
import pytest

TAG = "GRIDNB_TEST"

#: Processes that have been asked to end may take this long, in seconds.
GRACE = 3.0

#: multiprocessing starts this once and ends it with pytest.
SHARED = "multiprocessing.resource_tracker"


def tagged(tag: str) -> list[psutil.Process]:
    """Return the live processes that carry the tag or one below it."""
    return [each for each in psutil.process_iter() if _carries(each, tag)]


def _carries(process: psutil.Process, tag: str) -> bool:
    if process.pid == os.getpid():
        return False
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if SHARED in " ".join(process.cmdline()):
            return False
        own = process.environ().get(TAG, "")
        return own == tag or own.startswith(tag + "/")
    return False


def _children() -> set[psutil.Process]:
    return {
        each
        for each in psutil.Process().children(recursive=True)
        if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    }


def _forked(before: set[psutil.Process]) -> list[psutil.Process]:
    """Return new descendants that were forked and never executed anything."""
    pytest_itself = psutil.Process()
    ours, program = pytest_itself.environ().get(TAG), pytest_itself.exe()
    found = []
    for each in _children() - before:
        with contextlib.suppress(psutil.Error, OSError):
            # Chromium's helpers, which it starts when it likes, hide their environment.
            if each.environ().get(TAG) == ours and each.exe() == program:
                found.append(each)
    return found


@contextlib.contextmanager
def watched(name: str) -> Iterator[str]:
    """Tag what is started inside; at the end, end what is left of it and fail.

    Yields the tag. The one around it is in force again afterwards.
    """
    outer = os.environ.get(TAG)
    tag = f"{outer}/{name}" if outer else name
    before = _children()
    os.environ[TAG] = tag
    try:
        yield tag
    finally:
        if outer is None:
            del os.environ[TAG]
        else:
            os.environ[TAG] = outer
        left = end(tag, before)
    if left:
        pytest.fail("processes were left running: " + "; ".join(left), pytrace=False)


def end(tag: str, before: set[psutil.Process]) -> list[str]:
    """Give processes :data:`GRACE` to end, then kill what is left; return what that was."""
    deadline = time.monotonic() + GRACE
    while (found := tagged(tag) + _forked(before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = {each.pid: _describe(each) for each in found}
    # Again and again, for what forks while it is being killed. Reaping is left to who started it.
    while found:
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        time.sleep(0.02)
        found = tagged(tag) + _forked(before)
        left |= {each.pid: _describe(each) for each in found}
    return [f"{pid} {text}" for pid, text in left.items()]


def _describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        return f"({process.status()}) {' '.join(process.cmdline())[:160]}"
    return "(gone)"
