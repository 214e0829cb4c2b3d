"""The fewest bytes that work has to move between sites which each do an equal share.

Only where that can be said: lines, of which each block needs its neighbours' edges, and planes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["line", "plane"]

_TRIES, _SWEEPS = 3, 60


def line(sites: int, edge: int) -> int:
    """Blocks in a line that exchange `edge` bytes with each neighbour, both ways.

    A line that is divided among so many sites is cut at least that often less one, and
    contiguous parts reach it: no placement moves less.
    """
    return (sites - 1) * 2 * edge


def plane(size: int, sites: int, *, side: int, corner: int) -> int:
    """`size` × `size` blocks that give edges to all eight neighbours.

    What is best here is searched for: from strips along rows and along columns, and from
    random beginnings, blocks at borders change sites pairwise as long as that saves bytes.
    So the figure can be reached, and hardly anything less can.
    """
    near = _neighbours(size, side, corner)
    rows = [n * sites // size**2 for n in range(size**2)]
    columns = [rows[n % size * size + n // size] for n in range(size**2)]
    found = [_improved(each, near) for each in (rows, columns)]
    for seed in range(_TRIES):
        mixed = list(rows)
        random.Random(seed).shuffle(mixed)
        found.append(_improved(mixed, near))
    return min(found)


Near = Sequence[dict[int, int]]


def _neighbours(size: int, side: int, corner: int) -> Near:
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    found: list[dict[int, int]] = []
    for n in range(size**2):
        y, x = divmod(n, size)
        inside = [(dy, dx) for dy, dx in steps if 0 <= y + dy < size and 0 <= x + dx < size]
        found.append({(y + dy) * size + x + dx: corner if dy and dx else side for dy, dx in inside})
    return found


def _improved(place: Sequence[int], near: Near) -> int:
    """Swap blocks of two sites while that saves bytes; returns what crosses then, both ways."""
    at = list(place)
    for _ in range(_SWEEPS):
        best, swap = 0, None
        border = [n for n in range(len(at)) if any(at[m] != at[n] for m in near[n])]
        for i, n in enumerate(border):
            for m in border[i + 1 :]:
                gain = _gain(at, near, n, m) if at[n] != at[m] else 0
                if gain > best:
                    best, swap = gain, (n, m)
        if swap is None:
            break
        n, m = swap
        at[n], at[m] = at[m], at[n]
    return sum(size for n, some in enumerate(near) for m, size in some.items() if at[n] != at[m])


def _gain(at: Sequence[int], near: Near, n: int, m: int) -> int:
    """Return how much less crosses, one way, when two blocks change places."""

    def saved(block: int, to: int) -> int:
        return sum(
            size * ((at[other] == to) - (at[other] == at[block]))
            for other, size in near[block].items()
        )

    return saved(n, at[m]) + saved(m, at[n]) - 2 * near[n].get(m, 0)
