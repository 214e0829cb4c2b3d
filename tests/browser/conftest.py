"""Chromium and JupyterLab, each started once for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.backends import backend
from tests.browser.chromium import chromium
from tests.browser.lab import Lab, jupyterlab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(backend("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server on an empty directory, `lab.notebooks`; not started where there is no browser."""
    place: Path = tmp_path_factory.mktemp("lab")
    notebooks = place / "notebooks"
    notebooks.mkdir()
    with jupyterlab(notebooks, place / "home") as started:
        yield started
