"""``%%grid --sweep`` in a real kernel: a DataFrame of parameters and results."""

from __future__ import annotations

import re

import pytest

from tests.notebook.kernels import kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module", autouse=True)
def _two_seats(grid):
    grid.ok("%grid request --cores 1 --sites alpha")
    grid.ok("import time\nwhile len(grid.cluster.observed) < 2: time.sleep(0.1)")


def test_scalars_are_the_column_result(grid):
    grid.ok("k, xs = 1, [1, 2]")
    reply = grid.ok("%%grid --sweep a=xs b=[10, 20] --into t\nprint(a, b)\na * b + k")
    assert reply.of("stdout").split() == ["1", "10", "1", "20", "2", "10", "2", "20"]
    assert grid.value("t.to_dict('list')") == (
        "{'a': [1, 1, 2, 2], 'b': [10, 20, 10, 20], 'result': [11, 21, 21, 41]}"
    )
    assert grid.value("_ is not t, t.dtypes.unique().tolist()") == "(True, [dtype('int64')])"


def test_dictionaries_become_columns_and_a_clash_is_told(grid):
    reply = grid.ok("%%grid --sweep a=[1, 2] --sweep b=[3]\n{'sum': a + b, 'a': -a}")
    assert "<table" in next(
        m["content"]["data"]["text/html"]
        for m in reply.messages
        if m["msg_type"] == "execute_result"
    )
    assert "a is a parameter, so the result's a is the column a_result" in reply.line
    assert grid.value("_.to_dict('list')") == (
        "{'a': [1, 2], 'b': [3, 3], 'sum': [4, 5], 'a_result': [-1, -2]}"
    )


def test_anything_else_stays_the_object_that_it_is(grid):
    grid.ok("%%grid --sweep n=[1, 2] --into t --quiet\n[n] if n == 1 else {'n': n}")
    assert grid.value("list(t.columns), list(t['result'])") == (
        "(['n', 'result'], [[1], {'n': 2}])"
    )


def test_nothing_to_sweep_gives_an_empty_table(grid):
    grid.ok("%%grid --sweep a=[] b=[1] --into t\na")
    assert grid.value("list(t.columns), len(t)") == "(['a', 'b', 'result'], 0)"


def test_options_go_together(grid):
    assert grid.ok("%%grid --quote --sweep a=[1] --cores 1 --sites alpha\na").result
    grid.ok("big = list(range(1000))")
    reply = grid.ok("%%grid --explain --sweep a=[1] b=[2]\nlen(big) + a + b")
    shown = next(text for _, text in reply.outputs if text.startswith("What travels"))
    assert "big" in shown and "\na (1 value) " in shown
    shown = grid.ok("%%grid --quiet --sweep a=[1]\na").outputs
    assert {"display_data", "execute_result"} & {kind for kind, _ in shown} == {"execute_result"}


def test_the_first_error_names_its_combination_and_keeps_the_rest(grid):
    reply = grid.run(
        "%%grid --sweep a=[4, 2, 0, 1] b=[1] --into part\nimport time\ntime.sleep(0.1)\n4 / a"
    )
    assert reply.status == "error" and "ZeroDivisionError" in reply.error
    assert "--sweep: a = 0, b = 1, value 3 of 4" in reply.error and "are in part" in reply.error
    assert "no result for a = 0, b = 1" in reply.line
    assert reply.result and grid.value("_.shape == part.shape") == "True"
    assert grid.value("part['result'].tolist()[:2]") == "[1.0, 2.0]"


def test_rows_are_bound_as_they_arrive_and_kept_after_an_interrupt(grid):
    grid.ok(
        "import os, signal, threading\nseen = None\n"
        "def watch():\n    global seen\n"
        "    while 'rows' not in globals() or not len(rows): pass\n"
        "    seen = len(rows)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=watch, daemon=True).start()"
    )
    reply = grid.run(
        "%%grid --sweep a=[0, 1, 2, 3] --into rows\nimport time\ntime.sleep(60 if a else 0)\na"
    )
    assert reply.status == "error" and reply.error.startswith("KeyboardInterrupt")
    assert grid.value("seen, rows.to_dict('list')") == "(1, {'a': [0], 'result': [0]})"
    assert "1 of 4 results; no result for a = 1; a = 2; a = 3" in reply.line


def test_one_line_says_how_far_it_is_and_stays_above_the_table(grid):
    reply = grid.ok("%%grid --sweep a=range(4) b=[0]\nimport time\ntime.sleep(1.6)\na")
    lines: dict[str, list[str]] = {}
    for message in reply.messages:
        if message["msg_type"].endswith("display_data"):
            content = message["content"]
            name = content["transient"]["display_id"]
            lines.setdefault(name, []).append(content["data"]["text/plain"])
    (name,) = [each for each, texts in lines.items() if re.match(r"\d of 4 · ", texts[0])]
    texts = lines[name]
    assert any("now a = " in text and "alpha" in text for text in texts)
    assert any(re.search(r"2 of 4 · .* · about \d+ s left", text) for text in texts)
    assert texts[-1] == "4 of 4"
    assert reply.line.startswith("alpha · ") and "GD" in reply.line
    kinds = [message["msg_type"] for message in reply.messages]
    assert kinds.count("display_data") == 2


CATALOG = """
name: small
sites:
  - name: here
    provider: local
    owner: me
    rate_card: {core_hour: 3.6}
    term: 5s
    offers:
      - {name: core, cores: 1, memory: 512 MiB, count: 2}
"""


@pytest.mark.parametrize("retries", ["", "--retries 1"])
def test_when_the_budget_ends_the_finished_rows_are_kept(tmp_path, retries):
    (tmp_path / "small.yaml").write_text(CATALOG)
    with kernel(GRIDNB_NOTEBOOK=str(tmp_path / "n.ipynb")) as notebook:
        notebook.ok("%load_ext gridnb")
        notebook.ok(f"%grid connect {tmp_path / 'small.yaml'} --budget '0.03 GD'")
        reply = notebook.run(
            f"%%grid --cores 1 --sweep a=range(400) b=[1] --into rows {retries}\n"
            "import time\ntime.sleep(0.5)\na + b"
        )
        assert reply.status == "error" and "\n" not in reply.error, reply.error
        assert "0.03 GD" in reply.error or "budget" in reply.error
        assert "of 400 results are in rows" in reply.error
        count = int(notebook.value("len(rows)"))
        assert 2 < count < 400
        assert notebook.value(f"rows['result'].tolist() == [*range(1, {count} + 1)]") == "True"
        assert f"{count} of 400 results; no result for a = {count}, b = 1; " in reply.line
        assert notebook.value("grid.status(bill=True)['budget']['charged'] <= '0.03'") == "True"
