"""Chromium, driven by Playwright, and in it a notebook in JupyterLab, Notebook 7 or Voilà."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

from tests.browser.lab import Lab, Notebook7
from tests.browser.server import Server
from tests.browser.voila import Voila
from tests.home import ROOT

#: Where screenshots go; not kept in the repository.
ARTEFACTS = ROOT / "test-artefacts"

#: Nothing outside this machine is asked for, by Chromium itself neither.
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]

_CELLS = ".jp-Notebook .jp-Cell"

#: The notebook that is open, and the state of its kernel, as JupyterLab sees them.
_IDLE = """
() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const context = panel?.sessionContext;
  const busy = [...document.querySelectorAll('.jp-InputPrompt')].some(
    each => each.textContent.includes('*'));
  return Boolean(context?.isReady && context.session?.kernel?.status === 'idle' && !busy);
}
"""


#: Voilà has run and shown the last cell.
_RENDERED = """
() => document.readyState === 'complete' && !document.getElementById('loading')
"""

#: Voilà's pages link a font of icons there; it is not asked for, and not missed.
_FONTS = "https://cdn.jsdelivr.net/**"


@contextlib.contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Start a headless Chromium and end it afterwards."""
    # Chromium's sandbox refuses to work for root, which CI is.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=[*ARGUMENTS, *sandbox]
        )
        try:
            yield browser
        finally:
            helpers = psutil.Process().children(recursive=True)
            browser.close()
            # On a busy machine its helpers take a while to notice.
            psutil.wait_procs([each for each in helpers if "chrom" in _name(each)], timeout=20)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


class Shown:
    """A page that shows a notebook, in whatever front end."""

    def __init__(self, page: Page) -> None:
        self.page = page
        #: What went wrong in the page: errors on its console, exceptions that nothing caught.
        self.errors: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location.get('url', '')})")

    def screenshot(self, name: str) -> Path:
        """Save what is seen of the page under test-artefacts; return the path."""
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


class App(Shown):
    """A notebook that Voilà shows as an application."""

    def open(self, address: str, timeout: float = 90.0) -> None:
        """Open it and wait, `timeout` seconds at most, until its cells have run and are shown."""
        self.page.route(_FONTS, lambda route: route.fulfill(body="", content_type="text/css"))
        self.page.goto(address, timeout=timeout * 1000)
        # The first cell may show nothing.
        self.page.wait_for_selector("#rendered_cells", state="attached", timeout=timeout * 1000)
        self.page.wait_for_function(_RENDERED, timeout=timeout * 1000, polling=100)


class Notebook(Shown):
    """A notebook that is open in JupyterLab or in Notebook 7."""

    def open(self, address: str, timeout: float = 90.0) -> None:
        """Open it and wait, `timeout` seconds at most, until its kernel is ready."""
        self.page.goto(address, timeout=timeout * 1000)
        self.page.wait_for_selector(_CELLS, timeout=timeout * 1000)
        self.wait_idle(timeout)

    def run_all(self, timeout: float = 120.0) -> None:
        """Run all cells and wait until the last has ended."""
        self.command("notebook:run-all-cells")
        self.wait_idle(timeout)

    def run_cell(self, index: int, timeout: float = 120.0, *, wait: bool = True) -> None:
        """Run one cell, as a user does: select it, then Control+Enter."""
        self.cell(index).locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")
        if wait:
            self.wait_idle(timeout)

    def command(self, name: str, **arguments: Any) -> None:
        """Start one of JupyterLab's commands, without waiting for its end."""
        self.page.evaluate(
            "([name, arguments]) => { window.jupyterapp.commands.execute(name, arguments); }",
            [name, arguments],
        )

    def wait_idle(self, timeout: float = 120.0) -> None:
        """Wait until the kernel is idle and no cell is running or queued."""
        # The state is polled: let it first become busy with what was just asked for.
        self.page.wait_for_timeout(200)
        self.page.wait_for_function(_IDLE, timeout=timeout * 1000, polling=100)

    def cell(self, index: int) -> Locator:
        """Return a cell, counted from 0, Markdown cells included."""
        return self.page.locator(_CELLS).nth(index)

    def output(self, index: int) -> str:
        """Return the text of a cell's outputs, as a user sees it."""
        found = self.cell(index).locator(".jp-OutputArea-output")
        return "\n".join(each.strip("\n") for each in found.all_inner_texts())

    def screenshot(self, name: str, *, cell: int | None = None) -> Path:
        """Save what is seen, of the page or of one cell, under test-artefacts; return the path."""
        if cell is None:
            return super().screenshot(name)
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        self.cell(cell).scroll_into_view_if_needed()
        self.cell(cell).screenshot(path=path)
        return path

    def theme(self, name: str) -> None:
        """Choose ``light`` or ``dark`` and wait until it is there."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        self.page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light",
            arg="true" if name == "light" else "false",
        )
        self.page.wait_for_timeout(500)


@contextlib.contextmanager
def open_notebook(
    browser: Browser, server: Lab | Notebook7, name: str, *, width: int = 1280, height: int = 900
) -> Iterator[Notebook]:
    """Open a notebook of the server's directory; at the end fail on errors in the page.

    On any failure a screenshot ``failed-NAME.png`` is left.
    """
    with _page(browser, width, height) as page, _sound(Notebook(page), server, name) as notebook:
        notebook.open(server.url(name))
        yield notebook


@contextlib.contextmanager
def open_app(
    browser: Browser,
    server: Voila,
    name: str,
    *,
    theme: str = "light",
    width: int = 1280,
    height: int = 900,
) -> Iterator[App]:
    """Open a notebook as an application; at the end fail on errors in the page, and close it."""
    with _page(browser, width, height) as page, _sound(App(page), server, name) as app:
        app.open(server.url(name, theme))
        yield app
        with page.expect_event("close"):
            page.close(run_before_unload=True)
        time.sleep(1)  # what it sends last needs Chromium to be there


@contextlib.contextmanager
def _page(browser: Browser, width: int, height: int) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        yield context.new_page()
    finally:
        context.close()


S = TypeVar("S", bound=Shown)


@contextlib.contextmanager
def _sound(shown: S, server: Server, name: str) -> Iterator[S]:
    try:
        yield shown
        errors = [each for each in shown.errors if each not in server.own_errors]
        assert not errors, "errors in the page:\n" + "\n".join(errors)
    except BaseException:
        shown.screenshot(f"failed-{Path(name).stem}")
        raise
