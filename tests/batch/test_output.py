"""The copy of a notebook: what is written into it, and how."""

from __future__ import annotations

import stat

import nbformat
import pytest

from gridnb.batch.bill import title
from gridnb.batch.output import BILL, Output, without_results
from gridnb.errors import GridError
from tests.batch.books import write

ABOUT = {"budget": "1 GD", "failed": "", "seconds": 2.0, "accounts": [], "grids": []}


@pytest.fixture
def output(tmp_path):
    book = nbformat.read(write(tmp_path / "book.ipynb", "1", "%%grid\n# more\n2 | 3"), 4)
    return Output(book, tmp_path / "out.ipynb", runs={0: [], 1: ["r"]}, seconds={0: 0.1, 1: 0.2})


def test_what_a_run_has_added_is_taken_away_again(output):
    before = nbformat.writes(output.book)
    output.book.cells[0].outputs = [nbformat.v4.new_output("stream", text="1")]
    output.book.cells[0].execution_count = 1
    output.note([], ABOUT)
    output.add_bill()
    assert output.book.cells[-1].metadata["tags"] == [BILL]
    assert output.book.cells[1].metadata["gridnb"] == {"seconds": 0.2, "cost": {}, "runs": ["r"]}
    book = without_results(output.book)
    assert nbformat.writes(book) == before


def test_a_run_that_cost_nothing_says_so(output):
    output.note([], ABOUT)
    output.add_bill()
    assert "**nothing was charged** of 1 GD · 2 s" in output.book.cells[-1].source


def test_what_cannot_be_written_is_said_and_nothing_stays(output, tmp_path):
    output.save()
    assert stat.S_IMODE(output.path.stat().st_mode) & 0o400
    output.path.chmod(0o640)
    output.save()
    assert stat.S_IMODE(output.path.stat().st_mode) == 0o640
    output.path = tmp_path / "no" / "out.ipynb"
    with pytest.raises(GridError, match="cannot be written: No such file or directory"):
        output.save()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["book.ipynb", "out.ipynb"]


def test_a_cell_is_named_by_its_first_line_of_code(output):
    assert title(output.book.cells[1].source) == "2 | 3"
    assert title("%%grid --cores 2") == "an empty cell"
    assert len(title("x" * 100)) == 40
