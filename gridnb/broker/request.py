"""What a cell needs, in the words of its user."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, field_validator

from gridnb.broker import policies
from gridnb.catalog.models import Model, Seconds, Size, Whole, reader
from gridnb.catalog.problems import mistake, problems
from gridnb.errors import RequestError
from gridnb.units import Money, parse_money

__all__ = ["Amount", "Request", "size_text"]


def _amount_text(money: Money) -> str:
    return f"{money.amount:f} {money.currency}"


#: Money in a document: text like "2 GD" is read, and all of its digits are written.
Amount = Annotated[Money, reader(parse_money), PlainSerializer(_amount_text)]


def _names(value: Any) -> Any:
    """Read ``"A,B"`` as two names; a name that is there twice counts once."""
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",") if each.strip()]
    if isinstance(value, (list, tuple, set, frozenset)):
        ordered = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return tuple(dict.fromkeys(ordered))
    return value


_Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
_NAMES = "names, like 'alpha,beta'"


class Request(Model):
    """What is asked for. Hard constraints, all of them, but for `optimize`.

    Attributes
    ----------
    cores, memory, gpus
        At least so much over all workers together; memory in bytes (``"8 GiB"`` is read).
    workers
        Exactly so many workers; None for as many as the rest needs.
    sites, regions, owners
        Only these; empty for all. A region also stands for its parts (``eu`` for ``eu-north``),
        and a country's code for the sites in it.
    spot
        True for spot offers only, None for either, False for none of them: what a site may take
        back is bought only when it is asked for.
    deadline
        Billed seconds from now in which the work is to be done (``"10 min"`` is read).
    max_cost
        What it may cost at most (``"2 GD"`` is read).
    optimize
        The policy that ranks offers: ``cost``, ``time``, or one from an entry point.
    replicas
        At how many sites each Dask result that a client wants is to be held, so that it outlives
        the loss of a site; workers are taken at so many sites at least.
    """

    cores: Whole = Field(default=1, ge=1, description="a whole number of at least 1")
    memory: Size | None = Field(default=None, description="a size, like '8 GiB'")
    gpus: Whole = Field(default=0, ge=0, description="a whole number of at least 0")
    workers: Whole | None = Field(default=None, ge=1, description="a whole number of at least 1")
    sites: _Names = Field(default=(), description=_NAMES)
    regions: _Names = Field(default=(), description="regions, like 'eu,us-east'")
    owners: _Names = Field(default=(), description=_NAMES)
    spot: bool | None = Field(default=False, description="true, false or nothing")
    deadline: Seconds | None = Field(
        default=None, gt=0, description="a time above 0, like '10 min'"
    )
    max_cost: Amount | None = Field(default=None, description="an amount, like '2 GD'")
    optimize: str = Field(default="cost", description="the name of a policy, like 'cost'")
    replicas: Whole = Field(default=1, ge=1, description="a whole number of at least 1")

    @field_validator("optimize")
    @classmethod
    def _known_policy(cls, value: str) -> str:
        if value not in policies.names():
            known = " or ".join(repr(name) for name in policies.names())
            raise mistake(f"{value!r} is not a policy; write {known}")
        return value

    @classmethod
    def of(cls, **what: Any) -> Self:
        """Make a request from keywords; text such as ``"8 GiB"`` is read.

        Raises
        ------
        RequestError
            Says the first mistake, and what would be right.
        """
        try:
            return cls.model_validate(what)
        except ValidationError as error:
            raise RequestError(f"request: {problems(error, cls)[0]}") from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        RequestError
            If it is not a request.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise RequestError(f"request: not JSON ({error}); write it with to_json()") from None
        if not isinstance(document, dict):
            raise RequestError("request: not a mapping; write it with to_json()")
        return cls.of(**document)

    def __str__(self) -> str:
        """Write what differs from the default, as keywords."""
        given = self.model_dump(exclude_defaults=True)
        return (
            ", ".join(f"{name}={_word(getattr(self, name), name)}" for name in given) or "cores=1"
        )


def _word(value: object, name: str) -> str:
    if isinstance(value, Money):
        return repr(str(value))
    if name == "memory" and isinstance(value, int):
        return repr(size_text(value))
    if name == "deadline" and isinstance(value, float):
        return repr(f"{Decimal(repr(value)).normalize():f}s")
    return repr(",".join(value)) if isinstance(value, tuple) else repr(value)


def size_text(size: int) -> str:
    """Write a size in the largest unit in which it is whole, so that it can be read back."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"
