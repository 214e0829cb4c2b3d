"""``gridnb app``: a notebook as a page with a form, served by Voilà."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from argparse import Namespace
from pathlib import Path

from gridnb.cli.screen import console, write_json
from gridnb.errors import GridError, RequestError

__all__ = ["app"]

PORT = 8866
PATIENCE = 60.0  # seconds until the server has to listen


def app(arguments: Namespace) -> int:
    """Serve a notebook until Ctrl-C; 1 if the server ends by itself.

    Raises
    ------
    GridError
        If there is no such notebook, Voilà is not installed, or the port is taken.
    """
    path = Path(arguments.notebook)
    _check(path)
    port = _port(arguments.port)
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        # Not on the command line, where every user of the machine could read it.
        "JUPYTER_TOKEN": token,
        "GRIDNB_NOTEBOOK": str(path.absolute()),
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(
        [sys.executable, "-m", "gridnb.cli.page", str(path), str(port)], env=environment
    )
    try:
        _wait(server, port)
        address = f"http://localhost:{port}/?token={token}"
        _say(path, address, as_json=arguments.json)
        if not arguments.no_browser:
            webbrowser.open(address)
        return int(server.wait() != 0)
    except KeyboardInterrupt:
        return 0
    finally:
        # It ends its kernels first, and each of them its grid.
        server.terminate()
        server.wait()


def _say(path: Path, address: str, *, as_json: bool) -> None:
    if as_json:
        write_json({"notebook": str(path), "address": address})
    else:
        console().print(f"{path.name} is at\n{address}\nCtrl-C ends it.", markup=False)
    sys.stdout.flush()


def _check(path: Path) -> None:
    if path.suffix != ".ipynb":
        raise RequestError(f"{path} is no notebook: its name does not end in .ipynb")
    if not path.is_file():
        raise RequestError(f"there is no notebook {path}")
    if importlib.util.find_spec("voila") is None:
        raise GridError("gridnb app needs voila; install it with `pip install 'gridnb[app]'`")


def _port(given: str | None) -> int:
    """Return the port that was asked for, or the usual one, or else any that is free."""
    if given is None:
        return PORT if _free(PORT) else _any_port()
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 65536:
        raise RequestError(f"--port: {given!r} is no port; write a number from 1 to 65535")
    if not _free(int(given)):
        raise RequestError(f"--port {given}: something listens there already; name another one")
    return int(given)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise GridError("the server of the app did not start; what it says stands above")
