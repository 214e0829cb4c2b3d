"""Cells as jobs, in real kernels: they go on without the kernel, and come back."""

from __future__ import annotations

import re
import time

import pytest

from tests.notebook.kernels import Kernel, kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def job_id(reply) -> str:
    return re.search(r"Job (\S+)", reply.result)[1]


def wait(grid: Kernel, name: str = "job") -> None:
    grid.ok(f"import concurrent.futures as cf; cf.wait([{name}], 60)")


def test_a_job_binds_its_names_when_its_result_is_taken(grid):
    grid.ok("n = 20\nxs = [1]\nalias = xs")
    grid.ok(
        "%%grid --background --into job\nimport time\ntime.sleep(0.5)\nm = n + 1\nxs.append(m)\nm"
    )
    assert grid.value("'m' in globals(), xs") == "(False, [1])"
    assert grid.value("job.result()") == "21"
    assert grid.value("m, alias, alias is xs, job.status, job.names") == (
        "(21, [1, 21], True, 'done', ['m'])"
    )
    assert grid.value("job.cost.amount > 0, job.sites") == "(True, ['alpha'])"


def test_a_job_shows_itself_and_is_the_value_of_its_cell(grid):
    reply = grid.ok("%%grid --background\nprint('hello from', 'there')\n6 * 7")
    pages = [m["content"].get("data", {}).get("text/html", "") for m in reply.messages]
    assert any("gridnb-job" in page for page in pages)
    replies = [grid.ok("job = _")]
    for _ in range(20):  # until its exact cost is known
        replies.append(grid.ok("import time; time.sleep(1)"))
        last = replies[-1].of("update_display_data").rpartition("In [")[2]
        if "done" in last and "≈" not in last:
            break
    outputs = [output for each in [reply, *replies] for output in each.outputs]
    shown = [text for kind, text in outputs if kind in ("display_data", "update_display_data")]
    assert any("done" in text and "hello from there" in text for text in shown)
    assert "≈" not in shown[-1] and "free" not in shown[-1]
    assert grid.value("job.result()") == "42"


def test_an_error_of_a_job_has_its_lines(grid):
    grid.ok("%%grid --background --into job\nprint('before')\nkept = 3\n1 / 0")
    reply = grid.run("job.result()")
    assert "ZeroDivisionError" in reply.error and "----> 4 1 / 0" in reply.error
    assert grid.value("kept, job.status, job.output") == "(3, 'failed', 'before\\n')"


def test_attach_shows_output_and_result_as_the_cell_would(grid):
    grid.ok(
        "%%grid --background --into job\nfrom IPython.display import display, HTML\n"
        "print('one')\ndisplay(HTML('<b>two</b>'))\nthree = 3\n'four'"
    )
    reply = grid.ok("%grid attach " + grid.value("job.id").strip("'"))
    kinds = [(k, text.strip()) for k, text in reply.outputs if not k.startswith("update")]
    assert kinds[0] == ("stdout", "one")
    assert kinds[1][0] == "display_data" and kinds[2] == ("execute_result", "'four'")
    assert kinds[3][0] == "display_data" and kinds[3][1].startswith("alpha · ")
    assert grid.value("three, _") == "(3, 'four')"


def test_an_interrupt_of_attach_leaves_the_job_alone(grid):
    grid.ok("%%grid --background --into job\nimport time\ntime.sleep(9)\n'late'")
    run = grid.value("job.id").strip("'")
    grid.interrupt_after(3.0)
    reply = grid.run(f"%grid attach {run}")
    assert "the job runs on" in reply.error
    assert grid.value("job.result()") == "'late'"


def test_cancel_ends_what_runs(grid):
    grid.ok("%%grid --background --into job\nimport time\nwhile True:\n    time.sleep(0.1)")
    grid.ok("import time; time.sleep(1)")
    run = grid.value("job.id").strip("'")
    assert "is being cancelled" in grid.ok(f"%grid cancel {run}").line
    wait(grid)
    assert grid.value("job.cancelled(), job.status") == "(True, 'cancelled')"
    assert "had ended already: cancelled" in grid.ok(f"%grid cancel {run}").line
    assert grid.ok("%%grid\n'usable'").result == "'usable'"


def test_a_job_that_ignores_interrupts_is_ended(grid):
    grid.ok(
        "%%grid --background --into job\nimport time\nwhile True:\n    try:\n"
        "        time.sleep(1)\n    except BaseException:\n        pass"
    )
    grid.ok("import time; time.sleep(1); job.cancel()")
    wait(grid)
    assert grid.value("job.status") == "'cancelled'"
    assert grid.ok("%%grid\n'usable'").result == "'usable'"


def test_a_map_in_the_background_gathers_its_results(grid):
    grid.ok("%%grid --background --map n=range(5) --into job\nprint(n)\nn * n")
    assert grid.value("job.result(), job.done_of") == "([0, 1, 4, 9, 16], (5, 5))"
    grid.ok("%%grid --background --map n=[2, 1, 0] --into job\n4 / n")
    assert "ZeroDivisionError" in grid.run("job.result()").error
    assert grid.value("job.partial()") == "[2.0, 4.0]"


def test_a_sweep_in_the_background_is_a_table(grid):
    grid.ok("%%grid --background --sweep a=[1, 2] b=[10, 20] --into job\na * b")
    assert grid.value("job.result()['result'].tolist()") == "[10, 20, 20, 40]"
    assert grid.value("list(job.result().columns)") == "['a', 'b', 'result']"


def test_retries_run_it_again(grid, tmp_path):
    mark = tmp_path / "mark"
    grid.ok(
        "%%grid --background --retries 2 --into job\nimport pathlib\n"
        f"p = pathlib.Path({str(mark)!r})\n"
        "n = len(p.read_text()) if p.exists() else 0\np.write_text('x' * (n + 1))\n"
        "assert n == 2, n\nn"
    )
    assert grid.value("job.result()") == "2"
    assert "tried again, 2 of 2" in grid.value("job.output")


def test_jobs_are_listed(grid):
    grid.ok("%%grid --background --into job\n'listed'")
    wait(grid)
    text = grid.ok("%grid jobs").result
    assert "done" in text and "'listed'" in text


def test_unknown_jobs_are_one_line(grid):
    for line in ("attach nope", "cancel nope"):
        error = grid.run(f"%grid {line}").error
        assert "nothing is kept of a run 'nope'" in error and "\n" not in error.strip()


def test_what_cannot_be_sent_starts_nothing(grid):
    grid.ok("gen = (i for i in [1])")
    before = grid.value("len(__import__('gridnb.grid').grid.Grid.attach().jobs())")
    assert "'gen'" in grid.run("%%grid --background\nnext(gen)").error
    assert grid.value("len(__import__('gridnb.grid').grid.Grid.attach().jobs())") == before


def test_a_job_outlives_its_kernel():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/outlives.ipynb") as first:
        first.ok("%load_ext gridnb")
        first.ok("%grid connect demo --budget 50 GD")
        first.ok("xs = [1, 2]\nn = 5\ndef double(x):\n    return x * 2")
        first.ok(
            "%%grid --background --into job\nimport time\nprint('begun')\ntime.sleep(4)\n"
            "xs.append(double(n))\nmade = {'a': xs}\nprint('over')\nsum(xs)"
        )
        run = first.value("job.id").strip("'")
        time.sleep(1)
        first.manager.restart_kernel(now=True)
        first.client.wait_for_ready(timeout=60)
        first.ok("%load_ext gridnb")
        assert "back" in first.ok("%grid connect").line
        reply = first.ok(f"%grid attach {run}")
        assert reply.of("stdout").split() == ["begun", "over"] and reply.result == "13"
        assert first.value("xs, made['a'] is xs, _") == "([1, 2, 10], True, 13)"
        assert "rebound" in reply.line


def test_the_output_of_a_longer_cell_can_be_seen_again(grid):
    grid.ok("%%grid\nimport time\nprint('first')\ntime.sleep(2.5)\nprint('second')\nseen = 1")
    listed = grid.ok("%grid jobs").result
    run = next(line.split()[0] for line in listed.splitlines() if "import time" in line)
    reply = grid.ok(f"%grid attach {run}")
    assert reply.of("stdout").split() == ["first", "second"]
    assert "had ended already: done" in grid.ok(f"%grid cancel {run}").line


def test_what_a_job_gave_can_be_had_when_its_grid_is_gone():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/gone.ipynb") as first:
        first.ok("%load_ext gridnb")
        first.ok("%grid connect demo --budget 50 GD")
        first.ok("%%grid --background --into job\nprint('said')\nvalue = 7\nvalue")
        wait(first)
        run = first.value("job.id").strip("'")
        first.ok("%%grid --background --into late\nimport time\ntime.sleep(300)")
        assert "1 job still run" in first.run("%grid close").error
        first.ok("%grid close --jobs")
        assert first.value("late.status, late.reason") == "('cancelled', 'the grid was ended')"
        reply = first.ok(f"%grid attach {run}")  # and no grid is needed
        assert reply.of("stdout") == "said\n" and reply.result == "7"
        assert "done" in first.ok("%grid jobs").result
