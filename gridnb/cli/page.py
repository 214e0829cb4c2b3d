"""The process of Voilà behind ``gridnb app``: ``python -m gridnb.cli.page PATH PORT [SECONDS]``.

PATH is a notebook, or a directory of them. It listens on this machine alone, for who has the
token in ``JUPYTER_TOKEN``. The kernel of a page ends when the page is closed, or after
SECONDS in which nobody had it open.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["HIDDEN", "LAB_ONLY", "main"]

GIVEN_UP = 60  # seconds

#: The tag of cells that are for readers of the notebook, not for users of the page.
HIDDEN = "remove-cell"

#: Extensions of JupyterLab that write errors to the console of any other page.
LAB_ONLY = (
    "@jupyter-notebook/lab-extension",
    "@jupyterhub/jupyter-server-proxy",
    "dask-labextension",
    "ipyparallel-labextension",
)


def main() -> None:
    """Serve until the process is ended."""
    from traitlets.config import Config
    from voila.app import Voila

    path, port, *rest = sys.argv[1:]
    given_up = int(rest[0]) if rest else GIVEN_UP
    settings = {
        "Voila": {
            "ip": "127.0.0.1",
            "port": int(port),
            "port_retries": 0,
            "open_browser": False,
            "auto_token": True,
            "log_level": "ERROR",
        },
        "VoilaConfiguration": {"extension_denylist": list(LAB_ONLY), "prelaunch_hook": _cookie},
        "TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": {HIDDEN}},
        "MappingKernelManager": {
            "cull_idle_timeout": given_up,
            "cull_interval": max(given_up // 4, 1),
        },
    }
    Voila.launch_instance(argv=[path], config=Config(settings))


def _cookie(request: Any, notebook: Any, cwd: str) -> None:
    """Give the page the cookie without which it may not say later that it is closed."""
    assert request.xsrf_token


if __name__ == "__main__":
    main()
