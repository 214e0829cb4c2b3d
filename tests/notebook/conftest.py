"""One kernel on a grid of the demo catalog for each module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebook.kernels import Kernel, kernel


@pytest.fixture(scope="module")
def grid(request: pytest.FixtureRequest, _module_processes: None) -> Iterator[Kernel]:
    """A kernel that is connected, with one quick worker up."""
    with kernel(GRIDNB_NOTEBOOK=f"/notebooks/{request.module.__name__}.ipynb") as made:
        made.ok("%load_ext gridnb")
        made.ok("%grid connect demo --budget 50 GD")
        made.ok("%grid request --cores 1 --sites alpha")
        yield made
