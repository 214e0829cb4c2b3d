"""What a cell finds around it beside its names: working directory and random generators.

``random.seed(1)`` in one cell and ``random.random()`` in the next have to fit together wherever
they run, and so do ``os.chdir`` and ``open``.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import random
import sys
from pathlib import Path
from typing import Any

__all__ = ["enter", "fresh", "here", "left", "restore"]

Ambient = dict[str, str]


def here() -> Ambient:
    """Describe this process, as text."""
    return {"random": _pack(random.getstate()), **_numpy(), **_cwd()}


def _numpy() -> Ambient:
    if "numpy.random" not in sys.modules:
        return {}
    import numpy

    # The generator behind numpy.random.rand and the like.
    return {"numpy": _pack(numpy.random.get_state())}


def _cwd() -> Ambient:
    try:
        return {"cwd": str(Path.cwd())}
    except FileNotFoundError:
        # Somebody removed it.
        return {}


def restore(ambient: Ambient) -> None:
    """Make the random generators of this process go on from there."""
    if "random" in ambient:
        random.setstate(_unpack(ambient["random"]))
    if "numpy" in ambient:
        try:
            import numpy
        except ModuleNotFoundError:
            # What is not there draws no numbers.
            return
        numpy.random.set_state(_unpack(ambient["numpy"]))


def enter(ambient: Ambient) -> Ambient:
    """Make this process like that one, as far as it can; returns what it is now."""
    restore(ambient)
    if "cwd" in ambient:
        # A site may have no such directory; whoever compares hears of it.
        with contextlib.suppress(OSError):
            os.chdir(ambient["cwd"])
    known = {key: text for key, text in ambient.items() if key != "cwd"}
    return {**(known if "numpy" in known else _numpy() | known), **_cwd()}


def fresh() -> None:
    """Begin other random numbers than any process that has heard the same."""
    random.seed()
    if "numpy.random" in sys.modules:
        import numpy

        numpy.random.seed()


def left(before: Ambient) -> Ambient:
    """What differs now."""
    return {key: text for key, text in here().items() if before.get(key) != text}


def _pack(state: Any) -> str:
    return base64.b64encode(pickle.dumps(state, protocol=5)).decode("ascii")


def _unpack(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))
