"""``%grid`` lines, connecting, and errors of one line."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("%grid sttus", "did you mean `%grid status`?"),
        ("%grid frobnicate", "there are: connect, sites"),
        ("%grid quote --core 2 --siets a", "did you mean --sites?"),
        ("%grid quote --cores two", "--cores: 'two' will not do; write a whole number"),
        ("%grid quote --sites alpah", "--sites: there is no site 'alpah'; did you mean 'alpha'?"),
        ("%grid quote --deadline soon", "--deadline: 'soon' is not a time"),
        ("%grid quote --cores 999", "999"),
        ("%grid scale many", "says no number of workers"),
        ("%grid scale alpah=2", "alpha"),
        ("%grid budget 5 USD", "write it in GD"),
        ("%grid release l99", "there is no lease"),
        ("%grid bill --by colour", "'colour' is no column of a bill"),
        ("%grid connect here", "`%grid close`"),
        ("%grid connect --budget 7 GD", "`%grid budget 7.00 GD`"),
        ("%grid connect --account other", "`%grid close`"),
        ("%%grid --optimize quality\n1", "--optimize: 'quality' is not a policy"),
        ("%%grid --quiett\n1", "did you mean --quiet?"),
        ("%%grid --into 5x\n1", "--into: '5x' is no name"),
        ("%%grid --into\n1", "--into needs a value; write --into NAME"),
        ("%grid scale", "missing: numbers"),
        ("%grid links alpha bta --cut", "did you mean 'beta'?"),
        ("%grid links alpha --cut", "are not two sites"),
        ("%grid links --cut", "name the two sites of the link"),
        ("%grid links alpha beta --bandwidth fast", "'fast' is not a bandwidth"),
        ("%%grid 'a\n1", "close the quote"),
    ],
)
def test_bad_input_is_one_line(grid, code, text):
    reply = grid.run(code)
    assert reply.status == "error"
    assert text in reply.error
    assert "\n" not in reply.error.strip() and "$" not in reply.error


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("%grid sites", ["alpha", "Nordlicht Compute", "0.22 GD"]),
        ("%grid quote --cores 2 --regions eu", ["gamma", "not taken", "Quote q-"]),
        ("%grid status", ["worker", "alpha-1", "term left", "if idle for"]),
        ("%grid meter", ["spent", "held", "left", "per simulated hour", "until the budget ends"]),
        ("%grid bill", ["site", "overhead", "total", "no run"]),
        ("%grid bill --by owner,site", ["owner", "Nordlicht Compute"]),
        ("%grid budget", ["cap", "50.00 GD", "left"]),
        ("%grid links", ["alpha – beta", "12 ms", "60 MB/s", "busy"]),
        ("%grid links alpha zeta --bandwidth 7 MB/s --latency 80 ms", ["80 ms", "7 MB/s"]),
        ("%grid links zeta alpha --cut", ["alpha – zeta", "cut"]),
        ("%grid status", ["traffic", "zeta → alpha", "cut"]),
    ],
)
def test_tables_have_html_and_text(grid, code, texts):
    reply = grid.ok(code)
    data = next(m for m in reply.messages if m["msg_type"] == "execute_result")["content"]["data"]
    for text in texts:
        assert text in data["text/plain"]
        assert text in data["text/html"]
    assert "$" not in data["text/html"] + data["text/plain"]
    assert "simulated" in data["text/plain"]


def test_a_quote_is_a_value(grid):
    assert grid.ok("q = %grid quote --cores 2 --max-cost 2 GD\nq.cores, str(q.cap)").result == (
        "(2, '2.00 GD')"
    )


def test_the_bill_is_exact(grid):
    grid.ok("%%grid\n1")
    grid.ok("b = %grid bill")
    assert grid.value("type(b.data['total'].iloc[0]).__name__") == "'Decimal'"
    assert grid.value("b.data['total'].sum() <= grid.bill()['amount'].sum()") == "True"


def test_scale_and_release(grid):
    assert "3 workers" in grid.ok("%grid scale alpha=3").of("display_data")
    assert "released" in grid.ok("%grid release").of("display_data")
    assert "nothing to release" in grid.ok("%grid release").of("display_data")


def test_a_cell_without_connection_and_budget_says_what_to_do():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/poor.ipynb") as fresh:
        fresh.ok("%load_ext gridnb")
        assert "`%grid connect` first" in fresh.run("%grid meter").error
        reply = fresh.run("%%grid\n1")
        assert "connected to grid" in reply.of("update_display_data")
        assert "set one with `%grid budget 5 GD`" in reply.error
        assert "5.00 GD" in fresh.ok("%grid connect demo --budget 5 GD").of("display_data")


def test_a_restarted_kernel_is_back_on_its_grid():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/again.ipynb") as book:
        book.ok("%load_ext gridnb")
        book.ok("%grid connect demo --budget 5 GD")
        book.ok("%%grid --sites alpha --cores 1\nx = 1")
        name = book.value("grid.id")
        book.manager.restart_kernel(now=True)
        book.client.wait_for_ready(timeout=60)
        book.ok("%load_ext gridnb")
        said = book.ok("%grid connect").of("display_data")
        assert said.startswith("back on grid") and "1 worker" in said
        assert book.value("grid.id") == name
        assert book.ok("%%grid\n'warm'").result == "'warm'"


def test_a_bare_cell_uses_the_settings():
    environment = {
        "GRIDNB_NOTEBOOK": "/notebooks/set.ipynb",
        "DASK_GRIDNB__CATALOG": "demo",
        "DASK_GRIDNB__BUDGET": "3 GD",
        "DASK_GRIDNB__CORES": "1",
    }
    with kernel(**environment) as fresh:
        fresh.ok("%load_ext gridnb")
        reply = fresh.ok("%%grid --sites alpha\n1")
        assert "of 3.00 GD" in reply.of("update_display_data")
        assert fresh.value("len(grid.status()['workers'])") == "1"


def test_a_lost_hub_is_told_at_once_and_connect_begins_a_new_grid():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/lost.ipynb") as book:
        book.ok("%load_ext gridnb")
        book.ok("%grid connect demo --budget 5 GD")
        book.ok("import os, signal, time; os.kill(grid.status()['grid']['pid'], signal.SIGKILL)")
        book.ok("time.sleep(0.5)")
        for code in ("%grid status", "%%grid\n1"):
            reply = book.run(code)
            assert reply.error.startswith("HubError: ") and "`%grid connect` begins" in reply.error
        assert book.ok("%grid connect").of("update_display_data").startswith("connected to grid")


def test_a_map_keeps_what_was_done_when_the_budget_ends():
    with kernel(GRIDNB_NOTEBOOK="/notebooks/small.ipynb") as book:
        book.ok("%load_ext gridnb")
        book.ok("%grid connect demo --budget 0.035 GD")
        reply = book.run(
            "%%grid --sites gamma --cores 1 --map n=range(60) --into part\n"
            "import time\ntime.sleep(0.5)\nn"
        )
        assert reply.status == "error" and "was ended: " in reply.error
        assert "the budget" in reply.error and "are in part" in reply.error
        done = int(book.value("len(part)"))
        assert 0 < done < 60
        assert book.value("part == list(range(len(part)))") == "True"
