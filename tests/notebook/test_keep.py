"""``--keep`` and ``--replicas``: results that stay at sites, and outlive the loss of one."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import Kernel
from tests.notebook.sites import kill, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FRAME = "import pandas as pd\nframe = pd.DataFrame({'a': range(100_000)})\nlen(frame)"


@pytest.fixture(scope="module", autouse=True)
def _two_sites(grid):
    grid.ok("%grid request --cores 1 --sites beta")
    grid.ok("import time\nwhile len(grid.cluster.observed) < 2: time.sleep(0.1)")


def site_of(grid: Kernel, name: str) -> str:
    return grid.value(f"{name}.sites").strip("[]'")


def test_what_is_kept_stays_whatever_its_size(grid):
    reply = grid.ok(f"%%grid --keep --into n --sites alpha\nx = 5\ntext = 'x'\n{FRAME}")
    assert reply.result == "100000"
    assert grid.value("type(_).__name__") == "'Remote'"
    kinds = grid.value("[type(v).__name__ for v in (x, text, frame, n)]")
    assert kinds == "['Remote', 'Remote', 'Remote', 'Remote']"
    assert grid.value("type(pd).__name__") == "'module'"
    assert "kept at alpha: " in reply.line and "frame (" in reply.line and "Out (" in reply.line
    total = grid.ok("%%grid\nint(x + len(text) + frame.a.sum() + n)").result
    assert total == str(6 + 4999950000 + 10**5)
    assert grid.value("x.fetch(), text.fetch(), n.fetch(), len(frame.fetch())") == (
        "(5, 'x', 100000, 100000)"
    )


def test_a_kept_one_is_not_taken_for_every_one(grid):
    grid.ok("%%grid --keep --sites alpha\none = 1\nname = 'one'")
    assert (
        grid.ok("%%grid --sites alpha\n[1, 'one', {'one': 1}]").result == "[1, 'one', {'one': 1}]"
    )
    assert grid.value("_") == "[1, 'one', {'one': 1}]"


def test_it_says_where_it_is_and_what_fetching_takes(grid):
    shown = grid.value("frame")
    assert shown.startswith("<Remote DataFrame at alpha, 7")
    assert "KiB, egress 0.09 GD per GiB: " in shown
    reply = grid.run("frame.a")
    assert reply.status == "error" and "NotHere: this DataFrame stayed at site alpha" in reply.error


def test_work_goes_where_the_value_is_and_back(grid):
    assert grid.ok("%%grid --sites beta\n1").line.startswith("beta · ")
    reply = grid.ok("%%grid\nlen(frame)")
    assert reply.result == "100000" and reply.line.startswith("alpha · ")
    assert grid.ok("%%grid --sites beta\n2").line.startswith("beta · ")
    assert grid.value("len(frame.fetch())") == "100000"


def test_a_copy_is_made_where_the_value_is_asked_for(grid):
    grid.ok("%%grid --keep --sites alpha\nclass Pair:\n    def both(self): return pd, self.a\n"
            "p = Pair()\np.a = [1]\nq = p.a")  # fmt: skip
    reply = grid.ok("%%grid --sites beta\nq.append(2)\np.both()[0].__name__, p.both()[1]")
    assert reply.result == "('pandas', [1, 2])" and reply.line.startswith("beta · ")
    # The one that was left behind is out of date, and given up.
    assert grid.value("p.sites, q.sites, p.fetch().a") == "(['beta'], ['beta'], [1, 2])"


def test_what_cannot_be_pickled_is_used_where_it_is(grid):
    reply = grid.ok("%%grid --keep --sites alpha\ng = (n for n in range(3))")
    assert reply.line.startswith("alpha · ") and "kept at alpha: g" in reply.line
    reply = grid.run("%%grid --sites beta\nnext(g)")
    assert reply.error.startswith("CaptureError: ") and "cannot be copied to beta" in reply.error
    assert grid.ok("%%grid\nnext(g)").result == "0"


def test_pieces_use_kept_values_and_keep_their_results(grid):
    grid.ok("%%grid --map x=range(4) --keep --into parts\nimport time\ntime.sleep(0.3)\n[x] * 10")
    assert grid.value("{type(part).__name__ for part in parts}") == "{'Remote'}"
    reply = grid.ok("%%grid --map p=parts --into sums\nsum(p) + len(frame)")
    assert grid.value("sums") == "[100000, 100010, 100020, 100030]"
    grid.ok("%%grid --sweep x=[1, 2] --keep --into table\nx * 2")
    assert (
        grid.value("[r.fetch() for r in table['result']], len(repr(table)) > 10")
        == "([2, 4], True)"
    )
    assert "changed" not in reply.line


def test_a_piece_that_changes_a_kept_value_is_told(grid):
    grid.ok("%%grid --keep --sites alpha\nlog = []")
    reply = grid.ok("%%grid --map x=range(2)\nlog.append(x)")
    assert "changed by the body, and so seen by the pieces after it: log" in reply.line


def test_what_is_forgotten_here_is_forgotten_there(grid):
    grid.ok("%%grid --keep --sites alpha\nimport weakref\nclass Thing: pass\n"
            "thing = Thing()\nprobe = weakref.ref(thing)")  # fmt: skip
    assert grid.ok("%%grid\nprobe() is None, thing is not None").result == "(False, True)"
    grid.ok("del thing")
    grid.ok("%%grid\nimport gc\nprobe")
    assert grid.ok("%%grid\ngc.collect()\nprobe() is None").result == "True"


def test_too_few_sites_are_told_before_anything_runs(grid):
    for options, text in (
        ("--replicas 3 --sites alpha,beta", "3 sites are wanted, and 2 fit what is asked for"),
        ("--replicas 1", "--replicas: '1' is not a whole number of at least 2"),
        ("--replicas many", "'many' is not a whole number"),
    ):
        reply = grid.run(f"%%grid {options}\nran = True")
        assert reply.status == "error" and text in reply.error and "\n" not in reply.error
    assert grid.value("'ran' in globals()") == "False"


def test_a_replica_survives_the_loss_of_a_whole_site(grid):
    reply = grid.ok(f"%%grid --replicas 2 --sites alpha,beta --into n\nsmall = [1, 2]\n{FRAME}")
    assert ": small (" in reply.line or ", small (" in reply.line
    sites = grid.value("frame.sites")
    assert sites in ("['alpha', 'beta']", "['beta', 'alpha']")
    assert f"kept at {', '.join(eval(sites))}: " in reply.line
    reply = grid.ok("%%grid --sites alpha,beta\nsmall.append(3)\nframe['b'] = 1")
    assert "changed by the cell, and copied anew: small, frame" in reply.line
    assert grid.value("sorted(frame.sites), sorted(small.sites)") == (
        "(['alpha', 'beta'], ['alpha', 'beta'])"
    )
    grid.ok("%%grid --keep --sites alpha\nalone = [1]")
    there = "t['src'] == 'alpha' and t['dst'] == 'beta'"
    carried = f"sum(t['bytes'] for t in grid.status()['links'] if {there})"
    assert int(grid.value(carried)) > 800_000

    kill(processes(grid, "alpha"))

    assert grid.value("small.fetch(), list(frame.fetch().columns)") == "([1, 2, 3], ['a', 'b'])"
    assert site_of(grid, "frame") == "beta"
    reply = grid.ok("%%grid\nsum(small), len(frame), list(frame.columns)")
    assert reply.result == "(6, 100000, ['a', 'b'])" and reply.line.startswith("beta · ")
    for code in ("alone.fetch()", "%%grid\nalone"):
        reply = grid.run(code)
        assert "CellLost: this list was kept at alpha" in reply.error, reply.error
        assert "run the cell again that made it" in reply.error
    assert "lost at alpha" in grid.value("alone")


def test_a_lease_is_taken_for_the_copies(grid):
    reply = grid.ok("%%grid --replicas 2 --sites beta,zeta\nfresh = [1] * 10")
    assert "leased for the copies: zeta (" in reply.line and "GD per simulated hour)" in reply.line
    assert "kept at beta, zeta: fresh (" in reply.line
    assert grid.value("sorted(fresh.sites)") == "['beta', 'zeta']"
