"""The panel in JupyterLab and in Notebook 7: what is clicked, and what follows on the page."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests.browser.books import write
from tests.browser.chromium import Notebook, open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

CONNECT = "%load_ext gridnb\n%grid connect demo --budget 5 GD"
#: Nothing here waits as long as this cell takes by itself.
LONG = "%%grid --sites alpha --cores 1\nimport time\nprint('on')\ntime.sleep(150)"
THREADS = "import threading\n[t.name for t in threading.enumerate() if 'gridnb-panel' in t.name]"
SOON = 20_000
PANEL, CELL = 1, 2


@pytest.fixture
def closed():
    """A grid that a test leaves behind is ended."""
    yield
    from gridnb.grid import Grid
    from gridnb.hub.find import hubs

    for hub in hubs():
        Grid.attach(hub).close()


def button(notebook: Notebook, name: str | re.Pattern[str]):
    return notebook.cell(PANEL).get_by_role("button", name=name)


def live(notebook: Notebook):
    """The panel's widgets; what is saved stands above them, hidden."""
    return notebook.cell(PANEL).locator(".widget-vbox").first


def says(notebook: Notebook, text: str | re.Pattern[str]):
    return live(notebook).get_by_text(text)


def saved(notebook: Notebook):
    """The line that says from when what is saved is."""
    return notebook.cell(PANEL).get_by_text(re.compile("as of 2"))


def runs(notebook: Notebook) -> bool:
    return notebook.cell(CELL).locator(".jp-InputPrompt").inner_text() == "[*]:"


def changes(notebook: Notebook, selector: str) -> None:
    """Wait until what stands there has changed."""
    before = live(notebook).locator(selector).inner_text()
    notebook.page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.innerText !== before",
        arg=[f".widget-vbox {selector}", before],
        timeout=SOON,
    )


def lines(notebook: Notebook) -> int:
    """How many sites the chart shows, when it has drawn some."""
    return notebook.page.wait_for_function(
        "() => document.querySelector('.gridnb-chart')?.data?.length", timeout=SOON
    ).json_value()


def pictures(notebook: Notebook, name: str) -> None:
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"{name}-{theme}", cell=PANEL)
    notebook.theme("light")


def start(notebook: Notebook) -> None:
    notebook.run_cell(0)
    notebook.run_cell(PANEL)
    button(notebook, "Request · 0.06 GD per simulated hour").wait_for(timeout=SOON)


def begin(notebook: Notebook) -> None:
    """Start the long cell and wait until it is at work."""
    notebook.run_cell(CELL, wait=False)
    notebook.cell(CELL).get_by_text("on", exact=True).wait_for(timeout=SOON)


def test_a_panel_lives_while_a_cell_runs(browser, front, closed):
    write(front.notebooks / "panel.ipynb", CONNECT, "%grid panel", LONG, "%grid close", THREADS)
    kind = type(front).__name__.lower()
    with open_notebook(browser, front, "panel.ipynb", height=1700) as notebook:
        start(notebook)
        says(notebook, "nothing was charged yet").wait_for()
        begin(notebook)

        # the quote follows the slider, the meter moves, and all that while the cell runs
        live(notebook).locator(".noUi-target").first.click(position={"x": 60, "y": 3})
        says(notebook, re.compile(r"([2-9]|\d\d) cores, ")).wait_for(timeout=SOON)
        button(notebook, re.compile("Request · 0.[1-9]")).wait_for(timeout=SOON)
        changes(notebook, ".gridnb-spent")
        assert lines(notebook) == 1
        pictures(notebook, f"panel-{kind}-wide")
        assert runs(notebook)

        # a mistake is said in its place
        notebook.cell(PANEL).get_by_placeholder("no limit, or like 2 GD").fill("much")
        says(notebook, "'much' is not an amount of money").wait_for(timeout=SOON)
        assert button(notebook, "Request").is_disabled()
        notebook.cell(PANEL).get_by_placeholder("no limit, or like 2 GD").fill("")
        button(notebook, re.compile("Request · 0.[1-9]")).wait_for(timeout=SOON)

        # a budget is raised after a question
        notebook.cell(PANEL).get_by_placeholder("new budget, like 8 GD").fill("8")
        button(notebook, "Change budget").click()
        says(notebook, "Raise the budget from 5.00 GD to 8.00 GD?").wait_for(timeout=SOON)
        assert says(notebook, "of 5.0000 GD").count() == 1
        button(notebook, "Yes, raise it").click()
        says(notebook, "of 8.0000 GD").wait_for(timeout=SOON)
        says(notebook, re.compile(r"at most 7\.\d+ GD")).wait_for(timeout=SOON)  # quoted anew
        assert runs(notebook)

        # and the cell is cancelled long before its end
        button(notebook, "Cancel").click()
        notebook.cell(CELL).get_by_text("KeyboardInterrupt").first.wait_for(timeout=SOON)
        notebook.wait_idle(20)
        says(notebook, "nothing runs").wait_for(timeout=SOON)

        button(notebook, "Show the bill").click()
        button(notebook, "Show it anew").wait_for(timeout=SOON)
        button(notebook, "Release").click()
        says(notebook, "no leases").wait_for(timeout=SOON)

        notebook.run_cell(3)
        closing = notebook.cell(PANEL).get_by_text("the connection was closed then")
        closing.wait_for(timeout=SOON)
        assert notebook.cell(PANEL).locator(".jp-OutputArea button").count() == 0
        notebook.run_cell(4)
        assert notebook.output(4) == "[]"


def test_a_request_by_button_and_a_panel_after_a_restart(browser, lab, closed):
    write(lab.notebooks / "again.ipynb", CONNECT, "%grid panel", "%%grid\n1 + 1", "%grid close")
    with open_notebook(browser, lab, "again.ipynb", height=1700) as notebook:
        start(notebook)
        button(notebook, "alpha").click()
        button(notebook, "Request · 0.22 GD per simulated hour").click()
        says(notebook, "leased 1 × alpha standard").wait_for(timeout=SOON)
        says(notebook, "l1 · 1 × alpha standard").wait_for(timeout=SOON)
        notebook.run_cell(CELL)
        says(notebook, "In [3] 1 + 1").wait_for(timeout=SOON)
        assert lines(notebook) == 1

        notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        notebook.wait_idle(60)
        notebook.run_cell(0)
        assert "back on grid" in notebook.output(0)
        notebook.run_cell(PANEL)
        says(notebook, "In [3] 1 + 1").wait_for(timeout=SOON)
        says(notebook, "l1 · 1 × alpha standard").wait_for(timeout=SOON)
        assert lines(notebook) == 1
        assert float(live(notebook).locator(".gridnb-spent").inner_text().split()[0]) > 0

        button(notebook, "Close").click()
        saved(notebook).wait_for(timeout=SOON)
        assert button(notebook, "Close").count() == 0
        notebook.run_cell(3)


def test_a_narrow_panel(browser, lab, closed):
    write(lab.notebooks / "narrow.ipynb", CONNECT, "%grid panel", LONG, "%grid close")
    with open_notebook(browser, lab, "narrow.ipynb", width=480, height=1900) as notebook:
        notebook.command("application:toggle-left-area")
        start(notebook)
        begin(notebook)
        changes(notebook, ".gridnb-spent")
        lines(notebook)
        pictures(notebook, "panel-narrow")
        wide = notebook.page.evaluate(
            "() => { const cell = document.querySelectorAll('.jp-Cell')[1];"
            " const area = cell.querySelector('.jp-OutputArea');"
            " return [area.scrollWidth, area.clientWidth] }"
        )
        assert wide[0] <= wide[1]
        button(notebook, "Cancel").click()
        notebook.cell(CELL).get_by_text("KeyboardInterrupt").first.wait_for(timeout=SOON)
        notebook.run_cell(3)


def test_what_a_saved_notebook_shows(browser, lab, closed):
    path = write(lab.notebooks / "saved.ipynb", CONNECT, "%grid panel")
    with open_notebook(browser, lab, "saved.ipynb", height=1500) as notebook:
        start(notebook)
        assert saved(notebook).is_hidden()
        notebook.command("docmanager:save")
        notebook.page.wait_for_timeout(1500)
        notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
        )
    with open_notebook(browser, lab, "saved.ipynb", height=1500) as notebook:
        saved(notebook).wait_for(timeout=SOON)
        notebook.page.wait_for_timeout(3000)  # the widgets that are gone have given up
        shown = notebook.cell(PANEL).locator(".jp-OutputArea").inner_text()
        assert "5.0000 GD" in shown and "zeta" in shown
        assert "Error displaying widget" not in shown
        notebook.screenshot("panel-saved", cell=PANEL)
        # JupyterLab says on its console that the widgets are gone
        notebook.errors[:] = [e for e in notebook.errors if "widget model not found" not in e]
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(nbformat.read(path, as_version=4))
    assert re.search("as of 2.*zeta", page, re.DOTALL)
    assert "widget-view" not in page


def test_where_there_are_no_subshells_the_panel_says_what_to_do(browser, lab, closed):
    without = "type(get_ipython().kernel)._supports_kernel_subshells = False\n"
    write(lab.notebooks / "older.ipynb", without + CONNECT, "%grid panel", LONG, "%grid close")
    with open_notebook(browser, lab, "older.ipynb", height=1500) as notebook:
        start(notebook)
        says(notebook, "interrupt the kernel (■) to cancel it").wait_for(timeout=SOON)
        begin(notebook)
        changes(notebook, ".gridnb-spent")
        button(notebook, "interrupt ■").wait_for(timeout=SOON)
        assert button(notebook, "interrupt ■").is_disabled()
        assert button(notebook, "Cancel").count() == 0
        assert says(notebook, "no run has ended yet").count() == 0
        notebook.screenshot("panel-no-subshells", cell=PANEL)
        notebook.command("notebook:interrupt-kernel")
        notebook.cell(CELL).get_by_text("KeyboardInterrupt").first.wait_for(timeout=SOON)
        notebook.run_cell(3)


def test_where_there_are_no_widgets_the_panel_is_text(browser, lab, closed):
    without = "import sys\nsys.modules['ipywidgets'] = None\n"
    write(lab.notebooks / "text.ipynb", without + CONNECT, "%grid panel", "%grid close")
    with open_notebook(browser, lab, "text.ipynb", height=1500) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(PANEL)
        notebook.cell(PANEL).get_by_text("this front end shows no widgets").wait_for(timeout=SOON)
        assert "zeta" in notebook.output(PANEL)
        assert notebook.cell(PANEL).locator(".jp-OutputArea button").count() == 0
        notebook.screenshot("panel-text", cell=PANEL)
        notebook.run_cell(2)
