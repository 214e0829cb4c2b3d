"""JupyterLab and Notebook 7 for the tests: two front ends that are made of the same parts."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.browser.server import Server, serving

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

#: dask-labextension needs JupyterLab; elsewhere it writes to the console that it failed.
NOT_IN_NOTEBOOK = {"disabledExtensions": {"dask-labextension": True}}


@dataclass(frozen=True)
class Lab(Server):
    """A server of JupyterLab."""

    def url(self, path: str) -> str:
        """Return the address of a notebook, in a workspace of its own."""
        workspace = secrets.token_hex(4)
        return f"{self.address}/lab/workspaces/{workspace}/tree/{path}?token={self.token}"


@dataclass(frozen=True)
class Notebook7(Server):
    """A server of Jupyter Notebook 7."""

    #: Its editor of shortcuts hears of settings before it has loaded its own.
    own_errors = ("exception: Cannot read properties of undefined (reading 'schema')",)

    def url(self, path: str) -> str:
        """Return the address of a notebook."""
        return f"{self.address}/notebooks/{path}?token={self.token}"


@contextlib.contextmanager
def jupyterlab(notebooks: Path, home: Path) -> Iterator[Lab]:
    """Run JupyterLab on a directory of notebooks; settings and log go to `home`."""
    options = {
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    lab = Lab.new(notebooks, home)
    with serving(lab, _command("jupyterlab", "LabApp", lab, home, options), home, "/api"):
        yield lab


@contextlib.contextmanager
def notebook_7(notebooks: Path, home: Path) -> Iterator[Notebook7]:
    """Run Notebook 7 on a directory of notebooks; settings and log go to `home`."""
    server = Notebook7.new(notebooks, home)
    _write(home / "config" / "labconfig" / "page_config.json", NOT_IN_NOTEBOOK)
    with serving(server, _command("notebook", "JupyterNotebookApp", server, home), home, "/api"):
        yield server


def _command(
    module: str, app: str, server: Server, home: Path, more: dict[str, object] | None = None
) -> list[str]:
    for name, values in SETTINGS.items():
        _write(home / "settings" / f"{name}.jupyterlab-settings", values)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": server.port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": server.notebooks,
        f"{app}.user_settings_dir": home / "settings",
        f"{app}.workspaces_dir": home / "workspaces",
        f"{app}.expose_app_in_browser": True,
        **(more or {}),
    }
    return [sys.executable, "-m", module, *(f"--{name}={is_}" for name, is_ in options.items())]


def _write(path: Path, values: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
