"""The notebooks with pictures, in JupyterLab, light and dark, wide and narrow."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest

from tests.browser.chromium import Notebook, open_notebook
from tests.home import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(480)]

ERROR = re.compile(r"^\s*(RequestError|CellLost|\w*Error\b.*Traceback)", re.DOTALL)
CELLS = ".jp-Notebook .jp-Cell"
PLOT = ".js-plotly-plot .main-svg"


@pytest.fixture
def closed():
    """A grid that a failed test leaves behind is ended."""
    yield
    from gridnb.grid import Grid
    from gridnb.hub.find import hubs

    for hub in hubs():
        Grid.attach(hub).close()


def shown_cells(notebook: Notebook) -> list[int]:
    """Return the cells that show something."""
    cells = range(notebook.page.locator(CELLS).count())
    return [n for n in cells if notebook.cell(n).locator(".jp-OutputArea-output").count()]


def pictures(notebook: Notebook, name: str) -> None:
    """Take a picture of each cell with an output, in both themes."""
    for theme in ("light", "dark"):
        notebook.theme(theme)
        for cell in shown_cells(notebook):
            notebook.screenshot(f"{name}-{cell:02}-{theme}", cell=cell)


@pytest.mark.parametrize(
    ("book", "plots", "errors", "width"),
    [
        ("02_quote_meter_budget", 4, 2, 1280),
        ("03_deadline_against_cost", 2, 0, 1280),
        ("04_your_own_catalog", 2, 0, 1280),
        ("05_four_benefits", 5, 1, 1280),
        ("06_background_jobs", 1, 0, 480),
        ("07_sites_come_and_go", 2, 0, 1280),
    ],
)
def test_a_notebook_is_run_and_seen(browser, lab, closed, book, plots, errors, width):
    pytest.importorskip("dask.dataframe")
    shutil.copy(ROOT / "notebooks" / f"{book}.ipynb", lab.notebooks)
    with open_notebook(browser, lab, f"{book}.ipynb", width=width, height=2400) as notebook:
        notebook.command("application:toggle-left-area")
        notebook.run_all(timeout=300)
        pictures(notebook, book)
        shown = notebook.page.locator(".jp-Notebook").inner_text()
        assert "has ended" in shown and "MathJax" not in shown
        assert notebook.page.locator(".jp-Notebook").locator(PLOT).count() >= plots
        failed = notebook.page.locator(".jp-OutputArea-output").filter(has_text=ERROR)
        assert failed.count() == errors


def test_a_job_is_there_after_a_restart(browser, lab, closed):
    path = shutil.copy(
        ROOT / "notebooks" / "06_background_jobs.ipynb", lab.notebooks / "again.ipynb"
    )
    code = {
        n: cell.source
        for n, cell in enumerate(nbformat.read(path, as_version=4).cells)
        if cell.cell_type == "code"
    }

    def index(text: str) -> int:
        return next(n for n, source in code.items() if text in source)

    with open_notebook(browser, lab, "again.ipynb", height=2400) as notebook:
        notebook.run_cell(index("%grid connect demo --budget"))
        notebook.run_cell(index("--into long"))
        notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        notebook.wait_idle(60)
        again = max(n for n, source in code.items() if "%load_ext" in source)
        for n in code:
            if n >= again:
                notebook.run_cell(n)
        assert "back on grid" in notebook.output(again)
        attached = notebook.output(index("%grid attach {newest}"))
        assert "begun" in attached and "42" in attached
        assert notebook.output(index("%grid attach {newest}") + 1) == "42"
