"""The zygote: a fork of the hub that forks guards, so that a worker starts without an import.

The hub has imported all that a worker needs before it starts a thread or an
event loop; its fork at that moment can fork again at any time. A guard, its
worker and its cell process then share that memory, and start in milliseconds.
Linux only: elsewhere a guard is a fresh interpreter (:func:`spawn_guard`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from gridnb.providers import guard

__all__ = ["Zygote", "spawn_guard"]

_MAX = 1 << 20


class Zygote:
    """Hub-side handle. Create it before any thread or event loop exists."""

    def __init__(self, log: int) -> None:
        if threading.active_count() != 1:
            raise RuntimeError("a zygote must be forked before any thread is started")
        gc.collect()
        gc.freeze()  # a collection would write to shared pages, and so copy them
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _serve(theirs, log)
        theirs.close()
        self._socket = ours

    def start(self, order: dict[str, Any]) -> socket.socket:
        """Fork a guard for the order; returns the hub's end of its channel."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._socket, [json.dumps(order).encode()], [theirs.fileno()])
        return ours

    def sweep(self, guards: set[int]) -> None:
        """Kill what a guard that was killed has left: it came back under the zygote."""
        spared = set(guards)
        for pid in guards:
            spared |= guard.descendants(pid)
        for pid in guard.descendants(self.pid) - spared:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the zygote end; the guards that it forked go on."""
        self._socket.close()
        os.waitpid(self.pid, 0)


def _serve(orders: socket.socket, log: int) -> None:
    status = 0
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards are reaped by the system
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        guard.prctl(36, 1)  # what a killed guard leaves comes back here, and is swept
        _close_others(orders.fileno())
        while True:
            data, fds, _, _ = socket.recv_fds(orders, _MAX, 1)
            if not data:
                break
            if _fork() == 0:
                orders.close()
                os.setsid()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                guard.main(json.loads(data), socket.socket(fileno=fds[0]))
                break
            for fd in fds:
                os.close(fd)
    except BaseException:  # noqa: BLE001 - never return into the hub's code
        import traceback

        traceback.print_exc()
        status = 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def _fork() -> int:
    """Fork; without room for a process the order is dropped, and its channel closes."""
    try:
        return os.fork()
    except OSError:
        return -1


def _close_others(keep: int) -> None:
    """Close what the hub had open (its ready pipe above all), except the standard streams."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 1024)


def spawn_guard(order: dict[str, Any], log: int) -> socket.socket:
    """Start a guard as a fresh interpreter of the standard library alone."""
    ours, theirs = socket.socketpair()
    order = {**order, "exec": [sys.executable, "-m", "gridnb.providers.entry"]}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", guard.__file__, str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.close()
    threading.Thread(target=process.wait, daemon=True).start()
    return ours
