"""``%%grid --map`` in a real kernel."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", autouse=True)
def _two_seats(grid):
    grid.ok("%grid request --cores 1 --sites alpha")
    grid.ok("import time\nwhile len(grid.cluster.observed) < 2: time.sleep(0.1)")


def test_results_are_in_order_and_have_a_name(grid):
    grid.ok("k = 10\nxs = list(range(7))")
    reply = grid.ok("%%grid --map x=xs --into out\nprint('value', x)\nk * x")
    assert reply.of("stdout").split() == " ".join(f"value {n}" for n in range(7)).split()
    assert grid.value("out, _ == out") == "([0, 10, 20, 30, 40, 50, 60], True)"


def test_values_may_be_any_expression(grid):
    assert grid.ok("%%grid --map s=['a', 'b c'] --quiet\ns.upper()").result == "['A', 'B C']"
    assert grid.ok("%%grid --map x=range(0)\nx").result == "[]"


def test_it_runs_on_several_seats_as_one_run(grid, tmp_path):
    grid.ok(f"here = {str(tmp_path)!r}")
    grid.ok(
        "%%grid --map x=range(4) --into pids\nimport os, pathlib, time\n"
        "pathlib.Path(here, str(os.getpid())).touch()\nend = time.monotonic() + 60\n"
        "while len(os.listdir(here)) < 2 and time.monotonic() < end: time.sleep(0.05)\n"
        "os.getpid()"
    )
    assert grid.value("len(set(pids))") == "2"
    assert "pids" not in grid.value("[r['label'] for r in grid.status()['runs']]")


def test_the_first_error_stops_the_rest_and_names_the_value(grid):
    reply = grid.run(
        "%%grid --map x=[1, 2, 0, 4, 5] --into part\nimport time\ntime.sleep(0.1)\n1 / x"
    )
    assert reply.status == "error" and "ZeroDivisionError" in reply.error
    assert "--map: x = 0, value 3 of 5" in reply.error and "are in part" in reply.error
    assert grid.value("part[:2]") == "[1.0, 0.5]"
    assert "no result for x = 0" in reply.line


def test_progress_is_shown_after_two_seconds(grid):
    reply = grid.ok("%%grid --map x=range(6)\nimport time\ntime.sleep(1)\nx")
    shown = [text for kind, text in reply.outputs if kind.endswith("display_data")]
    assert any(re.match(r"[1-5] of 6 · .*now x = ", text) for text in shown)
    assert reply.line == shown[-1] and reply.line.startswith("alpha · ")


def test_an_interrupt_stops_all_and_keeps_what_is_done(grid):
    grid.interrupt_after(1.5)
    reply = grid.run(
        "%%grid --map x=range(5) --into some\nimport time\ntime.sleep(30 if x else 0)\nx"
    )
    assert reply.status == "error" and reply.error.startswith("KeyboardInterrupt")
    assert grid.value("some") == "[0]"
    assert grid.ok("%%grid --map x=range(2)\nx").result == "[0, 1]"


def test_what_gives_no_values_is_told_in_a_line(grid):
    for line, text in (
        ("--map x=5", "'5' gives no values"),
        ("--map x", "write a name and its values"),
        ("--map ", "write a name and its values"),
    ):
        reply = grid.run(f"%%grid {line}\nx")
        assert reply.status == "error" and text in reply.error and "\n" not in reply.error
