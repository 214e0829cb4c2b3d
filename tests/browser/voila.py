"""Voilà for the tests: a directory of notebooks as applications."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.browser.server import Server, serving

GIVEN_UP = 15  # seconds


@dataclass(frozen=True)
class Voila(Server):
    """A server of Voilà."""

    def url(self, path: str, theme: str = "light") -> str:
        """Return the address of a notebook as an application."""
        return f"{self.address}/voila/render/{path}?token={self.token}&theme={theme}"


@contextlib.contextmanager
def voila_server(notebooks: Path, home: Path) -> Iterator[Voila]:
    """Run Voilà on a directory of notebooks; the log goes to `home`.

    As `gridnb app` does it, but that a page which is gone without a word is given up sooner.
    """
    server = Voila.new(notebooks, home)
    words = [str(notebooks), str(server.port), str(GIVEN_UP)]
    command = [sys.executable, "-m", "gridnb.cli.page", *words]
    with serving(server, command, home, "/login"):
        yield server
