"""Modelled links: shared equally, at their speed, and nothing that costs moves unpaid."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.catalog import Catalog
from gridnb.cluster.linkfile import SLOTS
from gridnb.cluster.links import LinkDown, LinkTable, Transfer

MB = 10**6


def _catalog(bandwidth: str = "10 MB/s", egress: str = "1.024") -> Catalog:
    def site(name: str) -> dict:
        return {
            "name": name,
            "provider": "simulated",
            "rate_card": {"egress_gib": egress},
            "offers": [{"name": "o", "cores": 1, "memory": "1 GiB"}],
        }

    return Catalog.of(
        {
            "name": "two",
            "sites": [site("a"), site("b"), site("c")],
            "links": [{"between": ["a", "b"], "latency": "20ms", "bandwidth": bandwidth}],
        }
    )


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> int:
        return round(self.now * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(tmp_path: Path, clock: Clock) -> Iterator[LinkTable]:
    made = LinkTable.create(tmp_path / "links", _catalog(), clock)
    for site in made.sites:
        made.allow(site, 10**12)
    yield made
    made.close()


def _begin(table: LinkTable, size: int, src: str = "a", dst: str = "b") -> Transfer:
    transfer = table.begin(src, dst, size)
    assert transfer is not None
    return transfer


def _out(table: LinkTable, src: str = "a") -> int:
    return sum(link.bytes for link in table.traffic(src))


def test_one_transfer_has_the_link_for_itself(table: LinkTable, clock: Clock) -> None:
    transfer = _begin(table, 10 * MB)
    assert table.look(transfer) == pytest.approx(1.0)
    clock.now += 0.25
    assert table.look(transfer) == pytest.approx(0.75)
    assert _out(table) == pytest.approx(2.5 * MB, abs=1)
    clock.now += 2
    assert table.look(transfer) == 0.0
    assert transfer.due / 1e9 == pytest.approx(1001.0)
    (link,) = table.traffic()
    assert (link.src, link.dst, link.bytes, link.messages) == ("a", "b", 10 * MB, 1)


def test_eight_at_once_have_an_eighth_each(table: LinkTable, clock: Clock) -> None:
    begun = [_begin(table, 10 * MB) for _ in range(8)]
    clock.now += 4
    assert [table.look(each) for each in begun] == pytest.approx([4.0] * 8)
    clock.now += 4
    assert [table.look(each) for each in begun] == [0.0] * 8


def test_a_small_message_does_not_wait_for_a_large_one(table: LinkTable, clock: Clock) -> None:
    large = _begin(table, 1000 * MB)
    clock.now += 1
    small = _begin(table, MB)
    assert table.look(small) == pytest.approx(0.2)
    assert table.look(large) == pytest.approx(99.1)
    clock.now += 0.2
    assert table.look(small) == 0.0
    assert table.look(large) == pytest.approx(98.9)


def test_directions_do_not_share(table: LinkTable) -> None:
    there, back = _begin(table, MB), _begin(table, MB, "b", "a")
    assert table.look(there) == table.look(back) == pytest.approx(0.1)


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 20 * MB), st.floats(0, 2, allow_nan=False)), max_size=12
    )
)
def test_nothing_is_lost_and_the_link_is_never_idle_with_work(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float]]
) -> None:
    clock = Clock()
    table = LinkTable.create(tmp_path_factory.mktemp("t") / "links", _catalog(egress="0"), clock)
    backlog, sent = 0.0, 0
    for size, pause in steps:
        _begin(table, size)
        sent, backlog = sent + size, backlog + size
        clock.now += pause
        backlog = max(backlog - pause * 10 * MB, 0.0)
        # each transfer under way is counted to the byte, rounded down
        assert _out(table) == pytest.approx(sent - backlog, abs=len(steps) + 1)
    clock.now += backlog / (10 * MB) + 1e-6
    assert _out(table) == sent
    assert sum(link.messages for link in table.traffic()) == len(steps)
    table.close()


def test_the_load_is_the_share_of_time_in_which_it_is_busy(table: LinkTable, clock: Clock) -> None:
    assert not any(link.load for link in table.traffic("a", every=True))
    _begin(table, 1000 * MB)
    clock.now += 30
    busy = next(link.load for link in table.traffic("a"))
    assert busy == pytest.approx(1, abs=0.01)
    clock.now += 70 + 5
    after = next(link.load for link in table.traffic("a"))
    assert after == pytest.approx(0.37, abs=0.01)


def test_how_a_link_is_can_change_while_it_carries(table: LinkTable, clock: Clock) -> None:
    transfer = _begin(table, 10 * MB)
    clock.now += 0.5
    table.change("a", "b", bandwidth=MB, latency=0.5)
    assert table.look(transfer) == pytest.approx(5.0)
    assert table.latency("a", "b") == 0.5
    assert table.latency("b", "a") == 0.02
    table.change("a", "b", bandwidth=0)
    assert table.look(transfer) == 0.0


def test_a_cut_ends_what_is_under_way(table: LinkTable, clock: Clock) -> None:
    transfer = _begin(table, 10 * MB)
    clock.now += 0.5
    table.change("a", "b", cut=True)
    with pytest.raises(LinkDown, match="the link between a and b is cut"):
        table.look(transfer)
    with pytest.raises(LinkDown):
        table.begin("a", "b", 1)
    table.drop(transfer)  # as its sender does
    (link,) = table.traffic()
    assert (link.bytes, link.messages, link.cut) == (5 * MB, 0, True)
    assert link.cost == table.egress("a").used, "only what has moved is paid for"
    table.change("a", "b", cut=False)
    with pytest.raises(LinkDown):
        table.look(transfer)  # it does not go on, whoever has not looked meanwhile
    _begin(table, 1)


def test_the_table_is_shared(tmp_path: Path) -> None:
    one = LinkTable.create(tmp_path / "links", _catalog())
    two = LinkTable(tmp_path / "links")
    one.allow("a", 10**12)
    transfer = _begin(two, 5 * MB)
    assert one.look(transfer) > 0.4
    assert one.epoch("a", "b") == 0
    two.change("a", "b", cut=True)
    assert one.epoch("a", "b") == 1
    assert stat.S_IMODE((tmp_path / "links").stat().st_mode) == 0o600
    one.close()
    two.close()


def test_what_a_dead_process_had_under_way_is_given_up(tmp_path: Path) -> None:
    one = LinkTable.create(tmp_path / "links", _catalog())
    one.allow("a", 10**12)
    code = (
        "from gridnb.cluster.links import LinkTable; import sys; "
        "LinkTable(sys.argv[1]).begin('a', 'b', 10**9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "links"], check=True, env=os.environ)
    (link,) = one.traffic()
    assert link.messages == 0
    assert one.look(_begin(one, MB)) == pytest.approx(0.1, abs=0.02)
    one.close()


def test_more_at_once_than_there_is_room_for_wait(table: LinkTable, clock: Clock) -> None:
    for _ in range(SLOTS):
        _begin(table, 1000)
    assert table.begin("a", "b", 1000) is None
    assert table.egress("a").wanted == 0, "it is not money that it waits for"
    clock.now += 1
    _begin(table, 1000)


@given(sizes=st.lists(st.integers(1, 2**28), max_size=20), allowed=st.integers(0, 10**9))
def test_nothing_moves_unpaid(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], allowed: int
) -> None:
    clock = Clock()
    table = LinkTable.create(tmp_path_factory.mktemp("t") / "links", _catalog(), clock)
    table.allow("a", allowed)
    for number, size in enumerate(sizes):
        transfer = table.begin("a", "b", size)
        state = table.egress("a")
        assert state.used <= state.allowed == allowed
        if transfer is None:
            assert state.wanted > allowed
        elif number % 3 == 2:
            clock.now += 1
            table.drop(transfer)
        assert sum(link.cost for link in table.traffic()) <= table.egress("a").used
    clock.now += 10**4
    cost = sum(link.cost for link in table.traffic())
    assert cost == table.egress("a").used
    total = sum(link.bytes for link in table.traffic())
    assert cost >= total * table.price("a", "b") / 2**30
    table.close()


def test_nothing_is_under_way_from_a_site_that_is_given_up(table: LinkTable, clock: Clock) -> None:
    _begin(table, 10 * MB)
    clock.now += 0.1
    table.revoke("a")
    cost = table.traffic()[0].cost
    clock.now += 10
    assert table.traffic()[0].cost == cost == table.egress("a").used == table.egress("a").allowed


def test_links_without_a_bandwidth_only_have_latency(tmp_path: Path) -> None:
    table = LinkTable.create(tmp_path / "links", _catalog(egress="0"))
    assert table.look(_begin(table, 10**9, "a", "c")) == 0.0
    assert table.traffic("a")[0].bytes == 10**9
    table.close()
