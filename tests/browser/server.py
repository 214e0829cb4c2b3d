"""A Jupyter server for the tests: an own port, own settings, an own directory of notebooks."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

#: A server is up in 2 to 10 s; after this it will not be.
PATIENCE = 90.0


@dataclass(frozen=True)
class Server:
    """A running server; a front end says what the address of a notebook is.

    `own_errors` are what the front end's pages say of themselves, whatever is shown in them.
    """

    own_errors: ClassVar[tuple[str, ...]] = ()

    port: int
    token: str
    notebooks: Path
    log: Path

    @classmethod
    def new(cls, notebooks: Path, home: Path) -> Server:
        """Choose a port and a token; the log goes to `home`."""
        home.mkdir(parents=True, exist_ok=True)
        return cls(_free_port(), secrets.token_hex(16), notebooks, home / "server.log")

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(server: Server, command: list[str], home: Path, ready: str) -> Iterator[None]:
    """Run a command that is a server, from when `ready`, a path of it, is answered."""
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command, env=_environment(server, home), stdout=log, stderr=log, cwd=server.notebooks
        )
    try:
        _wait(server, process, ready)
        yield
    finally:
        # It ends its kernels first; what does not end is for the leak fixture to find.
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(server: Server, home: Path) -> dict[str, str]:
    own = {
        # Not on the command line, where every user of the machine could read it.
        "JUPYTER_TOKEN": server.token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    return {**os.environ, **own}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, process: subprocess.Popen[bytes], ready: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{server.address}{ready}", timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{server.log.read_text(errors='replace')}")
