"""The demo's notebook, as it is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gridnb.errors import GridError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["CELL_TIMEOUT", "TEMPLATE", "template"]

#: Seconds that a cell may take.
CELL_TIMEOUT = 180
TEMPLATE = Path(__file__).with_name("gridnb-demo.ipynb")


def template() -> NotebookNode:
    """Return the demo's notebook, without outputs.

    Raises
    ------
    GridError
        If what is needed to run it is not installed.
    """
    try:
        import ipykernel  # noqa: F401 - the notebook's kernel
        import nbclient  # noqa: F401 - what executes it
        import nbformat
    except ImportError as error:
        raise GridError(
            f"the demo needs {error.name}; install it with `pip install 'gridnb[demo]'`"
        ) from None
    book: NotebookNode = nbformat.read(TEMPLATE, 4)
    return book
