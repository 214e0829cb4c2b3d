"""Values that stay in a cell process, and their way to another one."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.pickles import dump, load, loading

__all__ = ["Store", "describe"]


@dataclass
class _Held:
    """A value, what a kernel is told of it, and whether it is known wherever it turns up."""

    value: Any
    info: dict[str, Any]
    shared: bool
    digest: str | None = None


class Store:
    """Values that stay in this process, by key. A copy in another process has the same key."""

    def __init__(self, prefix: str) -> None:
        self._held: dict[str, _Held] = {}
        self._keys = (f"{prefix}:{number}" for number in itertools.count(1))

    def put(self, value: Any, nbytes: int | None, *, shared: bool = True) -> str:
        """Keep a value; the same one keeps its key.

        `nbytes` is the size of its pickle, None if it has none. One that is not `shared` travels
        by value where it turns up in another one: it may be as common as the number 1.
        """
        for key, held in self._held.items():
            if held.value is value:
                held.shared |= shared
                return key
        key = next(self._keys)
        self._held[key] = _Held(value, describe(value, nbytes), shared)
        return key

    def get(self, key: str) -> Any:
        """Find a value again; LookupError if it is not here."""
        return self._find(key).value

    def info(self, key: str) -> dict[str, Any]:
        """Return what a kernel is told of a value."""
        return self._find(key).info

    def _find(self, key: str) -> _Held:
        try:
            return self._held[key]
        except KeyError:
            raise LookupError(
                "a captured value stayed in another cell process; bring it here with .fetch() first"
            ) from None

    def drop(self, keys: Iterable[str]) -> None:
        """Forget values that the kernel has forgotten."""
        for key in keys:
            self._held.pop(key, None)

    def known(self) -> dict[int, object]:
        """Keys by ``id`` of the value."""
        return {id(held.value): key for key, held in self._held.items() if held.shared}

    # -- changes in place ------------------------------------------------------------------

    def watch(self, keys: Iterable[str]) -> None:
        """Note what these values are like before a body runs that may change them."""
        watched = set(keys)
        for key, held in self._held.items():
            if key not in watched:
                held.digest = None  # nobody looks whether this body changes it
            elif held.digest is None:
                held.digest = _digest(held.value)

    def altered(self, keys: Iterable[str]) -> list[str]:
        """Return which of these have changed since :meth:`watch`, or cannot be compared."""
        found = []
        for key in keys:
            held = self._find(key)
            before, held.digest = held.digest, _digest(held.value)
            if before is None or before != held.digest:
                found.append(key)
        return found

    # -- copies ----------------------------------------------------------------------------

    def pack(self, keys: Sequence[str]) -> tuple[dict[str, Any], list[Buffer]]:
        """Return header and parts with these values; what they share is shared by the copies."""
        held = [self._find(key) for key in keys]
        # Their functions must bring along what they read: there is no notebook to find it in.
        stream, buffers, _ = dump([[each.value for each in held]], owns=lambda space: False)
        header = {
            "keys": list(keys),
            "infos": [each.info for each in held],
            "shared": [each.shared for each in held],
            "readonly": [view.readonly for view in buffers],
        }
        return header, [stream, *buffers]

    def unpack(self, header: dict[str, Any], parts: Sequence[Buffer]) -> None:
        """Keep what another process has packed."""
        buffers = [
            bytes(part) if fixed else part
            for part, fixed in zip(parts[1:], header["readonly"], strict=True)
        ]
        with loading({"__name__": "__main__"}, self.get):
            values = load(parts[0], buffers, 1)[0]
        said = zip(header["keys"], values, header["infos"], header["shared"], strict=True)
        for key, value, info, shared in said:
            self._held[key] = _Held(value, info, shared)


def describe(value: Any, nbytes: int | None) -> dict[str, Any]:
    """Return what a kernel is told of a value: size of its pickle, class and text."""
    try:
        text = _shape(value) or " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 - user classes raise what they like
        text = f"repr failed: {error}"
    return {
        "nbytes": nbytes,
        "kind": type(value).__name__,
        "text": text if len(text) <= 200 else text[:197] + "...",
    }


def _shape(value: Any) -> str:
    """``1,000,000 × 2`` of a frame or array, whose text would be a part of it on one line."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape or not all(type(n) is int for n in shape):
        return ""
    kind = f" {value.dtype}" if hasattr(value, "dtype") else ""
    return " × ".join(f"{n:,}" for n in shape) + kind


def _digest(value: Any) -> str | None:
    try:
        stream, buffers, _ = dump([value], owns=lambda space: False)
    except Exception:  # noqa: BLE001 - as above
        return None
    found = hashlib.blake2b(stream, digest_size=20)
    for view in buffers:
        found.update(view)
    return found.hexdigest()
