"""Jobs in a browser: they show themselves, are cancelled while a cell runs, and come back."""

from __future__ import annotations

import re
import time

import pytest

from tests.browser.books import write
from tests.browser.chromium import open_notebook
from tests.browser.test_notebook import closed, kind, picture

__all__ = ["closed"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

CONNECT = "%load_ext gridnb\n%grid connect demo --budget 5 GD"
LONG = """\
%%grid --background
import re
import time
for step in range(600):
    print(f"step {step}")
    time.sleep(0.1)"""
FIGURE = """\
%%grid --background --sites alpha
import matplotlib.pyplot as plt
from tqdm import tqdm
for step in tqdm(range(5)):
    pass
print("\\x1b[31mred\\x1b[0m and plain")
fig, axes = plt.subplots(figsize=(4, 1.5))
axes.plot([1, 3, 2])
answer = 42
answer"""


def test_a_job_is_cancelled_while_a_cell_runs(browser, front, closed):
    write(
        front.notebooks / "jobs.ipynb",
        CONNECT,
        LONG,
        "import time\nprint('on', flush=True)\ntime.sleep(8)\nprint('over')",
        "%grid jobs",
    )
    with open_notebook(browser, front, "jobs.ipynb") as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        view = notebook.cell(1).locator(".gridnb-job")
        view.filter(has_text=re.compile(r"step \d\d")).wait_for(timeout=40_000)
        notebook.run_cell(2, wait=False)
        notebook.cell(2).get_by_text("on", exact=True).wait_for(timeout=10_000)
        notebook.screenshot(f"job-running-{kind(front)}", cell=1)
        notebook.cell(1).get_by_role("button", name="Cancel").click()
        clicked = time.monotonic()
        view.filter(has_text="cancelled").wait_for(timeout=4_000)
        assert time.monotonic() - clicked < 4
        assert "over" not in notebook.output(2)
        assert notebook.cell(1).get_by_role("button", name="Cancel").count() == 0
        notebook.wait_idle()
        notebook.run_cell(3)
        assert "cancelled" in notebook.output(3)


def test_a_job_comes_back_after_a_restart(browser, lab, closed):
    write(
        lab.notebooks / "again.ipynb",
        CONNECT,
        FIGURE,
        "%grid jobs",
        "%grid attach 1",
        "answer + 1",
    )
    with open_notebook(browser, lab, "again.ipynb", height=1500) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        view = notebook.cell(1).locator(".gridnb-job")
        view.filter(has_text="done").wait_for(timeout=30_000)
        view.locator("img").wait_for()
        assert "red and plain" in view.inner_text()
        notebook.page.wait_for_timeout(3500)  # its cost is final then
        picture(notebook, "job-done", [1])
        notebook.page.evaluate(
            "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        notebook.wait_idle()
        notebook.run_cell(0)
        assert "back" in notebook.output(0)
        notebook.run_cell(2)
        run = notebook.output(2).split("job")[1].split()
        run = next(word for word in run if word.endswith("-1"))
        write_cell(notebook, 3, f"%grid attach {run}")
        notebook.run_cell(3)
        assert "red and plain" in notebook.output(3) and "42" in notebook.output(3)
        notebook.cell(3).locator("img").wait_for()
        picture(notebook, "job-attached", [2, 3])
        notebook.run_cell(4)
        assert notebook.output(4) == "43"


def write_cell(notebook, index: int, text: str) -> None:
    """Replace the text of a cell."""
    notebook.page.evaluate(
        "([n, text]) => jupyterapp.shell.currentWidget.content.widgets[n].model"
        ".sharedModel.setSource(text)",
        [index, text],
    )
