"""README.md tells the truth.

Its blocks that are marked ```` ```python runnable ```` are run in order as the cells
of one notebook, so they may hold magics; every command of its bash blocks is checked.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.home import ROOT
from tests.readme import blocks, commands

README = (ROOT / "README.md").read_text(encoding="utf-8")

SAMPLE = """\
```python runnable
a = 1
```
```bash
gridnb sites  # all of them
gridnb quote \\
    --cores 4
```
```
not a command
```
"""


def test_blocks_and_commands_are_found():
    assert [(each.language, each.words, each.line) for each in blocks(SAMPLE)] == [
        ("python", ("runnable",), 2),
        ("bash", (), 5),
        ("", (), 10),
    ]
    assert commands(SAMPLE) == [(5, "gridnb sites"), (6, "gridnb quote --cores 4")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_runnable_blocks_run(tmp_path):
    cells = [each.code for each in blocks(README) if "runnable" in each.words]
    assert cells, "README.md has no block marked ```python runnable"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=120, kernel_name="python3", resources=resources).execute()


def test_there_are_commands():
    assert commands(README), "README.md has no bash block"


@pytest.mark.parametrize(("line", "command"), commands(README))
def test_its_commands_exist(line, command):
    match shlex.split(command):
        case ["gridnb", *arguments]:
            from gridnb.cli import parser

            parser().parse_args(arguments)
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            for target in (each for each in targets if "=" not in each):
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
        case ["python", "-m", module, *names]:
            assert importlib.util.find_spec(module), module
            for name in names[:1] if module == "benchmarks" else ():
                assert importlib.util.find_spec(f"benchmarks.{name}"), name
        case ["jupyter", "lab", *paths]:
            assert all((ROOT / each).exists() for each in paths)
        case ["cp", *_] | ["cd", *_] | ["git", "clone", *_] | ["pip", "install", *_]:
            pass
        case _:
            pytest.fail(f"README.md line {line}: nothing here knows how to check {command!r}")


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#\s]+)", README):
        if "://" not in target and not target.startswith("mailto:"):
            assert Path(ROOT / target).exists(), f"README.md links to {target}, which is not there"
