"""The guard alone: a fresh interpreter of the standard library, with a worker of our own making."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gridnb.providers.guard import clock, read_record
from gridnb.providers.zygote import spawn_guard
from tests.grids import until

_WORKER = """
import os, sys, time
def main(spec):
    open(spec["flag"], "a").write(f"{os.getpid()}\\n")
    if spec["how"] == "crash":
        return 3
    if spec["how"] == "daemon" and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open(spec["flag"], "a").write(f"{os.getpid()}\\n")
            time.sleep(600)
        os._exit(0)
    if spec["how"] == "terminates":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        os.kill(child, 15)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        open(spec["flag"], "a").write(f"{code}\\n")
    time.sleep(600)
"""


class _Guard:
    def __init__(self, place: Path, how: str, seconds: float) -> None:
        self.flag = place / "flag"
        self.record = place / "record.json"
        (place / "a_worker.py").write_text(_WORKER)
        order = {
            "grid": "g",
            "lease": "l",
            "worker": "w",
            "site": "s",
            "offer": "o",
            "hold": "h1",
            "end": clock() + seconds,
            "record": str(self.record),
            "entry": "a_worker:main",
            "spec": {"flag": str(self.flag), "how": how},
            "cell_entry": "a_worker:main",
        }
        log = os.open(place / "log", os.O_CREAT | os.O_WRONLY)
        self.channel: socket.socket = spawn_guard(order, log)
        os.close(log)
        self.file = self.channel.makefile("r")

    def send(self, op: str, **more: Any) -> None:
        self.channel.sendall(json.dumps({"op": op, **more}).encode() + b"\n")

    def hear(self, op: str) -> dict[str, Any]:
        for line in self.file:
            message = json.loads(line)
            if message["op"] == op:
                return message
        raise AssertionError(f"the guard ended without saying {op}")

    def pids(self) -> list[int]:
        return [int(line) for line in self.flag.read_text().split()] if self.flag.exists() else []


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made: list[_Guard] = []

    def make(how: str = "sleep", seconds: float = 30.0) -> _Guard:
        made.append(_Guard(tmp_path, how, seconds))
        return made[-1]

    yield make
    for each in made:
        each.channel.close()
        each.file.close()


def test_the_end_comes_and_a_renewal_moves_it(guard: Any) -> None:
    mine = guard(seconds=3.0)
    started = mine.hear("started")
    until(mine.pids)
    end = clock() + 5.0
    mine.send("renew", end=end, hold="h2")
    ended = mine.hear("ended")
    assert ended["reason"] == "end of the paid term"
    assert ended["t"] >= end
    record = read_record(str(mine.record))
    assert record is not None
    assert record["ended"]
    assert record["up"] == pytest.approx(ended["t"] - started["t"], abs=0.5)
    assert [e["hold"] for e in record["events"] if e["event"] in ("started", "renew")] == [
        "h1",
        "h2",
    ]
    assert not psutil.pid_exists(mine.pids()[0])


def test_a_lost_hub_ends_it_at_once(guard: Any) -> None:
    mine = guard()
    pids = until(mine.pids)
    mine.file.close()
    mine.channel.close()
    until(lambda: not psutil.pid_exists(pids[0]))
    record = until(lambda: (r := read_record(str(mine.record))) and r["ended"] and r)
    assert record["events"][-1]["reason"] == "hub lost"


def test_a_worker_that_crashes_is_started_again_and_then_given_up(guard: Any) -> None:
    mine = guard("crash")
    ended = mine.hear("ended")
    assert "exit code 3" in ended["reason"]
    assert len(mine.pids()) == 6


def test_respawn_and_stop(guard: Any) -> None:
    mine = guard()
    first = until(mine.pids)[0]
    mine.send("respawn")
    until(lambda: len(mine.pids()) == 2)
    assert not psutil.pid_exists(first)
    mine.send("stop", grace=0, reason="enough")
    assert mine.hear("ended")["reason"] == "enough"


def test_a_guard_that_fails_leaves_nothing_behind(guard: Any) -> None:
    mine = guard("daemon")
    worker, daemon = until(lambda: len(mine.pids()) == 2 and mine.pids())
    mine.send("renew")  # without an end: a message that no hub sends
    until(lambda: not psutil.pid_exists(worker) and not psutil.pid_exists(daemon))


def test_a_worker_that_is_told_to_end_can_end_its_own_children(guard: Any) -> None:
    mine = guard("terminates")
    until(lambda: len(mine.pids()) == 2)
    assert mine.pids()[1] == -15


def test_it_is_small() -> None:
    """Nothing but the standard library, so that it can be sent to a site as it is."""
    code = (
        "import sys; before = set(sys.modules); import runpy;"
        "runpy.run_path(sys.argv[1], run_name='guard');"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    import subprocess

    from gridnb.providers import guard as module

    assert module.__file__ is not None
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, module.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= sys.stdlib_module_names
