"""A cell at a site does what the same cell does in the notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cells.corpus import CASES
from tests.cells.site import cell_process, make_tls

HELPERS = """
K = 7
def double(x):
    return helper(x) * 2
def helper(x):
    return x
class Thing:
    def __init__(self, n):
        self.n = n
    def twice(self):
        return double(self.n)
    def __repr__(self):
        return f"Thing({self.n})"
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every case, plain and at a site, in one notebook and one cell process."""
    directory = tmp_path_factory.mktemp("corpus")
    (directory / "notebook").mkdir()
    (directory / "notebook" / "helpers_c.py").write_text(HELPERS)
    (directory / "notebook" / "package_c").mkdir()
    (directory / "notebook" / "package_c" / "__init__.py").write_text("")
    (directory / "notebook" / "package_c" / "inner.py").write_text(
        "from .other import base\nvalue = base + 1\n"
    )
    (directory / "notebook" / "package_c" / "other.py").write_text("base = 20\n")
    tls = make_tls(directory)
    root = Path(__file__).parents[2]
    env = os.environ | {
        "PYTHONPATH": f"{directory / 'notebook'}:{root}",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    with cell_process(directory, tls, cwd=str(directory)) as site:
        done = subprocess.run(
            [sys.executable, "-m", "tests.cells.notebook", site.address, *tls],
            cwd=directory / "notebook",
            env=env,
            stdout=subprocess.PIPE,
            check=True,
            timeout=110,
        )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_same_as_in_the_notebook(ran: dict[str, Any], name: str) -> None:
    plain, grid = ran[name]["plain"], ran[name]["grid"]
    assert "crash" not in plain, plain["crash"]
    assert "crash" not in grid, grid["crash"]
    keys = ["error", "checks", "stdout", "value", "shown", "names"]
    # There IPython itself prints the error; here it is raised in the kernel, and printed then.
    if name not in {"exception group", "unknown magic"}:
        keys.append("stderr")
    for key in keys:
        assert grid[key] == plain[key], key


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
