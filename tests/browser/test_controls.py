"""Clicks while a cell runs, in JupyterLab, and in kernels that cannot have them."""

from __future__ import annotations

import time

import pytest

from tests.browser.books import write
from tests.browser.chromium import open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

BUTTON = """\
import threading
from gridnb.widgets import controls
button = controls.Button(description='cancel')
heard = []
def press(pressed):
    heard.append(threading.current_thread() is threading.main_thread())
    pressed.description = 'heard'
button.on_click(press)
display(button)"""
BUSY = "import time\nprint('on', flush=True)\nfor _ in range(80): time.sleep(0.1)\nprint('over')"
#: What an older kernel, and the kernels of other makers, answer to the question what they can do.
NO_SUBSHELLS = "type(get_ipython().kernel)._supports_kernel_subshells = False\n"
STATE = "from gridnb.widgets import controls\nprint(controls.widgets(), controls.live())"


def test_a_click_is_heard_in_the_middle_of_a_cell(browser, lab):
    write(lab.notebooks / "click.ipynb", BUTTON, BUSY, "heard, controls.live()")
    with open_notebook(browser, lab, "click.ipynb") as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1, wait=False)
        notebook.cell(1).get_by_text("on", exact=True).wait_for(timeout=10_000)
        cell = notebook.cell(0)
        cell.get_by_role("button", name="cancel").click()
        clicked = time.monotonic()
        cell.get_by_role("button", name="heard").wait_for(timeout=2_000)
        assert time.monotonic() - clicked < 2
        assert "over" not in notebook.output(1)
        assert notebook.cell(1).locator(".jp-InputPrompt").inner_text() == "[*]:"
        notebook.wait_idle()
        notebook.run_cell(2)
        assert notebook.output(2) == "([False], True)"


def test_a_kernel_without_subshells_is_known(browser, lab):
    write(lab.notebooks / "without.ipynb", NO_SUBSHELLS + STATE)
    with open_notebook(browser, lab, "without.ipynb") as notebook:
        notebook.run_cell(0)
        assert notebook.output(0) == "True False"


def test_a_front_end_without_subshells_is_known(browser, lab):
    write(
        lab.notebooks / "off.ipynb",
        "1",
        BUTTON,
        f"{STATE}\nimport time\ntime.sleep(6)\n{STATE}",
        "heard",
    )
    with open_notebook(browser, lab, "off.ipynb") as notebook:
        notebook.page.evaluate(
            "() => { const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;"
            " kernel.commsOverSubshells = 'disabled'; }"
        )
        notebook.run_cell(1)
        notebook.run_cell(2)
        assert notebook.output(2).split("\n") == ["True True", "True False"]
        notebook.cell(1).get_by_role("button", name="cancel").click()
        notebook.cell(1).get_by_role("button", name="heard").wait_for(timeout=5_000)
        notebook.run_cell(3)
        assert notebook.output(3) == "[True]"
