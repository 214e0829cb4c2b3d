"""In which order offers are bought.

A policy is a function of the candidates and of what is still needed, and
returns the candidates in the order in which they are to be bought. It is asked
again after each purchase. Others are found by the entry point
``gridnb.policies``. Comparisons are of exact ratios, so that a common factor on
all prices changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from gridnb.catalog.models import Offer, Site
from gridnb.errors import RequestError

__all__ = ["Candidate", "Need", "Policy", "find", "names"]


@dataclass(frozen=True, slots=True)
class Need:
    """What is still to be bought; 0 or less when there is enough of it.

    `workers` is the exact number, or None for any.
    """

    cores: int
    memory: int = 0
    gpus: int = 0
    workers: int | None = None

    def less(self, offer: Offer, count: int) -> Need:
        """Return what is needed after so many workers of the offer."""
        return Need(
            self.cores - offer.cores * count,
            self.memory - offer.memory * count,
            self.gpus - offer.gpus * count,
            None if self.workers is None else self.workers - count,
        )

    @property
    def met(self) -> bool:
        """Whether nothing is needed any more."""
        return max(self.cores, self.memory, self.gpus, self.workers or 0) <= 0

    @property
    def overdone(self) -> bool:
        """Whether there are more workers than were to be."""
        return self.workers is not None and self.workers < 0


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """An offer that may be bought.

    Attributes
    ----------
    free
        How many workers of it can be had.
    rate
        The price of an hour of a worker, exact.
    upfront
        What a worker costs for its first term, exact.
    """

    site: Site
    offer: Offer
    free: int
    rate: Fraction
    upfront: Fraction

    @property
    def key(self) -> tuple[str, str]:
        """The names of site and offer."""
        return self.site.name, self.offer.name

    @property
    def speed(self) -> Fraction:
        """The speed of its cores."""
        return Fraction(self.offer.speed)

    def useful(self, need: Need) -> Fraction:
        """Return how much of what is needed most urgently one worker brings.

        GPUs come first, then cores (each counts by its speed), then memory; a worker beyond
        all that counts by its speed.
        """
        if need.gpus > 0:
            return Fraction(min(self.offer.gpus, need.gpus))
        if need.cores > 0:
            return min(self.offer.cores, need.cores) * self.speed
        if need.memory > 0:
            return Fraction(min(self.offer.memory, need.memory))
        return self.speed


Policy = Callable[[Sequence[Candidate], Need], list[Candidate]]


def cheapest(candidates: Sequence[Candidate], need: Need) -> list[Candidate]:
    """Order by the price of what is useful, at its speed; the faster first among equals."""

    def rank(candidate: Candidate) -> tuple[object, ...]:
        useful = candidate.useful(need)
        price = candidate.rate / useful if useful else Fraction(0)
        offer = candidate.offer
        return (not useful, price, -candidate.speed, offer.start_delay, candidate.key)

    return sorted(candidates, key=rank)


def fastest(candidates: Sequence[Candidate], need: Need) -> list[Candidate]:
    """Order by speed, then by start delay; the cheaper first among equals."""

    def rank(candidate: Candidate) -> tuple[object, ...]:
        useful = candidate.useful(need)
        price = candidate.rate / useful if useful else Fraction(0)
        offer = candidate.offer
        return (not useful, -candidate.speed, offer.start_delay, price, candidate.key)

    return sorted(candidates, key=rank)


_BUILT_IN: dict[str, Policy] = {"cost": cheapest, "time": fastest}


@cache
def _others() -> dict[str, object]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="gridnb.policies")}


def names() -> tuple[str, ...]:
    """Return the names of all policies, the built-in ones first."""
    return tuple(dict.fromkeys((*_BUILT_IN, *sorted(_others()))))


def find(name: str) -> Policy:
    """Return a policy by its name.

    Raises
    ------
    RequestError
        If there is none, or it cannot be imported.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    point = _others().get(name)
    if point is None:
        known = " or ".join(repr(each) for each in names())
        raise RequestError(f"optimize: {name!r} is not a policy; write {known}")
    try:
        policy: Policy = point.load()  # type: ignore[attr-defined]
    except (ImportError, AttributeError) as error:
        raise RequestError(
            f"optimize: the policy {name!r} cannot be imported ({error}); mend or remove the "
            "package that brings it"
        ) from None
    return policy
