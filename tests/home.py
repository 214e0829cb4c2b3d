"""A home of their own for the tests: they never touch the user's ledger, hubs or settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

#: What pytest was started with, for commands that need the user's package caches and settings.
OUTER = dict(os.environ)

ROOT = Path(__file__).parent.parent

KEPT = {"GRIDNB_REQUIRE_BACKENDS"}
OWN = ("DASK_", "GRIDNB_", "IPYTHON", "JUPYTER")


def move_in() -> Path:
    """Point every variable that leads to the user's files into a new directory; return it.

    Must come before dask is imported, which reads its settings then. The path is
    short, since a Unix socket's may have no more than about 100 characters.
    """
    home = Path(tempfile.mkdtemp(prefix="gridnb-", dir="/tmp" if Path("/tmp").is_dir() else None))
    for name in list(os.environ):
        if name.startswith(OWN) and name not in KEPT:
            del os.environ[name]
    # Without their bytecode the many processes of the tests start several times slower.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    places = {
        "HOME": home,
        "XDG_CACHE_HOME": home / "cache",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "data",
        "XDG_RUNTIME_DIR": home / "run",
        "XDG_STATE_HOME": home / "state",
        "DASK_CONFIG": home / "config" / "dask",
        "IPYTHONDIR": home / "ipython",
        # Kept from run to run: matplotlib takes seconds to list the fonts anew.
        "MPLCONFIGDIR": ROOT / ".pytest_cache" / "matplotlib",
    }
    for name, path in places.items():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ[name] = str(path)
    return home
