"""``%%grid`` in a real kernel: values, names, output, errors, interrupts, and the line below."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_names_travel_both_ways(grid):
    grid.ok("n = 20\nxs = [1]\nalias = xs")
    reply = grid.ok("%%grid\nm = n + 1\nxs.append(m)\nm")
    assert reply.result == "21"
    assert grid.value("m, alias, alias is xs") == "(21, [1, 21], True)"


def test_the_value_is_out_and_underscore(grid):
    reply = grid.ok("%%grid\n{'a': 6 * 7}")
    count = next(
        m["content"]["execution_count"] for m in reply.messages if m["msg_type"] == "execute_result"
    )
    assert grid.value(f"_, Out[{count}], _{count}") == "({'a': 42}, {'a': 42}, {'a': 42})"


def test_none_and_a_semicolon_show_nothing(grid):
    assert grid.ok("%%grid\nNone").result == ""
    assert grid.ok("%%grid\n5;").result == ""


def test_a_result_is_shown_as_the_site_shows_it(grid):
    reply = grid.ok("%%grid\nimport pandas as pd\npd.DataFrame({'a': [1, 2]})")
    data = next(m for m in reply.messages if m["msg_type"] == "execute_result")["content"]["data"]
    assert "<table" in data["text/html"]
    assert grid.value("type(_).__name__, len(_)") == "('DataFrame', 2)"


def test_output_comes_in_order(grid):
    reply = grid.ok(
        "%%grid\nimport sys\nfrom IPython.display import display\n"
        "print('one')\nprint('two', file=sys.stderr)\nprint('three')\ndisplay(4)\nprint('five')\n6"
    )
    seen = [(kind, text.strip()) for kind, text in reply.outputs[:6]]
    assert seen == [
        ("stdout", "one"),
        ("stderr", "two"),
        ("stdout", "three"),
        ("display_data", "4"),
        ("stdout", "five"),
        ("execute_result", "6"),
    ]
    assert reply.outputs[6][0] == "display_data"


def test_an_error_keeps_what_was_assigned_and_shows_the_cell(grid):
    reply = grid.run("%%grid\nbefore = 5\ndef f():\n    return 1 / 0\nf()\nafter = 6")
    assert reply.status == "error"
    assert "----> 5 f()" in reply.error and "return 1 / 0" in reply.error
    assert "gridnb/" not in reply.error
    assert grid.value("before, 'after' in globals()") == "(5, False)"


def test_a_syntax_error_shows_the_cell_and_nothing_else(grid):
    for body in ("x = = 2", "exec('y = = 2')"):
        reply = grid.run(f"%%grid\n{body}")
        assert reply.status == "error" and "SyntaxError: invalid syntax" in reply.error
        assert "= = 2" in reply.error and "gridnb" not in reply.error
    assert "SyntaxError" in grid.run("z = = 2").error


def test_run_all_stops_at_an_error(grid):
    grid.client.execute("%%grid\n1 / 0", stop_on_error=True)
    later = grid.client.execute("late = 1")
    while (reply := grid.client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != later:
        pass
    assert reply["content"]["status"] == "aborted"


def test_the_line_says_where_how_long_and_how_much(grid):
    reply = grid.ok("%%grid\n1")
    assert reply.line.startswith("alpha · ")
    assert "≈" in reply.line and "GD" in reply.line and "simulated, 60 × time" in reply.line


def test_the_line_becomes_exact_and_counts_down(grid):
    grid.ok("%%grid\nsum(range(10**6))")
    reply = grid.ok("import time; time.sleep(2.5)")
    updated = [text for kind, text in reply.outputs if kind == "update_display_data"]
    assert "≈" not in updated[-1] and "GD left" in updated[-1]
    assert "warm for 0:" in updated[-1] and "then released" in updated[-1]


def test_quiet_has_no_line(grid):
    assert [kind for kind, _ in grid.ok("%%grid --quiet\n1").outputs] == ["execute_result"]


def test_into_names_the_result(grid):
    grid.ok("%%grid --into answer\n6 * 7")
    assert grid.value("answer") == "42"


def test_into_is_none_without_a_result(grid):
    grid.ok("stale = 1")
    grid.ok("%%grid --into stale\nother = 2")
    assert grid.value("stale is None") == "True"


def test_what_stays_and_what_is_rebound_is_said(grid):
    reply = grid.ok("%%grid\nstays = (i for i in [1])")
    assert "stayed at the site: stays" in reply.line
    assert grid.ok("%%grid\nnext(stays)").result == "1"


def test_what_was_changed_in_a_local_module_is_said(grid, tmp_path):
    (tmp_path / "helpers_n.py").write_text("LIMIT = 1\ndef f():\n    return LIMIT\n")
    grid.ok(f"import sys\nsys.path.append({str(tmp_path)!r})\nimport helpers_n")
    assert "not at the site" not in grid.ok("%%grid\nhelpers_n.f()").line
    grid.ok("helpers_n.LIMIT = 2")
    told = "not at the site as it is here: helpers_n.LIMIT"
    assert told in grid.ok("%%grid\nhelpers_n.f()").line
    mapped = grid.ok("%%grid --map x=range(2)\nhelpers_n.f()")
    assert mapped.line.count(told) == 1


def test_explain_names_what_travels(grid):
    grid.ok("import numpy as np\nbig = np.zeros(1000)")
    shown = grid.ok("%%grid --explain\nbig.sum()").outputs[0][1]
    assert "big" in shown and "ndarray" in shown and "KiB" in shown


def test_an_interrupt_ends_the_cell_and_keeps_names(grid):
    grid.interrupt_after(1.0)
    reply = grid.run("%%grid\nimport time\nkept = 1\nwhile True:\n    time.sleep(0.05)")
    assert reply.status == "error" and "KeyboardInterrupt" in reply.error
    assert grid.value("kept") == "1"
    assert grid.value("sum(r['state'] == 'cancelled' for r in grid.status()['runs'])") == "1"
    assert grid.ok("%%grid\nkept + 1").result == "2"


def test_a_cell_that_ignores_interrupts_is_ended_and_the_next_one_runs(grid):
    grid.interrupt_after(1.0)
    reply = grid.run(
        "%%grid\nimport time\nwhile True:\n    try:\n        time.sleep(1)\n"
        "    except BaseException:\n        pass"
    )
    assert reply.error.startswith("KeyboardInterrupt: the cell did not stop and was ended")
    assert grid.ok("%%grid\n'again'").result == "'again'"


def test_a_seat_that_died_between_cells_is_replaced(grid):
    pid = grid.ok("%%grid\nimport os\nos.getpid()").result
    grid.ok(f"import os, signal, time\nos.kill({pid}, signal.SIGKILL)\ntime.sleep(0.3)")
    assert grid.ok("%%grid\n'new'").result == "'new'"


def test_a_process_that_dies_in_a_cell_is_told(grid):
    reply = grid.run("%%grid\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert reply.status == "error" and reply.error.startswith("CellLost: ")
    assert grid.ok("%%grid\n1").result == "1"


def test_cores_that_are_missing_are_leased_in_addition(grid):
    grid.ok("%%grid --cores 2 --sites alpha\n1")
    found = grid.value("sum(w['cores'] for w in grid.status()['workers'] if w['site'] == 'alpha')")
    assert found == "2"
    grid.ok("%%grid --cores 2 --sites alpha\n1")
    assert grid.value("len([w for w in grid.status()['workers'] if w['site'] == 'alpha'])") == "2"


def test_a_cell_with_a_limit_runs_on_a_lease_of_its_own(grid):
    grid.ok("%%grid --sites alpha\n1")
    leases = "[each['id'] for each in grid.status()['leases']]"
    before = grid.value(leases)
    for _ in range(2):
        grid.ok("%%grid --sites alpha --max-cost 3GD\n1")
        own = grid.value("grid.seats._own.lease")
        assert own not in before
    assert grid.value(f"len({leases})") == str(before.count(",") + 2)
    mapped = grid.ok("%%grid --sites alpha --max-cost 3GD --map x=range(3)\nx")
    assert mapped.result == "[0, 1, 2]"
    grid.ok("import time; time.sleep(2.5)")
    used = "[c.lease for c in grid.bill().itertuples() if c.run == grid.status()['runs'][-1]['id']]"
    assert grid.value(f"set({used})") == f"{{{own}}}"


def test_quote_runs_nothing_and_spends_nothing(grid):
    leases = "[each['id'] for each in grid.status()['leases']]"
    before = grid.value(leases)
    reply = grid.ok("%%grid --quote --cores 2 --sites zeta\nran = True")
    assert "zeta" in reply.result and "not taken" in reply.result
    assert grid.value("'ran' in globals()") == "False"
    assert grid.value(leases) == before


def test_dask_in_a_cell_uses_all_workers_for_the_cells_run(grid):
    grid.ok("%%grid --cores 3 --sites alpha\n1")
    body = """%%grid
import dask, time
from distributed import get_worker

@dask.delayed
def where(i):
    time.sleep(0.1)
    return get_worker().name

len(set(dask.compute(*[where(i) for i in range(16)])))"""
    # The cell itself has a core, too.
    assert int(grid.ok(body).result) >= 2
    grid.ok("import time; time.sleep(2.5)")
    last = "grid.status()['runs'][-1]"
    assert "import dask, time" in grid.value(f"{last}['label']")
    assert (
        int(
            grid.value(
                f"len({{c.worker for c in grid.bill().itertuples() if c.run == {last}['id']}})"
            )
        )
        >= 2
    )


def test_plain_cells_with_dask_are_metered(grid):
    reply = grid.ok("import dask\ndask.delayed(sum)([1, 2]).compute()")
    assert reply.result == "3"
    assert "simulated" in reply.line
    assert "import dask" in grid.value("grid.status()['runs'][-1]['label']")


def test_a_plain_cell_without_dask_has_no_line(grid):
    assert grid.ok("1 + 1").line == ""
