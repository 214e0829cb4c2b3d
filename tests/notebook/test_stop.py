"""A run that another thread stops, as a button in a panel does, ends as by the stop button."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PRESS = """
import pathlib, threading, time

def press():
    global pressed
    while not ({when}):
        time.sleep(0.05)
    pressed = list(grid.cancels)
    {how}

threading.Thread(target=press, daemon=True).start()
"""
SESSION = "get_ipython().magics_manager.registry['GridMagics'].session"
CANCEL, CURRENT = "grid.cancel(pressed[0])", f"{SESSION}.current()"


@pytest.mark.parametrize("press", [CANCEL, CURRENT], ids=["grid.cancel", "session.current"])
def test_a_cell_that_is_stopped_keeps_its_names(grid, press, tmp_path):
    begun = tmp_path / "begun"
    grid.ok(PRESS.format(when=f"pathlib.Path({str(begun)!r}).exists()", how=press))
    reply = grid.run(
        f"%%grid\nimport time, pathlib\nheld = 1\npathlib.Path({str(begun)!r}).touch()\n"
        "while True:\n    time.sleep(0.05)"
    )
    assert reply.status == "error" and "KeyboardInterrupt" in reply.error
    assert grid.value("held, len(pressed), grid.cancels") == "(1, 1, {})"
    assert grid.value(f"{SESSION}.current is None") == "True"
    grid.ok("del held")


def test_a_map_that_is_stopped_keeps_what_is_done(grid):
    grid.ok(PRESS.format(when="globals().get('some') == [0]", how=CANCEL))
    reply = grid.run(
        "%%grid --map x=range(5) --into some\nimport time\ntime.sleep(60 if x else 0)\nx"
    )
    assert reply.status == "error" and "KeyboardInterrupt" in reply.error
    assert grid.value("some, _ == some") == "([0], True)"


def test_run_all_stops(grid):
    grid.ok(PRESS.format(when="grid.cancels", how=CANCEL))
    grid.client.execute("%%grid\nimport time\ntime.sleep(60)", stop_on_error=True)
    later = grid.client.execute("late = 1")
    while (reply := grid.client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != later:
        pass
    assert reply["content"]["status"] == "aborted"


def test_what_is_pressed_too_late_hits_nothing(grid):
    grid.ok(f"session = {SESSION}")
    grid.ok(
        "import threading\ndef note():\n    global late\n    while not session.current: pass\n"
        "    late = session.current\nthreading.Thread(target=note, daemon=True).start()"
    )
    assert grid.ok("%%grid\n1").result == "1"
    assert grid.value("late(), 'not hit'") == "(None, 'not hit')"
    assert grid.ok("%%grid\nimport time\ntime.sleep(0.5)\n2").result == "2"


def test_a_run_that_is_over_cannot_be_cancelled(grid):
    reply = grid.run("grid.cancel(grid.status()['runs'][-1]['id'])")
    assert reply.status == "error" and "HubError" in reply.error
