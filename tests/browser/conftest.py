"""Chromium and the front ends, each started once for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.backends import backend
from tests.browser.chromium import chromium
from tests.browser.lab import Lab, Notebook7, jupyterlab, notebook_7
from tests.browser.voila import Voila, voila_server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(backend("chromium")) as started:
        yield started


def _places(factory: pytest.TempPathFactory, name: str) -> tuple[Path, Path]:
    place = factory.mktemp(name)
    notebooks = place / "notebooks"
    notebooks.mkdir()
    return notebooks, place / "home"


# Each asks for the browser first: without one it is not started.


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on an empty directory, `lab.notebooks`."""
    with jupyterlab(*_places(tmp_path_factory, "lab")) as started:
        yield started


@pytest.fixture(scope="module")
def notebook7(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook7]:
    """Notebook 7 on an empty directory, `notebook7.notebooks`."""
    with notebook_7(*_places(tmp_path_factory, "notebook7")) as started:
        yield started


@pytest.fixture(scope="module")
def voila(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voila]:
    """Voilà on an empty directory, `voila.notebooks`."""
    with voila_server(*_places(tmp_path_factory, "voila")) as started:
        yield started


@pytest.fixture(scope="module", params=["lab", "notebook7"])
def front(request: pytest.FixtureRequest) -> Lab | Notebook7:
    """JupyterLab, then Notebook 7: a test that asks for it runs in both."""
    return request.getfixturevalue(request.param)
