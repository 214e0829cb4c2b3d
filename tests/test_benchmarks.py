"""The harness of the benchmarks; what they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import harness

KEYS = {"case", "metric", "unit", "gridnb", "peer", "peer_name", "ratio", "repeats"}


def test_peers_are_measured_in_turn():
    order: list[str] = []
    found = harness.in_turn(3, lambda: order.append("a"), lambda: order.append("b"))
    assert "".join(order) == "abbaab"
    assert [len(each) for each in found] == [3, 3]


def test_a_row_has_medians_and_their_ratio():
    ours, theirs = iter([1.0, 9.0, 2.0]), iter([4.0, 3.0, 5.0])
    row = harness.compare(
        "a case",
        "time",
        "ms",
        gridnb=lambda: next(ours),
        peer=lambda: next(theirs),
        peer_name="another",
        repeats=3,
    )
    assert (row.gridnb, row.peer, row.ratio, row.repeats) == (2.0, 4.0, 0.5, 3)


def test_json_is_one_object_with_the_keys_of_the_contract():
    row = harness.row("a case", "time", "ms", [1.0], [2.0], "another")
    text = harness.as_json("imports", [row])
    assert "\n" not in text
    found = json.loads(text)
    assert set(found) == {"benchmark", "machine", "rows"}
    assert set(found["rows"][0]) == KEYS


@pytest.mark.parametrize(("ours", "theirs", "ratio"), [(0, 0, 1.0), (1, 0, None), (1, 2, 0.5)])
def test_what_has_nothing_beside_it_is_still_json(ours, theirs, ratio):
    row = harness.row("a case", "between sites", "MB", [float(ours)], [float(theirs)], "another")
    assert json.loads(harness.as_json("locality", [row]))["rows"][0]["ratio"] == ratio


def test_the_best_placements_are_those_that_can_be_counted():
    from benchmarks import _placement

    assert _placement.line(3, 10) == 40
    # 4 × 4 blocks on two sites: a straight cut has 4 sides and 6 corners, each way
    assert _placement.plane(4, 2, side=100, corner=1) == 2 * (4 * 100 + 6)


def test_without_a_name_it_lists(capsys):
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [each.split()[0] for each in lines] == command.names()
    assert all(len(each.split()) > 3 for each in lines)


def test_a_misspelt_name_is_an_error(capsys):
    assert command.main(["import"]) == 2
    assert capsys.readouterr().err == "no benchmark is called 'import'; did you mean imports\n"


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_repeats_are_a_count(text, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["imports", "--repeats", text])
    assert ended.value.code == 2
    assert "whole number" in capsys.readouterr().err


@pytest.mark.slow
def test_imports_runs(capsys):
    assert command.main(["imports", "--repeats", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [each["metric"] for each in rows] == ["time", "reply"]
    assert all(each["ratio"] > 0 for each in rows)


@pytest.mark.slow
def test_panel_runs(capsys):
    pytest.importorskip("ipywidgets")
    assert command.main(["panel", "--quick", "--repeats", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [each["metric"] for each in rows] == ["state, hub", "update, kernel", "CPU, kernel"]
    assert all(each["gridnb"] > 0 and each["peer"] > 0 for each in rows)


_FOUR = """\
import dataclasses, json
from benchmarks import locality
locality.WORKLOADS = [each for each in locality.WORKLOADS if each.name == "four tasks"]
print(json.dumps([dataclasses.asdict(each) for each in locality.run(1, quick=False)]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_locality_measures_all_schedulers_alike(root):
    # in a process of its own, with which the one that forks its workers ends
    done = subprocess.run(
        [sys.executable, "-c", _FOUR], cwd=root, capture_output=True, text=True, check=True
    )
    rows = json.loads(done.stdout)
    assert [each["metric"] for each in rows] == ["between sites"] * 2 + ["makespan"] * 2 + [
        "egress"
    ] * 2
    assert len({each["peer_name"] for each in rows}) == 2
    assert all(0 < each["gridnb"] < 20 for each in rows[2:4])
