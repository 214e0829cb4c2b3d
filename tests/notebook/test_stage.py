"""``%grid stage`` and ``%grid fetch``: files that cells read and write."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def data(grid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "other.txt").write_text("other")
    grid.ok(f"import os; os.chdir({str(folder)!r})")
    return folder


def test_a_cell_reads_what_was_staged(grid, data):
    reply = grid.ok("table = %grid stage table.csv")
    assert "staged table.csv · 1 file · 12 B · at alpha · 12 B sent so far" in reply.line
    code = "%%grid --sites alpha\nimport pandas as pd\nint(pd.read_csv(table)['b'].sum())"
    assert grid.ok(code).result == "6"
    assert grid.ok("%%grid\nopen(table).readline()").result == repr("a,b\n")
    there = grid.ok("%%grid\nos.fspath(table), table.path").result
    assert "alpha" in there and grid.value("table.path") in there
    assert grid.value("os.fspath(table)") == repr(str(data / "table.csv"))


def test_without_a_path_it_lists(grid, data):
    grid.ok("%grid stage other.txt")
    reply = grid.ok("%grid stage")
    bundle = next(m for m in reply.messages if m["msg_type"] == "execute_result")
    for kind in ("text/plain", "text/html"):
        text = bundle["content"]["data"][kind]
        for part in ("other.txt", "alpha", "not sent again", "the notebook → alpha", "egress"):
            assert part in text


def test_what_a_cell_has_written_is_fetched(grid, data):
    grid.ok("out = grid.volume / 'out'")
    grid.ok("%%grid --sites alpha\nwith open(out / 'r.txt', 'w') as f:\n    f.write('result')")
    reply = grid.ok("where = %grid fetch out/r.txt here.txt")
    assert "fetched" in reply.line
    assert (data / "here.txt").read_text() == "result"
    assert grid.value("(out / 'r.txt').exists()") == "False"
    grid.ok("%grid fetch out")
    assert grid.value("(out / 'r.txt').read_text()") == "'result'"
    grid.ok("result = out / 'r.txt'\neverywhere = %grid stage result")
    assert grid.ok("%%grid\neverywhere.read_text()").result == "'result'"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("%grid stage tabel.csv", "did you mean 'table.csv'?"),
        ("%grid stage nonsense://x", "nonsense:// cannot be read"),
        ("%grid fetch out/none", "has out/none in the volume"),
        ("%grid fetch", "missing: path"),
        ("%grid fetch out --site alpah", "did you mean 'alpha'?"),
        ("%grid stage table.csv extra", "'extra' is one word too many"),
    ],
)
def test_bad_input_is_one_line(grid, data, code, text):
    reply = grid.run(code)
    assert reply.status == "error" and text in reply.error
    assert "\n" not in reply.error.strip()


def test_paths_are_completed(grid, data):
    assert grid.complete("%grid stage tab") == ["table", "table.csv"]
    assert "out/" in grid.complete("%grid fetch ")
    assert grid.complete("%grid fetch out/") == ["out/r.txt"]
    assert "alpha" in grid.complete("%grid fetch out --site ")


def test_help(grid):
    said = grid.ok("%grid stage --help").outputs
    assert "data = %grid stage data/" in said[0][1]
