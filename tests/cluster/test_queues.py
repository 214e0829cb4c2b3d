"""Queues by site: the first and the last of each, whatever came and went before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.cluster.queues import Queues, SiteQueue


@dataclass(eq=False)
class Task:
    priority: tuple[int, ...]


moves = st.lists(
    st.tuples(st.sampled_from(["put", "discard", "first", "last"]), st.integers(0, 11)),
    max_size=60,
)


@given(moves=moves)
def test_it_is_what_a_sorted_list_is(moves: list[tuple[str, int]]) -> None:
    tasks = [Task((0, i * 7 % 12)) for i in range(12)]
    queues, sites = Queues(), [SiteQueue(), SiteQueue()]
    model: dict[int, int] = {}
    for what, number in moves:
        side = number % 2 if what != "put" else (number // 2) % 2
        if what == "put":
            queues.put(tasks[number], sites[side])  # type: ignore[arg-type]
            model[number] = side
        elif what == "discard":
            queues.discard(tasks[number])  # type: ignore[arg-type]
            model.pop(number, None)
        else:
            there = sorted(tasks[n].priority for n, s in model.items() if s == side)
            if not there:
                with pytest.raises(KeyError):
                    getattr(sites[side], what)()
            else:
                found = getattr(sites[side], what)()
                assert found.priority == there[0 if what == "first" else -1]
        assert {tasks.index(t) for t in queues} == set(model)  # type: ignore[arg-type]
        assert [len(s) for s in sites] == [list(model.values()).count(i) for i in (0, 1)]
        if model:
            assert queues.peek().priority == min(tasks[n].priority for n in model)


def test_what_has_no_site_is_in_limbo() -> None:
    queues, task = Queues(), Task((1,))
    queues.add(task)  # type: ignore[arg-type]
    assert list(queues.limbo) == [task]
    site = SiteQueue()
    queues.put(task, site)  # type: ignore[arg-type]
    assert (len(queues.limbo), len(site), len(queues)) == (0, 1, 1)
