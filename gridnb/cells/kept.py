"""The notebook's side of values that stayed at sites: where each of them is."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gridnb.cells.remote import Remote

__all__ = ["Kept", "Place"]


class Place(Protocol):
    """Where values stay: a connection to a cell process."""

    site: str

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""

    def fetch(self, key: str) -> Any:
        """Bring a value here; CellLost if the process has ended."""

    def forget(self, key: str) -> None:
        """Let the process drop a value, soon."""


def _no_price(_site: str) -> str:
    return ""


class Kept:
    """Which values stayed where, and the :class:`~gridnb.cells.remote.Remote` of each.

    `price` says what a site takes for bytes that leave it, to follow a size; empty for nothing.
    """

    def __init__(self, price: Callable[[str], str] = _no_price) -> None:
        self.price = price
        self._remotes: weakref.WeakValueDictionary[str, Remote] = weakref.WeakValueDictionary()
        self._places: dict[str, list[Place]] = {}
        self._wanted: dict[str, int] = {}

    def remote(self, key: str, place: Place, info: dict[str, Any] | None) -> Remote:
        """Return the object that stands for a value here; `info` describes a new one."""
        found = self._remotes.get(key)
        if found is None:
            if info is None:
                raise LookupError(f"a value at {place.site} was given up while a cell used it")
            self._places[key] = [place]
            found = self._remotes[key] = Remote(key, self, **info)
            weakref.finalize(found, self._gone, key)
        return found

    def _gone(self, key: str) -> None:
        self._wanted.pop(key, None)
        for place in self._places.pop(key, ()):
            place.forget(key)

    def key(self, remote: Remote) -> str:
        """Return the name by which the processes know a value."""
        return remote._key

    def want(self, key: str, sites: int) -> None:
        """Note at how many sites a value is to be held."""
        self._wanted[key] = sites

    def wanted(self, key: str) -> int:
        """Return at how many sites a value is to be held."""
        return self._wanted.get(key, 1)

    def places(self, key: str) -> list[Place]:
        """Return where a value is, the place that has it longest first."""
        return [place for place in self._places.get(key, ()) if place.alive]

    def add(self, key: str, place: Place) -> None:
        """Note a copy."""
        if place not in (held := self._places.setdefault(key, [])):
            held.append(place)

    def only(self, key: str, place: Place) -> None:
        """Note that all other copies are out of date."""
        for other in self._places.get(key, ()):
            if other is not place:
                other.forget(key)
        self._places[key] = [place]

    def remove(self, key: str, place: Place) -> None:
        """Note that a place has not got a value any more, or that it is spoilt there."""
        place.forget(key)
        self._places[key] = [each for each in self._places.get(key, ()) if each is not place]

    def holds(self, place: Place) -> bool:
        """Whether something that is still wanted is kept at a place."""
        return any(place in places for places in list(self._places.values()))

    def only_at(self, site: str) -> list[Remote]:
        """Return the values that are at one site and at no other."""
        return [each for each in list(self._remotes.values()) if each.sites == [site]]

    def lost(self, remotes: Iterable[Remote]) -> Remote | None:
        """Return the first of these that is nowhere any more."""
        return next((each for each in remotes if not self.places(each._key)), None)

    def __bool__(self) -> bool:
        return bool(self._remotes)
