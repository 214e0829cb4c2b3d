"""The fewest bytes that work has to move between sites which each do an equal share.

Only where that can be said: lines, of which each block needs its neighbours' edges, and planes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache

__all__ = ["line", "plane"]

_TRIES, _STEPS = 6, 150_000


def line(sites: int, edge: int) -> int:
    """Blocks in a line that exchange `edge` bytes with each neighbour, both ways.

    A line that is divided among so many sites is cut at least that often less one, and
    contiguous parts reach it: no placement moves less.
    """
    return (sites - 1) * 2 * edge


@cache
def plane(size: int, sites: int, *, side: int, corner: int) -> int:
    """`size` × `size` blocks that give edges to all eight neighbours.

    What is best here is searched for, by simulated annealing: blocks of two sites change
    places, from strips and from random beginnings. So the figure can be reached, and
    hardly anything less can.
    """
    near = _neighbours(size, side, corner)
    strips = [n * sites // size**2 for n in range(size**2)]
    return min(_annealed(strips, near, seed) for seed in range(_TRIES))


Near = Sequence[dict[int, int]]


def _neighbours(size: int, side: int, corner: int) -> Near:
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    found: list[dict[int, int]] = []
    for n in range(size**2):
        y, x = divmod(n, size)
        inside = [(dy, dx) for dy, dx in steps if 0 <= y + dy < size and 0 <= x + dx < size]
        found.append({(y + dy) * size + x + dx: corner if dy and dx else side for dy, dx in inside})
    return found


def _annealed(place: Sequence[int], near: Near, seed: int) -> int:
    """Change places as long as that saves bytes, at first also where it costs some."""
    at, chance = list(place), random.Random(seed)
    if seed:
        chance.shuffle(at)
    now = best = _crossing(at, near)
    heat = max(max(some.values()) for some in near)
    for step in range(_STEPS):
        n, m = chance.randrange(len(at)), chance.randrange(len(at))
        if at[n] == at[m]:
            continue
        gain = 2 * _gain(at, near, n, m)
        if gain >= 0 or chance.random() < math.exp(gain / (heat * (1 - step / _STEPS))):
            at[n], at[m] = at[m], at[n]
            now -= gain
            best = min(best, now)
    return best


def _crossing(at: Sequence[int], near: Near) -> int:
    return sum(size for n, some in enumerate(near) for m, size in some.items() if at[n] != at[m])


def _gain(at: Sequence[int], near: Near, n: int, m: int) -> int:
    """Return how much less crosses, one way, when two blocks change places."""

    def saved(block: int, to: int) -> int:
        return sum(
            size * ((at[other] == to) - (at[other] == at[block]))
            for other, size in near[block].items()
        )

    return saved(n, at[m]) + saved(m, at[n]) - 2 * near[n].get(m, 0)
