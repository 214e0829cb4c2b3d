"""``--retries``: after an error and after the loss of a place, for a cell and for pieces."""

from __future__ import annotations

import pytest

from tests.notebook.sites import kill_when, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: A body that fails as often as there are no marks, each time at the end of what it does.
FAILS = """
import os, pathlib
def fail_first(times, how):
    here = pathlib.Path(marks)
    done = len(list(here.glob("*")))
    if done < times:
        (here / str(done)).touch()
        exec(how, {'os': os})
"""
KILL = "os.kill(os.getpid(), 9)"


@pytest.fixture(scope="module", autouse=True)
def _two_sites(grid):
    grid.ok("%grid request --cores 1 --sites beta")
    grid.ok("import time\nwhile len(grid.cluster.observed) < 2: time.sleep(0.1)")
    grid.ok(FAILS)


@pytest.fixture(autouse=True)
def _marks(grid, tmp_path):
    grid.ok(f"marks = {str(tmp_path)!r}")


def test_an_error_is_tried_again_at_another_site_and_leaves_nothing_behind(grid):
    grid.ok("xs = [1]")
    reply = grid.ok(
        "%%grid --retries 2\nxs.append(2)\nfail_first(1, 'raise ValueError(\"once\")')\nlen(xs)"
    )
    assert reply.result == "2" and grid.value("xs") == "[1, 2]"
    first, second = ("alpha", "beta") if "once at alpha" in reply.line else ("beta", "alpha")
    assert f"ValueError: once at {first}; again at {second}, 1 of 2" in reply.line
    assert reply.line.startswith(f"{first}, {second} · ")
    grid.ok("import time; time.sleep(2.5)")
    used = "{c.site for c in grid.bill().itertuples() if c.run == grid.status()['runs'][-1]['id']}"
    assert grid.value(f"sorted({used})") == "['alpha', 'beta']"


def test_a_lost_process_is_replaced_and_the_cell_is_run_again(grid):
    reply = grid.ok(f"%%grid --retries 1\nfail_first(1, {KILL!r})\n'after all'")
    assert reply.result == "'after all'"
    assert "lost at " in reply.line and "; again at " in reply.line and "1 of 1" in reply.line


def test_when_no_attempt_is_left_the_last_error_is_raised(grid):
    reply = grid.run("%%grid --retries 1\nfail_first(9, '1 / 0')")
    assert reply.status == "error" and "ZeroDivisionError" in reply.error
    assert grid.value("len(os.listdir(marks))") == "2"
    reply = grid.run(f"%%grid --retries 1\nfail_first(9, {KILL!r})")
    assert reply.status == "error" and reply.error.startswith("CellLost: ")
    assert grid.value("len(os.listdir(marks))") == "4"
    assert grid.ok("%%grid\n1").result == "1"


@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", "raise SystemExit(3)", "exec('a =')"])
def test_what_is_no_accident_is_not_tried_again(grid, how):
    grid.run(f"%%grid --retries 3\nfail_first(9, {how!r})")
    assert grid.value("len(os.listdir(marks))") == "1"


def test_a_piece_is_tried_again_and_only_that_one(grid):
    reply = grid.ok(
        "%%grid --map x=range(6) --retries 1 --into out\n"
        "pathlib.Path(f'{marks}/{x}-{os.getpid()}').touch()\n"
        "if x == 2 and len(list(pathlib.Path(marks).glob('2-*'))) == 1: raise OSError('busy')\nx"
    )
    assert grid.value("out") == "[0, 1, 2, 3, 4, 5]"
    assert "run again: x = 2: OSError: busy at " in reply.line and "1 of 1" in reply.line
    assert grid.value("len(os.listdir(marks))") == "7"


def test_a_piece_that_fails_for_good_names_itself(grid):
    reply = grid.run("%%grid --sweep x=[1, 2] y=[3] --retries 2 --into out\n1 / (x - 2)")
    assert reply.status == "error" and "ZeroDivisionError" in reply.error
    assert "--sweep: x = 2, y = 3, value 2 of 2; 1 of 2 results are in out" in reply.error


def test_a_site_that_is_lost_in_the_middle_costs_no_result(grid, tmp_path):
    doomed = processes(grid, "beta")
    killer = kill_when(tmp_path / "beta", doomed)
    reply = grid.ok(
        "%%grid --sites alpha,beta --map x=range(8) --retries 1 --into out\n"
        "import pathlib, time\n"
        f"if os.getppid() in {[each.pid for each in doomed]}: pathlib.Path(marks, 'beta').touch()\n"
        "time.sleep(1)\nx"
    )
    killer.join()
    assert grid.value("out") == "[0, 1, 2, 3, 4, 5, 6, 7]"
    assert "lost at beta; again at alpha, 1 of 1" in reply.line
    assert reply.line.startswith("alpha, beta · ")


def test_a_lease_is_taken_again_when_no_worker_is_left(grid, tmp_path):
    doomed = processes(grid, "alpha")
    killer = kill_when(tmp_path / "begun", doomed)
    reply = grid.ok(
        "%%grid --sites alpha --retries 1\nimport pathlib, time\n"
        "first = not pathlib.Path(marks, 'begun').exists()\npathlib.Path(marks, 'begun').touch()\n"
        "time.sleep(60 if first else 0)\n'again'"
    )
    killer.join()
    assert reply.result == "'again'"
    assert "lost at alpha; again at alpha, 1 of 1" in reply.line


def test_max_cost_holds_over_all_leases_of_a_cell(grid):
    # It pays for one term; the second attempt would need another one.
    grid.ok("before = {each['id'] for each in grid.status()['leases']}")
    reply = grid.run(
        "%%grid --cores 1 --sites alpha --max-cost 0.12 GD --retries 3\n"
        "import time\ntime.sleep(100)"
    )
    assert "it cannot be run again: " in reply.error and "max" in reply.error
    spent = grid.value(
        "from decimal import Decimal\n"
        "time.sleep(1)\ngrid.bill()\n"
        "sum(Decimal(e['spent']) for e in grid.status()['leases'] if e['id'] not in before)"
        " <= Decimal('0.12')"
    )
    assert spent == "True"
