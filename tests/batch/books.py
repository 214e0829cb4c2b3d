"""Notebooks for batch runs, and running them as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from tests.grids import catalog

COMMAND = [sys.executable, "-m", "gridnb.cli", "run"]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}

#: The first cell of a notebook that has parameters.
PARAMETERS = "n = 3\nname = 'x'"


def write(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells; :data:`PARAMETERS` is tagged."""
    made = [nbformat.v4.new_code_cell(each) for each in cells]
    for cell in made:
        if cell.source == PARAMETERS:
            cell.metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": KERNEL})
    nbformat.write(book, path)
    return path


def priced(path: Path, **changes: Any) -> Path:
    """Write a catalog of one priced site on this machine; see :func:`tests.grids.catalog`."""
    path.write_text(catalog(**changes).to_json())
    return path


def gridnb_run(*words: str | Path, cwd: Path, timeout: float = 110) -> tuple[int, str, str]:
    """Run a notebook; returns the exit code and what stood in the terminal."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "100"},
    )
    return done.returncode, done.stdout, done.stderr


def told(*words: str | Path, cwd: Path) -> dict[str, Any]:
    """Run a notebook that must get to its end; returns what ``--json`` says."""
    code, out, err = gridnb_run(*words, "--json", cwd=cwd)
    assert code == 0, err
    data: dict[str, Any] = json.loads(out)
    return data


def text(cell: Any) -> str:
    """Return the text of a cell's outputs."""
    parts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(part for part in parts if part)
