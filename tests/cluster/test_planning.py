"""Plans: contiguous runs, as long as their sites are able, with few results that cross."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.cluster.planning import Work, cut, plan, reverse_cuthill_mckee


def _work(needs: list[list[int]], **more: object) -> Work:
    roots = [task for task, inputs in enumerate(needs) if not inputs]
    ones = [1.0] * len(needs)
    return Work(**{"needs": needs, "roots": roots, "cost": ones, "size": ones, **more})


def _chain(count: int) -> list[list[int]]:
    """Windows: each of `count` outputs needs its root and the neighbours of it."""
    windows = [[j for j in (i - 1, i, i + 1) if 0 <= j < count] for i in range(count)]
    return [[] for _ in range(count)] + windows


def _shuffled(needs: list[list[int]], new: list[int]) -> list[list[int]]:
    """Number the roots anew: the priorities say nothing about who is near whom."""
    return [[] for _ in new] + [[new[j] for j in inputs] for inputs in needs[len(new) :]]


shares = st.lists(st.floats(0.5, 64), min_size=1, max_size=8)


@given(count=st.integers(0, 500), parts=shares)
def test_runs_are_as_long_as_their_shares(count: int, parts: list[float]) -> None:
    ends = cut(count, parts)
    assert ends[-1] == count
    assert ends == sorted(ends)
    for (begin, end), part in zip(itertools.pairwise([0, *ends]), parts, strict=True):
        assert abs(end - begin - count * part / sum(parts)) <= 1


@given(count=st.integers(1, 200), parts=shares)
def test_roots_are_dealt_in_contiguous_runs(count: int, parts: list[float]) -> None:
    found = plan(_work([[] for _ in range(count)]), parts)
    assert [site for site, _ in itertools.groupby(found.places)] == sorted(set(found.places))
    for site, part in enumerate(parts):
        assert abs(found.places.count(site) - count * part / sum(parts)) <= 1
    assert found.crossing == 0


@pytest.mark.parametrize("sites", [2, 3, 5])
def test_windows_cross_only_at_the_borders(sites: int) -> None:
    found = plan(_work(_chain(60)), [1.0] * sites)
    assert found.crossing == 2 * (sites - 1)
    assert found.skew < 1.1


def test_neighbours_are_found_though_the_numbers_hide_them() -> None:
    new = [(i * 37) % 60 for i in range(60)]
    hidden = _work(_shuffled(_chain(60), new))
    found = plan(hidden, [1.0, 1.0, 1.0])
    assert found.order == "neighbours"
    assert found.crossing <= 8  # dealing by number crosses about a hundred times


def test_the_index_of_blocks_is_an_order() -> None:
    needs = _shuffled(_chain(12), [(i * 5) % 12 for i in range(12)])
    index = {(i * 5) % 12: i for i in range(12)}
    blocks = {"x": [((index[task],), task) for task in range(12)]}
    found = plan(_work(needs, blocks=blocks), [1.0, 1.0])
    assert found.order in ("index", "neighbours")
    assert found.crossing == 2


def test_columns_that_are_summed_stay_together() -> None:
    rows, columns = 8, 8
    needs: list[list[int]] = [[] for _ in range(rows * columns)]
    needs += [[r * columns + c for r in range(rows)] for c in range(columns)]
    blocks = {"x": [((r, c), r * columns + c) for r in range(rows) for c in range(columns)]}
    found = plan(_work(needs, blocks=blocks), [1.0, 1.0])
    assert found.order == "index, reversed"
    assert found.crossing == 0


def test_work_goes_to_what_is_held() -> None:
    needs: list[list[int]] = [[], [], [0], [1], [2, 3]]
    work = _work(needs, held={0: (1,), 1: (0,)})
    work.roots = []
    found = plan(work, [1.0, 1.0])
    assert found.places[2] == 1
    assert found.places[3] == 0
    assert found.crossing == 1


def test_a_confined_task_stays_where_it_may_run() -> None:
    needs: list[list[int]] = [[] for _ in range(30)] + [[i] for i in range(30)]
    confined = dict.fromkeys(range(10), (2,)) | dict.fromkeys(range(40, 50), (0, 2))
    found = plan(_work(needs, confined=confined), [1.0, 1.0, 1.0])
    assert all(found.places[task] in sites for task, sites in confined.items())


@given(
    edges=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=80),
    parts=shares,
)
def test_every_task_has_a_place_and_the_count_is_true(
    edges: list[tuple[int, int]], parts: list[float]
) -> None:
    needs: list[list[int]] = [[] for _ in range(40)]
    for a, b in edges:
        if a < b and a not in needs[b]:
            needs[b].append(a)
    found = plan(_work(needs), parts)
    assert all(0 <= site < len(parts) for site in found.places)
    crossings = {
        (need, found.places[task])
        for task, inputs in enumerate(needs)
        for need in inputs
        if found.places[need] != found.places[task]
    }
    assert found.crossing == len(crossings)


@given(st.integers(2, 60), st.randoms(use_true_random=False))
def test_cuthill_mckee_unrolls_a_chain(count: int, random) -> None:
    names = list(range(count))
    random.shuffle(names)
    near: list[dict[int, float]] = [{} for _ in names]
    for a, b in itertools.pairwise(names):
        near[a][b] = near[b][a] = 1.0
    found = reverse_cuthill_mckee(near)
    assert found in (names, names[::-1])
