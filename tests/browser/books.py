"""Write small notebooks for the tests."""

from __future__ import annotations

from pathlib import Path

import nbformat

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells. Its kernel is named, so that JupyterLab need not ask."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(each) for each in cells],
        metadata={"kernelspec": KERNEL},
    )
    nbformat.write(book, path)
    return path
