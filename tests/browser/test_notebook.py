"""The first notebook and the states of a cell, in JupyterLab and in Notebook 7, light and dark."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.browser.books import write
from tests.browser.chromium import Notebook, open_notebook
from tests.browser.lab import Lab, Notebook7
from tests.home import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def kind(front: Lab | Notebook7) -> str:
    return type(front).__name__.lower()


def picture(notebook: Notebook, name: str, cells: list[int]) -> None:
    """Take pictures of cells in both themes."""
    for theme in ("light", "dark"):
        notebook.theme(theme)
        for cell in cells:
            notebook.screenshot(f"{name}-{cell}-{theme}", cell=cell)
    notebook.theme("light")


@pytest.fixture
def closed():
    """A grid that a failed test leaves behind is ended."""
    yield
    from gridnb.grid import Grid
    from gridnb.hub.find import hubs

    for hub in hubs():
        Grid.attach(hub).close()


def test_the_first_notebook(browser, front, closed):
    pytest.importorskip("dask.dataframe")
    shutil.copy(ROOT / "notebooks" / "01_first_cell.ipynb", front.notebooks)
    with open_notebook(browser, front, "01_first_cell.ipynb", height=2400) as notebook:
        notebook.run_all(timeout=200)
        shown = notebook.page.locator(".jp-Notebook").inner_text()
        assert "Alaska Airlines Inc." in shown and "has ended" in shown
        for text in ("MathJax", "Traceback"):
            assert text not in shown
        count = notebook.page.locator(".jp-Notebook .jp-Cell").count()
        cells = [
            n for n in range(count) if notebook.cell(n).locator(".jp-OutputArea-output").count()
        ]
        picture(notebook, f"first-{kind(front)}", cells)


def test_the_line_under_a_cell_lives(browser, front, closed):
    write(
        front.notebooks / "line.ipynb",
        "%load_ext gridnb\n%grid connect demo --budget 5 GD",
        "%%grid --sites alpha --cores 1\nprice = '$5 and $6'\nprice",
        "import time; time.sleep(3)",
        "%%grid\nstays = (i for i in range(3))\n1 / 0",
        "%%grid --map n=range(6)\nimport time\ntime.sleep(0.6)\nn",
        "%grid status",
        "%grid frobnicate",
        "%grid release",
    )
    with open_notebook(browser, front, "line.ipynb", height=1600) as notebook:
        for index in (0, 1):
            notebook.run_cell(index)
        assert "≈" in notebook.output(1) and "alpha" in notebook.output(1)
        line = notebook.cell(1).locator(".gridnb-line")
        line.filter(has_text="warm for 0:").wait_for(timeout=10_000)
        exact = line.filter(has_not_text="≈")
        exact.wait_for(timeout=10_000)
        before = re.search(r"warm for (\S+),", line.inner_text())[1]
        notebook.page.wait_for_timeout(5000)
        after = re.search(r"warm for (\S+),", line.inner_text())[1]
        assert after < before
        for index in range(3, 7):
            notebook.run_cell(index)
        notebook.cell(4).locator(".gridnb-line", has_text="warm").wait_for(timeout=10_000)
        assert "warm" not in line.inner_text()
        assert "ZeroDivisionError" in notebook.output(3)
        assert "RequestError: %grid: there is no `%grid frobnicate`" in notebook.output(6)
        picture(notebook, f"line-{kind(front)}", [0, 1, 3, 4, 5, 6])
        notebook.run_cell(7)
        notebook.cell(4).locator(".gridnb-line", has_text="· released").wait_for(timeout=10_000)
        notebook.screenshot(f"line-{kind(front)}-released", cell=4)
        # what stands between two dollar signs is not typeset
        assert "$5 and $6" in notebook.output(1)
        assert notebook.page.locator("mjx-container").count() == 0


def test_the_stop_button_and_a_restart(browser, front, closed):
    write(
        front.notebooks / "stop.ipynb",
        "%load_ext gridnb\n%grid connect demo --budget 5 GD",
        "%%grid --sites gamma --cores 1\nimport time\nkept = 7\nprint('on')\ntime.sleep(60)",
        "%%grid\nkept + 1",
        "import dask\ndask.delayed(sum)([kept, 1]).compute()",
    )
    with open_notebook(browser, front, "stop.ipynb", height=1200) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1, wait=False)
        notebook.cell(1).locator(".jp-OutputArea-output", has_text="on").first.wait_for()
        notebook.cell(1).get_by_text("on", exact=True).wait_for(timeout=30_000)
        notebook.command("notebook:interrupt-kernel")
        notebook.wait_idle(20)
        assert "KeyboardInterrupt" in notebook.output(1)
        assert "was ended" not in notebook.output(1)
        for index in (2, 3):
            notebook.run_cell(index)
            assert "8" in notebook.output(index).split()
        picture(notebook, f"stop-{kind(front)}", [1, 2, 3])
        notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        notebook.wait_idle(60)
        notebook.run_cell(0)
        assert "back on grid" in notebook.output(0)
        notebook.run_cell(2)
        assert "NameError" in notebook.output(2)
        assert "in the notebook" not in notebook.output(2)
