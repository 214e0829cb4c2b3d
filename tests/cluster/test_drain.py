"""What saves most is moved first."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from gridnb.cluster.drain import LOOK, UNKNOWN, recompute_seconds


def _task(seconds: float, *needs: Any, held: tuple[str, ...] = (), spec: bool = True) -> Any:
    prefix = SimpleNamespace(duration_average=seconds)
    run_spec = "something" if spec else None

    class Task(SimpleNamespace):
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    return Task(prefix=prefix, dependencies=set(needs), who_has=set(held), run_spec=run_spec)


def test_a_key_costs_what_would_be_lost_with_it() -> None:
    kept = _task(100, held=("leaving", "staying"))
    released = _task(3)
    lost = _task(10, released, held=("leaving",))
    assert recompute_seconds(_task(1, kept, lost), {"leaving"}) == 1 + 10 + 3
    assert recompute_seconds(_task(1, kept, lost), {"leaving", "staying"}) == 1 + 10 + 3 + 100


def test_what_two_need_counts_once() -> None:
    base = _task(5)
    both = _task(1, _task(1, base), _task(1, base))
    assert recompute_seconds(both, set()) == 8


def test_what_is_unknown_and_what_cannot_be_computed() -> None:
    assert recompute_seconds(_task(-1), set()) == UNKNOWN
    assert recompute_seconds(_task(1, _task(0, spec=False)), set()) == math.inf


def test_a_long_ancestry_is_not_looked_at_to_its_end() -> None:
    task = _task(1)
    for _ in range(2 * LOOK):
        task = _task(1, task)
    assert LOOK - 1 <= recompute_seconds(task, set()) <= LOOK + 1
