"""The guard: starts one worker and ends it, with all its descendants, at the end of the paid term.

A guard is a process in a session of its own with nothing but the standard
library at work in it. It does not trust anybody to be alive: not the worker
(which may hold the GIL), not the hub (which may be stopped), not the network.
It knows one time, on a clock that runs through suspend, and only a message on
its own channel, which carries the hold that pays for it, moves that time.

It keeps a record of up-time in a file, from which a lost hub's holds are
settled: a first line of fixed width that is rewritten in place (seconds up so
far), then a JSON line an event.

Channel messages are JSON lines. To the guard: ``renew`` (end, hold), ``stop``
(grace), ``notice`` (end), ``respawn``, ``cell``, ``signal-cell`` (signal). From the guard:
``started``, ``up``, ``exit``, ``cell-ready``, ``run-start``, ``run-stop``,
``cell-exit``, ``ended``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

__all__ = ["Guard", "clock", "main", "read_record"]

TICK = 0.2  # seconds; after a suspend the end is noticed within this
RESPAWNS = 5
_WIDTH = 96
_LINUX = sys.platform == "linux"


def clock() -> float:
    """Return seconds since boot, suspended time included where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def prctl(option: int, value: int) -> None:
    """Set a process attribute (Linux): 1 is PDEATHSIG, 36 CHILD_SUBREAPER."""
    if _LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def parents() -> dict[int, int]:
    """Return {pid: parent's pid} of all processes that can be seen."""
    if not _LINUX:
        text = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        return {int(a): int(b) for a, b in (line.split() for line in text.splitlines())}
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            # It may end while we look.
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def descendants(root: int) -> set[int]:
    """Return the pids below `root` that still run, root left out."""
    tree = parents()
    below: set[int] = set()
    grown = {root}
    while grown:
        grown = {pid for pid, parent in tree.items() if parent in grown and pid not in below}
        below |= grown
    return below


class Guard:
    """One worker's guard. `order` is what the hub asked for, `channel` the socket to it.

    Keys of the order: ``worker``, ``grid``, ``lease``, ``site``, ``offer``,
    ``owner``, ``hold``, ``end`` (seconds of :func:`clock`), ``record`` (path), ``delay``
    (seconds before the worker starts), ``entry`` and ``spec`` of the worker,
    ``cell_entry`` and ``cell_spec`` of the cell process.
    """

    def __init__(self, order: dict[str, Any], channel: socket.socket) -> None:
        self.order = order
        self.channel = channel
        self.end: float = order["end"]
        self.started = clock()
        self.wanted_stop: str | None = None
        self.kill_at: float | None = None
        self.worker = 0
        self.cells: dict[int, int] = {}
        self.launch_at: float | None = self.started + order.get("delay", 0)
        self.respawns = 0
        self.last_up = 0.0
        self.exit_status = 0
        self.selector = selectors.DefaultSelector()
        self.buffers: dict[int, bytes] = {}
        self.unsent = b""
        self.record = os.open(order["record"], os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)

    # record and messages

    def note(self, event: str, **more: Any) -> None:
        """Append an event to the record and force it to disk."""
        line = json.dumps({"event": event, "wall": time.time(), "clock": clock(), **more})
        os.lseek(self.record, 0, os.SEEK_END)
        os.write(self.record, line.encode() + b"\n")
        os.fsync(self.record)

    def mark(self, ended: bool = False) -> float:
        """Rewrite the fixed first line: seconds up so far, and whether that is final."""
        up = clock() - self.started
        line = json.dumps({"up": round(up, 6), "wall": round(time.time(), 6), "ended": ended})
        os.pwrite(self.record, line.ljust(_WIDTH - 1).encode() + b"\n", 0)
        return up

    def send(self, op: str, **more: Any) -> None:
        """Tell the hub; what a stopped hub does not take yet waits (it is little)."""
        self.unsent += json.dumps({"op": op, "t": clock(), **more}).encode() + b"\n"
        try:
            while self.unsent:
                self.unsent = self.unsent[self.channel.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.unsent = b""
            self.stop_now("hub lost")

    # children

    def spawn(self, entry: str, spec: dict[str, Any], report: bool) -> int:
        """Start `entry` ("module:function") with `spec` in a child that dies with the guard."""
        read, write = os.pipe() if report else (-1, -1)
        if "exec" in self.order:
            pid = self._exec(entry, spec, write)
        else:
            pid = os.fork()
            if pid == 0:
                self._child(entry, spec, read, write)
        if report:
            os.close(write)
            self.buffers[read] = b""
            self.selector.register(read, selectors.EVENT_READ, ("report", pid))
        return pid

    def _child(self, entry: str, spec: dict[str, Any], read: int, write: int) -> None:
        status = 1
        try:
            prctl(1, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.selector.close()
            self.channel.close()
            os.close(self.record)
            if read >= 0:
                os.close(read)
            status = run_entry(entry, spec, write)
        except BaseException:  # noqa: BLE001 - the child must never return into the guard's loop
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _exec(self, entry: str, spec: dict[str, Any], write: int) -> int:
        command = [*self.order["exec"], entry, json.dumps(write)]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[write] if write >= 0 else []
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(spec).encode())
        child.stdin.close()
        return child.pid

    def launch(self) -> None:
        """Start the worker."""
        self.launch_at = None
        self.worker = self.spawn(self.order["entry"], self.order["spec"], report=False)
        self.note("worker", pid=self.worker)
        self.send("worker", pid=self.worker)

    def reap(self) -> None:
        """Collect children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.worker:
                self._worker_gone(os.waitstatus_to_exitcode(status))
            elif pid in self.cells:
                self.send("cell-exit", cell=self.cells.pop(pid), pid=pid)

    def _worker_gone(self, code: int) -> None:
        """A worker that went unasked comes back, within the term that is paid for."""
        self.worker = 0
        self.exit_status = code
        self.note("exit", code=code)
        self.send("exit", code=code)
        if self.wanted_stop:
            return
        self.respawns += 1
        if self.respawns > RESPAWNS:
            self.stop_now(f"the worker ended {self.respawns} times, last with exit code {code}")
        else:
            self.launch_at = clock() + min(0.1 * 2**self.respawns, 2)

    # what the hub says

    def handle(self, message: dict[str, Any]) -> None:
        """Do what the hub says."""
        op = message["op"]
        if op == "renew":
            self.end = message["end"]
            self.note("renew", end=self.end, hold=message["hold"])
        elif op == "stop":
            self.wanted_stop = message.get("reason", "released")
            self.launch_at = None
            wanted = clock() + message.get("grace", 0)
            self.kill_at = min(self.kill_at, wanted) if self.kill_at is not None else wanted
            self.signal_worker(signal.SIGTERM)
        elif op == "notice":  # no signal: it is emptied until then
            self.wanted_stop = message["reason"]
            self.kill_at = min(self.kill_at or message["end"], message["end"])
        elif op == "respawn":
            self.respawns -= 1
            self.signal_worker(signal.SIGKILL)
        elif op == "cell":
            pid = self.spawn(self.order["cell_entry"], message["spec"], report=True)
            self.cells[pid] = message["cell"]
        elif op == "signal-cell":
            for pid, cell in self.cells.items():
                if cell == message["cell"]:
                    self._signal_cell(pid, message["signal"])

    def _signal_cell(self, pid: int, number: int) -> None:
        below = descendants(pid) if number == signal.SIGKILL else set()
        for each in {pid, *below}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)

    def signal_worker(self, number: int) -> None:
        """Send a signal to the worker, if there is one."""
        if self.worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker, number)

    def stop_now(self, reason: str) -> None:
        """End everything at the next turn of the loop."""
        if self.wanted_stop is None:
            self.wanted_stop = reason
        self.kill_at = clock()

    # the loop

    def run(self) -> None:
        """Serve until the worker is to end, then end it and everything below it."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop_now("the guard was asked to end"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake_write)
        self.channel.setblocking(False)
        self.selector.register(self.channel, selectors.EVENT_READ, ("hub", 0))
        self.selector.register(wake_read, selectors.EVENT_READ, ("wake", 0))
        self.buffers[self.channel.fileno()] = b""
        self.mark()
        keep = ("grid", "lease", "worker", "site", "offer", "hold", "end")
        self.note("started", pid=os.getpid(), **{k: self.order[k] for k in keep})
        self.send("started", pid=os.getpid())
        while not self.over():
            for key, _ in self.selector.select(TICK):
                self.ready(key.fd, *key.data)
            self.reap()
            now = clock()
            if self.launch_at is not None and now >= self.launch_at:
                self.launch()
            if now - self.last_up >= 1:
                self.last_up = now
                self.send("up", up=self.mark())
        self.finish()

    def over(self) -> bool:
        """Whether it is time to end the worker."""
        now = clock()
        if now >= self.end:
            self.wanted_stop = self.wanted_stop or "end of the paid term"
            return True
        if self.kill_at is not None and (now >= self.kill_at or not self.worker):
            return True
        return False

    def ready(self, fd: int, kind: str, pid: int) -> None:
        """Read what has come on a descriptor."""
        if kind == "wake":
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)
            return
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(fd)
            if kind == "hub":
                self.stop_now("hub lost")
            else:
                os.close(fd)
            return
        for message in self.lines(fd, data):
            if kind == "hub":
                self.handle(message)
            else:
                self.pass_on(pid, message)

    def pass_on(self, pid: int, message: dict[str, Any]) -> None:
        """Tell the hub what a cell process reports."""
        self.send(str(message.pop("op")), cell=self.cells.get(pid), **message)

    def lines(self, fd: int, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that are complete with this data."""
        *whole, self.buffers[fd] = (self.buffers[fd] + data).split(b"\n")
        for line in whole:
            message = _parsed(line)
            if message is not None:
                yield message

    def kill_below(self) -> None:
        """SIGKILL all that is below, until nothing is."""
        while below := descendants(os.getpid()):
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.005)

    def finish(self) -> None:
        """End everything below, then write the end down."""
        self.kill_below()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        up = self.mark(ended=True)
        cpu = usage.ru_utime + usage.ru_stime
        self.note("ended", reason=self.wanted_stop, cpu=cpu, code=self.exit_status)
        self.send("ended", up=up, reason=self.wanted_stop, cpu=cpu, code=self.exit_status)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read a message; a body can write anything to the descriptor of its process's reports."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "op" in message else None


def run_entry(entry: str, spec: dict[str, Any], write: int) -> int:
    """Import ``module:function`` and call it with the spec (and the report pipe, if any)."""
    module, _, name = entry.partition(":")
    __import__(module)
    function = getattr(sys.modules[module], name)
    return int((function(spec) if write < 0 else function(spec, write)) or 0)


def read_record(path: str) -> dict[str, Any] | None:
    """Read a guard's record: the first line's ``up``, ``wall``, ``ended``, and ``events``.

    Returns None for a record that was never begun.
    """
    with open(path, "rb") as file:
        head = file.read(_WIDTH)
        rest = file.read()
    if len(head) < _WIDTH:
        return None
    record: dict[str, Any] = json.loads(head)
    events = []
    for line in rest.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:  # cut off while it was written: the last line, never committed
            break
    return {**record, "events": events}


def main(order: dict[str, Any], channel: socket.socket) -> None:
    """Become the guard of a worker; returns when the worker has ended."""
    prctl(36, 1)  # daemonized grandchildren come back under the guard, so that it finds them
    os.environ["GRIDNB_WORKER"] = order["worker"]
    os.environ["GRIDNB_GRID"] = order["grid"]
    guard = Guard(order, channel)
    try:
        guard.run()
    except BaseException:  # a full disk, no more processes: nothing may be left behind
        guard.kill_below()
        raise


if __name__ == "__main__":
    if os.getsid(0) != os.getpid():
        os.setsid()
    main(json.loads(sys.stdin.readline()), socket.socket(fileno=int(sys.argv[1])))
