"""Voilà for the tests: a directory of notebooks as applications."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.browser.server import Server, serving

#: They need JupyterLab; elsewhere they write to the console that they failed.
LAB_ONLY = (
    "@jupyter-notebook/lab-extension",
    "@jupyterhub/jupyter-server-proxy",
    "dask-labextension",
    "ipyparallel-labextension",
)


@dataclass(frozen=True)
class Voila(Server):
    """A server of Voilà."""

    def url(self, path: str, theme: str = "light") -> str:
        """Return the address of a notebook as an application."""
        return f"{self.address}/voila/render/{path}?token={self.token}&theme={theme}"


@contextlib.contextmanager
def voila_server(notebooks: Path, home: Path) -> Iterator[Voila]:
    """Run Voilà on a directory of notebooks; the log goes to `home`."""
    server = Voila.new(notebooks, home)
    options = {
        "Voila.ip": "127.0.0.1",
        "Voila.port": server.port,
        "Voila.port_retries": 0,
        "Voila.open_browser": False,
        "Voila.auto_token": True,
        "VoilaConfiguration.show_tracebacks": True,
        "VoilaConfiguration.extension_denylist": list(LAB_ONLY),
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "voila", *words, str(notebooks)]
    with serving(server, command, home, "/login"):
        yield server
