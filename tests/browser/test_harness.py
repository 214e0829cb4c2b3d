"""The harness itself, on a notebook that has nothing to do with gridnb."""

from __future__ import annotations

import pytest

from tests.browser.books import write
from tests.browser.chromium import ARTEFACTS, open_app, open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_notebook_is_run_and_seen(browser, front):
    write(
        front.notebooks / "plain.ipynb",
        "import time; time.sleep(1); print('from', 'the kernel')",
        "from IPython.display import HTML; HTML('<b>bold</b> result')",
        "40 + 2",
    )
    with open_notebook(browser, front, "plain.ipynb") as notebook:
        notebook.run_all()
        assert notebook.output(0) == "from the kernel"
        assert notebook.output(1) == "bold result"
        assert notebook.output(2) == "42"
        notebook.run_cell(2)
        assert notebook.cell(2).locator(".jp-InputPrompt").first.inner_text() == "[4]:"
        notebook.theme("dark")
        picture = notebook.screenshot(f"harness-{type(front).__name__.lower()}")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_error_in_the_page_fails_the_test(browser, lab):
    write(lab.notebooks / "broken.ipynb", "1")
    with (
        pytest.raises(AssertionError, match="on purpose"),
        open_notebook(browser, lab, "broken.ipynb") as notebook,
    ):
        notebook.page.evaluate("console.error('on purpose')")
    (ARTEFACTS / "failed-broken.png").unlink()


def test_an_application_is_seen_and_clicked(browser, voila):
    write(
        voila.notebooks / "app.ipynb",
        "import ipywidgets\nbutton = ipywidgets.Button(description='press')\n"
        "button.on_click(lambda pressed: setattr(pressed, 'description', 'pressed'))\nbutton",
    )
    for theme in ("light", "dark"):
        with open_app(browser, voila, "app.ipynb", theme=theme) as app:
            app.page.get_by_role("button", name="press", exact=True).click()
            app.page.get_by_role("button", name="pressed").wait_for()
            picture = app.screenshot(f"harness-voila-{theme}")
            assert picture.read_bytes().startswith(b"\x89PNG")
