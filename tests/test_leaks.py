"""The fixture that ends what a test leaves behind does so, and says it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests import leaks
from tests.home import ROOT

Failed = pytest.fail.Exception


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.2)


def leave(number: str) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own."""
    return subprocess.Popen(["sleep", number], start_new_session=True)


def fail_after(start, name: str):
    """Call `start` in a watched block; return what that returned and what the block failed with."""
    found = []

    def block():
        with leaks.watched(name):
            found.append(start())

    with pytest.raises(Failed) as failure:
        block()
    return found[0], str(failure.value)


def test_a_child_is_ended_and_named():
    child, message = fail_after(lambda: leave("61"), "child")
    assert "sleep 61" in message
    assert child.wait(5) == -signal.SIGKILL


def test_an_orphan_is_found():
    done, message = fail_after(lambda: subprocess.run(["sh", "-c", "sleep 62 & exit"]), "orphan")
    assert done.returncode == 0
    assert "sleep 62" in message
    assert not leaks.tagged(f"{os.environ[leaks.TAG]}/orphan")


def test_a_stopped_process_is_ended():
    def stopped():
        child = leave("63")
        child.send_signal(signal.SIGSTOP)
        return child

    child, message = fail_after(stopped, "stopped")
    assert "(stopped)" in message
    assert child.wait(5) == -signal.SIGKILL


def test_a_forked_child_is_ended():
    code = (
        "import os, time\n"
        "from tests import leaks\n"
        "leaks.GRACE = 0.2\n"
        "with leaks.watched('forked'):\n"
        "    os.fork() or time.sleep(64)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode != 0
    assert "processes were left running" in done.stderr


def test_what_ends_in_time_is_no_leak(monkeypatch):
    monkeypatch.setattr(leaks, "GRACE", 10)
    with leaks.watched("quick"):
        child = subprocess.Popen(["sleep", "0.1"])
    assert child.wait(5) == 0


def test_what_was_started_outside_is_left_alone():
    with leaks.watched("outer"):
        child = leave("65")
        with leaks.watched("inner"):
            pass
        assert child.poll() is None
        child.kill()
        child.wait(5)


def test_the_end_comes_also_on_failure():
    found = []

    def fail():
        with leaks.watched("failure"):
            found.append(leave("66"))
            raise ValueError("the test's own")

    with pytest.raises(ValueError, match="own"):
        fail()
    assert found[0].wait(5) == -signal.SIGKILL


def test_what_multiprocessing_keeps_for_all_is_no_leak():
    code = (
        "from multiprocessing import resource_tracker\n"
        "from tests import leaks\n"
        "leaks.GRACE = 0.2\n"
        "with leaks.watched('tracker'):\n"
        "    resource_tracker.ensure_running()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
