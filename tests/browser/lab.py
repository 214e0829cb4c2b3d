"""A JupyterLab server for the tests: an own port, own settings, an own directory of notebooks."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: JupyterLab is up in 2 to 10 s; after this it will not be.
PATIENCE = 90.0

#: What a fresh JupyterLab would interrupt a user with: the question about news, an autosave
#: that finds the file changed.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}


@dataclass(frozen=True)
class Lab:
    """A running server."""

    port: int
    token: str
    notebooks: Path
    log: Path

    def url(self, path: str) -> str:
        """Return the address of a notebook in JupyterLab, in a workspace of its own."""
        workspace = secrets.token_hex(4)
        return (
            f"http://127.0.0.1:{self.port}/lab/workspaces/{workspace}/tree/{path}"
            f"?token={self.token}"
        )


@contextlib.contextmanager
def jupyterlab(notebooks: Path, home: Path) -> Iterator[Lab]:
    """Run JupyterLab on a directory of notebooks; settings and log go to `home`."""
    home.mkdir(parents=True, exist_ok=True)
    for name, values in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    lab = Lab(_free_port(), secrets.token_hex(16), notebooks, home / "jupyterlab.log")
    with lab.log.open("wb") as log:
        server = subprocess.Popen(
            _command(lab, home), env=_environment(lab, home), stdout=log, stderr=log
        )
    try:
        _wait(lab, server)
        yield lab
    finally:
        # It ends its kernels first; what does not end is for the leak fixture to find.
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _command(lab: Lab, home: Path) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": lab.port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": lab.notebooks,
        "LabApp.user_settings_dir": home / "settings",
        "LabApp.workspaces_dir": home / "workspaces",
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    command = [sys.executable, "-m", "jupyterlab"]
    return [*command, *(f"--{name}={value}" for name, value in options.items())]


def _environment(lab: Lab, home: Path) -> dict[str, str]:
    own = {
        # Not on the command line, where every user of the machine could read it.
        "JUPYTER_TOKEN": lab.token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    return {**os.environ, **own}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(lab: Lab, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"http://127.0.0.1:{lab.port}/api", timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{lab.log.read_text(errors='replace')}")
