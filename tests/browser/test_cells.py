"""What cells at a site put out, in JupyterLab: bars, colours, figures, errors, late text."""

from __future__ import annotations

import re
import textwrap

import pytest

from tests.browser.books import write
from tests.browser.chromium import open_notebook
from tests.browser.test_notebook import closed, picture  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

BAR = """
%%grid
import time
from tqdm import tqdm
for i in tqdm(range(30)):
    time.sleep(0.1)
"""
WIDGETS = """
%%grid
from tqdm.notebook import tqdm
import ipywidgets
for i in tqdm(range(20)):
    time.sleep(0.1)
ipywidgets.IntSlider(3)
"""
COLOURS = r"""
%%grid
import sys
print("\x1b[31mred\x1b[0m \x1b[1;34mblue\x1b[0m \x1b[42mon green\x1b[0m")
print("10 %", end="\r")
print("100 %")
print("careful", file=sys.stderr)
"""
FIGURES = """
%%grid
import matplotlib.pyplot as plt
plt.figure(figsize=(3, 1.5))
plt.plot([1, 3, 2])
plt.show()
import plotly.graph_objects as go
go.Figure(go.Scatter(y=[1, 3, 2]), layout={"height": 220, "width": 420})
"""
EARLIER = "def ratio(x):\n    y = x - 1\n    return 1 / y"
ERROR = """
%%grid
print("before")
numbers = [3, 1]
[ratio(n) for n in numbers]
"""
GROUP = """
%%grid
raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
"""
LATE = """
%%grid
import threading
def work():
    time.sleep(2)
    print("from the thread")
threading.Thread(target=work, name="work").start()
print("now")
"""


def test_what_cells_put_out(browser, lab, closed):  # noqa: F811
    pytest.importorskip("plotly")
    write(
        lab.notebooks / "cells.ipynb",
        "%load_ext gridnb\n%grid connect demo --budget 5 GD\n%grid request --sites alpha --cores 1",
        *(textwrap.dedent(cell).strip("\n") for cell in (BAR, WIDGETS, COLOURS, FIGURES)),
        EARLIER,
        *(textwrap.dedent(cell).strip("\n") for cell in (ERROR, GROUP, LATE)),
        "1 + 1",
    )
    with open_notebook(browser, lab, "cells.ipynb", height=2200) as notebook:
        notebook.run_cell(0)
        # A bar moves while its cell runs, and is one line at its end.
        notebook.run_cell(1, wait=False)
        stderr = notebook.cell(1).locator(".jp-OutputArea-output[data-mime-type*=stderr]").first
        stderr.filter(has_text=re.compile(r"\b[5-9]/30")).wait_for(timeout=60_000)
        assert "30/30" not in notebook.output(1)
        notebook.wait_idle(60)
        assert "30/30" in notebook.output(1) and "5/30" not in notebook.output(1)
        notebook.run_cell(2, wait=False)
        notebook.cell(2).get_by_text(re.compile(r"\b1?\d/20")).first.wait_for(timeout=60_000)
        notebook.wait_idle(60)
        shown = notebook.output(2)
        assert "20/20" in shown and "IntSlider(value=3)" in shown
        assert "Error displaying widget" not in shown and "widgets show as text" in shown
        for index in (3, 4):
            notebook.run_cell(index)
        assert "100 %" in notebook.output(3) and "10 %" not in notebook.output(3)
        assert notebook.cell(3).locator(".ansi-red-fg").inner_text() == "red"
        assert notebook.cell(4).locator(".jp-RenderedImage img").count() == 1
        notebook.cell(4).locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
        for index in (5, 6, 7):
            notebook.run_cell(index)
        error = notebook.output(6)
        assert "before" in error and "ratio(x)" in error and "return 1 / y" in error
        assert "ExceptionGroup: several" in notebook.output(7)
        for text in (error, notebook.output(7)):
            assert "gridnb/" not in text and "run_cell_magic" not in text
        notebook.run_cell(8)
        notebook.run_cell(9)
        # Another cell has run meanwhile; the text comes to the one that it belongs to.
        notebook.cell(8).get_by_text("from the thread").wait_for(timeout=60_000)
        assert "from the thread" not in notebook.output(9)
        picture(notebook, "cells", [1, 2, 3, 4, 6, 7, 8])
        notebook.page.set_viewport_size({"width": 480, "height": 1600})
        notebook.command("application:toggle-left-area")
        picture(notebook, "cells-narrow", [1, 2, 6])
