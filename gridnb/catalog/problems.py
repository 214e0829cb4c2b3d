"""What is wrong with a document, in one line: where, what, and what would be right.

Pydantic finds the mistakes; this module words them. What would be right is the
``description`` of the field, so that a field says it once and everywhere.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["Path", "Problem", "did_you_mean", "mistake", "path_text", "problems"]

#: Keys and positions from a document's root to one of its values.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the path to it, and its text without the path."""

    path: Path
    text: str

    def __str__(self) -> str:
        where = path_text(self.path)
        return f"{where}: {self.text}" if where else self.text


def mistake(text: str, *at: str | int) -> PydanticCustomError:
    """Make the error that a validator raises; `at` leads on from the value it was given."""
    return PydanticCustomError("gridnb", "{text}", {"text": text, "at": at})


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Name the nearest of the words, or all of them when none is near.

    >>> did_you_mean("coers", ["cores", "memory"])
    "did you mean 'cores'?"
    >>> did_you_mean("x", ["cores", "memory"])
    'there are cores, memory'
    """
    from difflib import get_close_matches

    known = {each.casefold(): each for each in words}
    near = get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {known[near[0]]!r}?"
    return f"there are {', '.join(known.values())}" if known else "there are none"


def path_text(path: Path) -> str:
    """Write a path like ``sites[1].offers[0].cores``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Word each mistake that pydantic found in a document of the model, unknown keys first.

    A misspelt key is also missing under its right name: the misspelling says more.
    """
    found = error.errors(include_url=False)
    found.sort(key=lambda details: details["type"] != "extra_forbidden")
    return [_problem(details, model) for details in found]


def _problem(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    path: Path = details["loc"]
    kind = details["type"]
    if kind == "gridnb":
        context = details["ctx"]
        return Problem((*path, *context["at"]), context["text"])
    if kind == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        hint = did_you_mean(str(path[-1]), owner.model_fields if owner else ())
        return Problem(path, f"there is no such key; {hint}")
    right = _right(model, path)
    if kind == "missing":
        return Problem(path, f"is missing; write {right}")
    return Problem(path, f"{_shown(details['input'])} will not do; write {right}")


def _shown(value: object) -> str:
    if isinstance(value, (dict, BaseModel)):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _right(model: type[BaseModel], path: Path) -> str:
    """Say what would be right at a path: the nearest description on the way to it."""
    words = "a mapping of keys to values"
    if path and (inner := _model_at(model, path)) is not None:
        return f"a mapping with the keys {', '.join(inner.model_fields)}"
    for end in range(1, len(path) + 1):
        owner = _model_at(model, path[: end - 1])
        field = owner.model_fields.get(str(path[end - 1])) if owner else None
        if field is not None and field.description:
            words = field.description
    return words


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    here: Any = model
    for step in path:
        if isinstance(step, int):
            here = _item(here)
        elif isinstance(here, type) and issubclass(here, BaseModel) and step in here.model_fields:
            here = _plain(here.model_fields[step].annotation)
        else:
            return None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """Take the None out of an optional annotation."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [each for each in get_args(annotation) if each is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _item(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return _plain(arguments[0]) if arguments else None
