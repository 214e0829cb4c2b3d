"""A cell at a site does what the same cell does in the notebook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cells.corpus import CASES, KNOWN, Known
from tests.cells.site import cell_process, make_tls

KEYS = ("error", "checks", "stdout", "stderr", "value", "shown", "names", "trace")

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


# All of it runs when the first test asks.
pytestmark = pytest.mark.timeout(600)


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
            timeout=500,
        )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_same_as_in_the_notebook(ran: dict[str, Any], name: str) -> None:
    plain, grid = both(ran, name)
    for key in KEYS:
        assert grid[key] == plain[key], key


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.case.name)
def test_known_difference_is_just_that(ran: dict[str, Any], known: Known) -> None:
    plain, grid = both(ran, known.case.name)
    for key in KEYS:
        if key not in known.differs:
            assert grid[key] == plain[key], key
            continue
        here, there = known.differs[key]
        assert grid[key] != plain[key], f"{key} does not differ any more"
        assert re.search(here, as_text(plain[key]), re.DOTALL), (key, plain[key])
        assert re.search(there, as_text(grid[key]), re.DOTALL), (key, grid[key])


@pytest.mark.parametrize("says", sorted({known.says for known in KNOWN}))
def test_known_difference_is_in_the_docs(says: str, root: Path) -> None:
    text = (root / "docs" / "cells.md").read_text()
    assert f"| **{says}**" in text


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in [*CASES, *(known.case for known in KNOWN)]]
    assert len(set(names)) == len(names)


def both(ran: dict[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a case did, plain and at a site."""
    plain, grid = ran[name]["plain"], ran[name]["grid"]
    assert "crash" not in plain, plain["crash"]
    assert "crash" not in grid, grid["crash"]
    return plain, grid


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
