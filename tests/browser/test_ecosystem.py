"""Consent, help and Dask's side panel, as somebody in JupyterLab meets them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser

from gridnb.grid import Grid
from gridnb.hub.find import hubs
from tests.browser.books import write
from tests.browser.chromium import Notebook, open_notebook
from tests.browser.lab import Lab, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

EUROS = {
    "name": "euros",
    "sites": [
        {
            "name": "desk",
            "provider": "local",
            "currency": "EUR",
            "rate_card": {"core_hour": 3.6},
            "term": "30s",
            "offers": [{"name": "core", "cores": 1, "memory": "1 GiB", "count": 4}],
        }
    ],
}
FACTORY = {
    "module": "gridnb.labextension",
    "class": "GridCluster",
    "args": [],
    "kwargs": {"catalog": "here"},
}


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab whose Dask panel makes grids, on a directory with a catalog."""
    place = tmp_path_factory.mktemp("panel")
    (place / "notebooks").mkdir()
    (place / "notebooks" / "euros.yaml").write_text(yaml.safe_dump(EUROS))
    config = Path(os.environ["DASK_CONFIG"]) / "panel.yaml"
    config.write_text(yaml.safe_dump({"labextension": {"factory": FACTORY}}))
    try:
        with jupyterlab(place / "notebooks", place / "home") as started:
            yield started
    finally:
        config.unlink()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """A grid that a failed test leaves behind is ended."""
    yield
    for hub in hubs():
        Grid.attach(hub).close()


def theme_pictures(notebook: Notebook, name: str) -> None:
    for theme in ("dark", "light"):
        notebook.theme(theme)
        notebook.screenshot(f"{name}-{theme}")


def test_real_money_asks_in_the_cell(browser: Browser, server: Lab) -> None:
    write(
        server.notebooks / "consent.ipynb",
        "%load_ext gridnb\n%grid connect euros.yaml --budget 5 EUR",
        "%%grid --cores 2\nsum(range(10))",
        "%grid status",
        "grid",
        "%grid close",
    )
    with open_notebook(browser, server, "consent.ipynb") as notebook:
        notebook.run_cell(0)
        box = notebook.page.locator(".jp-Stdin-input")
        notebook.run_cell(1, wait=False)
        box.wait_for()
        asked = notebook.cell(1).locator(".jp-Stdin-prompt").inner_text()
        assert "Lease 2 × desk core for 7.20 EUR per hour" in asked
        assert "5.00 EUR left of 5.00 EUR? [y/N]" in asked
        theme_pictures(notebook, "consent-question")
        box.fill("n")
        box.press("Enter")
        notebook.wait_idle()
        assert "real money was not agreed to" in notebook.output(1)
        notebook.screenshot("consent-no")
        notebook.run_cell(2)
        assert "desk-1" not in notebook.output(2)
        notebook.run_cell(1, wait=False)
        box.wait_for()
        box.fill("y")
        box.press("Enter")
        notebook.wait_idle()
        assert "45" in notebook.output(1) and "EUR" in notebook.output(1)
        notebook.screenshot("consent-yes")
        notebook.run_cell(3)
        assert "of 5.00 EUR" in notebook.output(3) and "desk" in notebook.output(3)
        notebook.page.set_viewport_size({"width": 480, "height": 900})
        for name in ("dark", "light"):
            notebook.theme(name)
            notebook.screenshot(f"grid-narrow-{name}", cell=3)
        notebook.page.set_viewport_size({"width": 1280, "height": 900})
        notebook.screenshot("grid-wide")
        notebook.run_cell(4)


def test_help_in_the_pager(browser: Browser, server: Lab) -> None:
    write(server.notebooks / "help.ipynb", "%load_ext gridnb", "%%grid?", "%grid request --help")
    with open_notebook(browser, server, "help.ipynb", height=1400) as notebook:
        for cell in range(3):
            notebook.run_cell(cell)
        page = notebook.page
        page.get_by_text("What becomes of its result").first.wait_for()
        theme_pictures(notebook, "help-pager")
        assert "Lease workers." in notebook.output(2)


def test_the_side_panel_makes_scales_and_ends_a_grid(browser: Browser, server: Lab) -> None:
    write(server.notebooks / "panel.ipynb", "1")
    with open_notebook(browser, server, "panel.ipynb") as notebook:
        page = notebook.page
        page.locator('[data-id="dask-dashboard-launcher"]').first.click()
        page.locator('[data-command="dask:launch-cluster"]').click()
        item = page.locator(".dask-ClusterListingItem")
        item.get_by_text("GridCluster 1").wait_for(timeout=60_000)
        item.locator(".dask-ClusterListingItem-scale").click()
        page.locator(".dask-ScalingInput").first.fill("1")
        page.locator(".jp-Dialog .jp-mod-accept").click()
        item.get_by_text("Number of Workers: 1").wait_for(timeout=60_000)
        item.get_by_text("Number of Cores: 1").wait_for()
        item.locator(".dask-ClusterListingItem-code").click()
        page.get_by_text('client = Client("grid://').wait_for()
        injected = notebook.cell(0)
        assert "from dask.distributed import Client" in injected.inner_text()
        notebook.run_cell(0)
        assert "Client" in notebook.output(0) and "Error" not in notebook.output(0)
        theme_pictures(notebook, "dask-panel")
        item.locator(".dask-ClusterListingItem-stop").click()
        item.wait_for(state="detached", timeout=60_000)
        assert "Traceback" not in notebook.output(0)
        notebook.errors[:] = [each for each in notebook.errors if "dask/dashboard" not in each]


def test_a_grid_made_in_code_is_found_by_the_panel(browser: Browser, server: Lab) -> None:
    write(
        server.notebooks / "found.ipynb",
        "import gridnb\ngrid = gridnb.Grid('here', account='found')",
        "grid.close()",
    )
    with open_notebook(browser, server, "found.ipynb") as notebook:
        page = notebook.page
        notebook.run_cell(0)
        page.locator('[data-id="dask-dashboard-launcher"]').first.click()
        page.get_by_title("Auto-detect dashboard URL").click()
        plot = page.locator(".dask-DaskDashboardLauncher").get_by_text("Task Stream")
        plot.wait_for()
        assert "http://127.0.0.1:" in page.locator(".dask-URLInput input").input_value()
        plot.click()
        shown = page.frame_locator("iframe").first.locator(".bk-Figure")
        shown.first.wait_for(timeout=60_000)
        notebook.screenshot("dask-panel-found")
        tab = page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab").filter(has_text="Task Stream")
        tab.locator(".lm-TabBar-tabCloseIcon").click()
        notebook.run_cell(1)
