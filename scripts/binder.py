#!/usr/bin/env python3
"""Build the environment of binder/ in a clean directory, and run every notebook there.

    scripts/binder.py DIRECTORY

As on Binder: the tracked files alone, a virtual environment of the versions that
binder/requirements.txt names, then binder/postBuild. The notebooks run one after the other
beside a JupyterLab server, on one core, without a network (as root on Linux), and all
processes together may take 1 GiB of memory at most.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 2**30
TAG = "GRIDNB_BINDER_RUN"
PATIENCE = 600  # seconds that a notebook may take


def main() -> int:
    """Build and run; returns the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        print(f"{place} is not empty; name a directory that is, or does not exist yet")
        return 2
    repository, python = place / "repository", build(place)
    offline = leave_network()
    print("without a network" if offline else "with the network (to leave it takes root on Linux)")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return run(python, repository)


def build(place: Path) -> Path:
    """Copy the tracked files and install as repo2docker does; returns the interpreter."""
    repository = place / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", "binder/requirements.txt"], cwd=repository, check=True)
    own = {**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["binder/postBuild"], cwd=repository, env=own, check=True)
    return python


def leave_network() -> bool:
    """Move this process, and what it starts, to where only the loopback is; needs root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        up = struct.pack("16sH14s", b"lo", 0x1, b"")  # IFF_UP
        fcntl.ioctl(sock, 0x8914, up)  # SIOCSIFFLAGS
    return True


class Memory(threading.Thread):
    """Watches how much memory all tagged processes have, shared pages counted once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        """Look twice a second."""
        while True:
            self.peak = max(self.peak, sum(map(_pss, _tagged())))
            time.sleep(0.5)


def _tagged() -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{TAG}=1".encode() in (path / "environ").read_bytes():
                found.append(path)
        except OSError:
            continue  # it has just ended, or is another user's
    return found


def _pss(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def run(python: Path, repository: Path) -> int:
    """Run the notebooks beside a server; returns 1 if one fails or the memory is passed."""
    own = {
        **os.environ,
        TAG: "1",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(repository.parent),
        "XDG_RUNTIME_DIR": str(_private(repository.parent / "runtime")),
        "JUPYTER_TOKEN": "binder",
    }
    server = subprocess.Popen(
        [python, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"],
        cwd=repository,
        env=own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    memory = Memory()
    memory.start()
    failed = 0
    try:
        for notebook in sorted((repository / "notebooks").glob("*.ipynb")):
            failed += not _execute(python, notebook, own, memory)
    finally:
        server.terminate()
        server.wait()
        _end()
    return 1 if failed else 0


def _private(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _execute(python: Path, notebook: Path, own: dict[str, str], memory: Memory) -> bool:
    began, memory.peak = time.monotonic(), 0
    command = [python, "-m", "jupyter", "execute", f"--timeout={PATIENCE}", notebook.name]
    done = subprocess.run(command, cwd=notebook.parent, env=own, stderr=subprocess.PIPE, text=True)
    took, peak = time.monotonic() - began, memory.peak
    fits = peak <= LIMIT
    state = "ok" if done.returncode == 0 and fits else "FAILED"
    print(
        f"{state:6} {notebook.name:36} {took:5.0f} s  {peak / 2**20:5.0f} MiB at most", flush=True
    )
    if done.returncode:
        print(done.stderr[-4000:])
    return state == "ok"


def _end() -> None:
    """End what a notebook has left behind."""
    for path in _tagged():
        if int(path.name) != os.getpid():
            os.kill(int(path.name), signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
