"""What every test has: a home of its own, and an end to every process that it starts."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import home, leaks

_HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_HOME] = home.move_in()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_HOME], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _session_processes() -> Iterator[None]:
    with leaks.watched(secrets.token_hex(4)):
        yield


@pytest.fixture(scope="module", autouse=True)
def _module_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    with leaks.watched(request.module.__name__):
        yield


@pytest.fixture(autouse=True)
def _test_processes() -> Iterator[None]:
    with leaks.watched(secrets.token_hex(4)):
        yield


@pytest.fixture
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
