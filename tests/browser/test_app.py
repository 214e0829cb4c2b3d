"""A notebook as an application, in Voilà: the price before the click, the result, the charge."""

from __future__ import annotations

import re
import shutil

import pytest

from gridnb.hub.find import hubs
from gridnb.ledger import Ledger
from tests.browser.books import write
from tests.browser.chromium import App, open_app
from tests.grids import account, catalog, until
from tests.home import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: A function that can take long, fail, print and return something with HTML, and its form.
APP = """\
import time
import gridnb
def work(seconds=0, fail=False, word="done"):
    '''It sleeps, and it says a word.'''
    print("at work", flush=True)
    time.sleep(seconds)
    if fail:
        raise ValueError("as you wished")
    from IPython.display import Markdown
    return Markdown(f"**{word}** at last")
gridnb.App(
    work, seconds=[0, 60, 300], budget="%s", catalog=%r, account=%r, request={"cores": [1, 2]}
)"""


@pytest.fixture
def priced(tmp_path):
    path = tmp_path / "priced.yaml"
    path.write_text(catalog(term="30s").to_json())
    return str(path)


def button(app: App, name: str):
    return app.page.get_by_role("button", name=name, exact=True)


def shown(app: App) -> str:
    return app.page.locator(".gridnb-app").inner_text()


def wait(app: App, text: str, timeout: float = 60) -> None:
    app.page.locator(".gridnb-app").get_by_text(text).first.wait_for(timeout=timeout * 1000)


def choose(app: App, label: str, value: str) -> None:
    app.page.get_by_label(label, exact=True).select_option(value)


def gone(name: str) -> None:
    """Wait until a closed page has left nothing that runs or is held."""
    until(lambda: not hubs(), timeout=60)
    assert account(name).held == 0
    with Ledger() as ledger:
        assert ledger.audit() == []


def test_form_price_run_result_and_charge(browser, voila, priced):
    write(voila.notebooks / "work.ipynb", APP % ("1 GD", priced, "app work"))
    with open_app(browser, voila, "work.ipynb") as app:
        # The price is there before the click, and nothing has been started for it.
        assert "≈ 3.60 GD per hour · at most 1.00 GD · 1 worker at here" in shown(app)
        assert hubs() == [] and "It sleeps, and it says a word." in shown(app)
        choose(app, "cores", "2")
        wait(app, "≈ 7.20 GD per hour")
        choose(app, "cores", "1")
        wait(app, "≈ 3.60 GD per hour")
        app.page.get_by_label("word", exact=True).fill("well done")
        app.page.get_by_label("word", exact=True).press("Tab")
        button(app, "Run").click()
        wait(app, "at last")
        assert "well done at last" in shown(app) and "at work" in shown(app)
        wait(app, "charged")
        charge = app.page.locator(".gridnb-charge").filter(has_not_text="≈")
        charge.wait_for(timeout=20_000)
        said = r"done · [\d.]+ m?s · here · [\d.]+ GD charged · [\d.]+ GD of 1.00 GD spent in all"
        assert re.search(said, charge.inner_text())
        # A second run has the warm worker, and an error is one box.
        app.page.get_by_label("fail", exact=True).check()
        button(app, "Run").click()
        box = app.page.locator(".gridnb-error")
        box.wait_for(timeout=30_000)
        assert box.inner_text().startswith("ValueError: as you wished")
        assert "at last" not in shown(app) and len(hubs()) == 1
        app.page.locator(".gridnb-charge", has_text="failed").wait_for()
        box.locator("summary").click()
        assert "in work(" in box.inner_text()
        app.screenshot("app-error")
    gone("app work")


def test_cancel(browser, voila, priced):
    write(voila.notebooks / "cancel.ipynb", APP % ("1 GD", priced, "app cancel"))
    with open_app(browser, voila, "cancel.ipynb") as app:
        assert button(app, "Cancel").is_disabled()
        choose(app, "seconds", "60")
        button(app, "Run").click()
        wait(app, "at work")
        assert button(app, "Running…").is_disabled()
        app.screenshot("app-running")
        button(app, "Cancel").click()
        wait(app, "cancelled", timeout=10)
        button(app, "Run").wait_for(timeout=10_000)
        # It can be run again, and the page can be closed while it runs.
        button(app, "Run").click()
        wait(app, "at work")
    gone("app cancel")


def test_a_page_that_is_gone_without_a_word(browser, voila, priced):
    sooner = "import gridnb.notebook.app\ngridnb.notebook.app.GONE = 12"
    write(voila.notebooks / "lost.ipynb", sooner, APP % ("1 GD", priced, "app lost"))
    context = browser.new_context()
    try:
        app = App(context.new_page())
        app.open(voila.url("lost.ipynb"))
        choose(app, "seconds", "300")
        button(app, "Run").click()
        wait(app, "at work")
        app.page.wait_for_timeout(15_000)
        assert "running" in shown(app)  # as long as the page is there
    finally:
        context.close()  # no event of the page says so
    gone("app lost")


def test_a_budget_that_is_spent_is_said_on_the_button(browser, voila, priced):
    write(voila.notebooks / "poor.ipynb", APP % ("0.01 GD", priced, "app poor"))
    with open_app(browser, voila, "poor.ipynb") as app:
        assert button(app, "Budget spent").is_disabled()
        assert "the budget is spent · 0.01 GD left, a run begins at 0.03 GD" in shown(app)
        app.screenshot("app-spent")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 480)])
def test_the_example(browser, voila, theme, width):
    shutil.copy(ROOT / "notebooks" / "app_flights.ipynb", voila.notebooks)
    name = f"app-flights-{theme}-{width}"
    with open_app(browser, voila, "app_flights.ipynb", theme=theme, width=width, height=900) as app:
        app.page.locator(".gridnb-price").wait_for()
        app.screenshot(f"{name}-before")
        assert "GD per simulated hour" in shown(app) and "at most" in shown(app)
        button(app, "Run").click()
        app.page.locator(".gridnb-app .js-plotly-plot").wait_for(timeout=150_000)
        app.page.locator(".gridnb-charge", has_text="charged").wait_for()
        app.page.locator(".gridnb-charge").filter(has_not_text="≈").wait_for(timeout=20_000)
        app.screenshot(name)
        assert app.page.evaluate("document.documentElement.scrollWidth") <= width
    gone("app flights")
