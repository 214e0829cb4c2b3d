"""Parameters of a notebook, as papermill reads and injects them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridnb.errors import GridError, RequestError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Given", "inject", "read"]

#: A parameter as it stands on the command line: which option, and what is after it.
Given = tuple[str, str]


def read(given: Iterable[Given]) -> dict[str, Any]:
    """Return the values that the command line says; a later one wins.

    ``-p name=value`` is a number, True, False, None or text; ``-r name=value`` is always text;
    ``-y`` takes YAML, ``-f`` a file of it.

    Raises
    ------
    RequestError
        Says which one cannot be read, and how it is written.
    """
    found: dict[str, Any] = {}
    for option, text in given:
        found |= _mapping(option, text) if option in ("-y", "-f") else _pair(option, text)
    return found


def _pair(option: str, text: str) -> dict[str, Any]:
    from papermill.cli import _resolve_type

    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise RequestError(f"{option} {text}: it has to be name=value, like {option} n=100")
    return {name.strip(): value if option == "-r" else _resolve_type(value)}


def _mapping(option: str, text: str) -> dict[str, Any]:
    import yaml
    from papermill.iorw import NoDatesSafeLoader

    try:
        source = Path(text).read_text(encoding="utf-8") if option == "-f" else text
        # A loader of papermill's that makes plain values only, and leaves dates as text.
        values = yaml.load(source, Loader=NoDatesSafeLoader)
    except OSError as error:
        raise RequestError(f"-f {text}: it cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise RequestError(f"{option} {text}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise RequestError(f"{option} {text}: it has to be names with values, like 'n: 100'")
    return values


def inject(book: NotebookNode, values: dict[str, Any], name: str) -> NotebookNode:
    """Return the notebook with a cell of `values` after the one that is tagged ``parameters``.

    Raises
    ------
    RequestError
        If the notebook has no such cell, or does not know one of the names.
    GridError
        If papermill does not know the notebook's language.
    """
    from papermill.exceptions import PapermillException
    from papermill.inspection import _infer_parameters
    from papermill.parameterize import parameterize_notebook
    from papermill.utils import any_tagged_cell

    if not values:
        return book
    if not any_tagged_cell(book, "parameters"):
        raise RequestError(
            f"{name} has no cell tagged `parameters`, so it takes none; tag the cell that assigns "
            f"{', '.join(values)}"
        )
    # What it cannot read in the cell it says on a logger, with words about itself.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        known = [each.name for each in _infer_parameters(book)]
        _check(values, known, name)
        made: NotebookNode = parameterize_notebook(book, values, comment="Parameters of this run")
    except PapermillException as error:
        raise GridError(f"{name}: {error}") from None
    return made


def _check(values: dict[str, Any], known: list[str], name: str) -> None:
    unknown = [each for each in values if each not in known]
    if unknown:
        raise RequestError(
            f"{name} has no parameter {unknown[0]!r}; its parameters are: "
            f"{', '.join(known) or 'none'}"
        )
