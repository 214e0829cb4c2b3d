"""A sweep in a browser: one line says how far it is, and becomes the line of its costs."""

from __future__ import annotations

import re

import pytest

from tests.browser.books import write
from tests.browser.chromium import open_notebook
from tests.browser.test_notebook import closed, kind, picture

__all__ = ["closed"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

CONNECT = """\
%load_ext gridnb
%grid connect demo --budget 5 GD
%grid request --cores 2 --sites alpha"""
SWEEP = """\
%%grid --sweep rate=[0.1, 0.2, 0.4] depth=range(1, 5) --into table
import time
time.sleep(1)
{"score": rate * depth, "deep": depth > 2}"""
KEEP = """\
%%grid --replicas 2 --sites alpha,beta --retries 1
import pandas as pd
frame = pd.DataFrame({"a": range(1_000_000)})"""


def test_the_line_of_a_sweep_stays_where_it_is(browser, front, closed):
    write(front.notebooks / "sweep.ipynb", CONNECT, SWEEP, KEEP, "frame")
    with open_notebook(browser, front, "sweep.ipynb") as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1, wait=False)
        outputs = notebook.cell(1).locator(".jp-OutputArea-child")
        first = outputs.first.filter(has_text=re.compile(r"\d of 12 · .*now rate = "))
        first.wait_for(timeout=40_000)
        before = outputs.first.bounding_box()
        notebook.screenshot(f"sweep-running-{kind(front)}", cell=1)
        notebook.wait_idle()
        line = notebook.cell(1).locator(".gridnb-line")
        assert line.count() == 1 and "GD" in line.inner_text()
        assert outputs.count() == 3, "how far it came, below it the table, then the line"
        after = outputs.first.bounding_box()
        assert before is not None
        assert after is not None
        assert abs(before["y"] - after["y"]) < 1 and abs(before["height"] - after["height"]) < 12
        assert "score" in outputs.nth(1).inner_text()
        notebook.run_cell(2)
        assert "kept at alpha, beta: frame (7.63 MiB)" in notebook.output(2)
        notebook.run_cell(3)
        assert "DataFrame · at alpha, beta · 7.63 MiB" in notebook.output(3)
        picture(notebook, f"sweep-{kind(front)}", [1, 2, 3])
        if kind(front) == "lab":  # its side bar leaves no room
            notebook.command("application:toggle-left-area")
        notebook.page.set_viewport_size({"width": 480, "height": 900})
        notebook.screenshot(f"sweep-{kind(front)}-narrow", cell=1)
