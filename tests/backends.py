"""Programs that some tests need and that pip does not install."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Backend:
    """A program under any of its names, and how to get it."""

    commands: tuple[str, ...]
    install: str


BACKENDS = {
    "chromium": Backend(
        commands=("chromium", "chromium-browser", "google-chrome"),
        install="apt-get install chromium (macOS: brew install chromium)",
    ),
}


def backend(name: str) -> str:
    """Return the path of a program; without it, skip the test and say what to install.

    With GRIDNB_REQUIRE_BACKENDS=1, as in CI, the test fails instead.
    """
    wanted = BACKENDS[name]
    for command in wanted.commands:
        if path := shutil.which(command):
            return path
    reason = f"needs {name}: {wanted.install}"
    if os.environ.get("GRIDNB_REQUIRE_BACKENDS") == "1":
        pytest.fail(f"{reason}; GRIDNB_REQUIRE_BACKENDS=1 allows no skip", pytrace=False)
    pytest.skip(reason)
