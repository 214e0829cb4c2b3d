"""Modelled links: turn after turn, at their speed, and nothing that costs moves unpaid."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.catalog import Catalog
from gridnb.cluster.links import LinkTable


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


def test_transfers_take_turns(tmp_path: Path) -> None:
    table = LinkTable.create(tmp_path / "links", _catalog())
    table.allow("a", 10**12)
    table.allow("b", 10**12)
    first = table.reserve("a", "b", 1_000_000)
    second = table.reserve("a", "b", 1_000_000)
    back = table.reserve("b", "a", 1_000_000)
    assert first is not None
    assert second is not None
    assert back is not None
    assert first == pytest.approx(0.12, abs=0.01)
    assert second == pytest.approx(0.22, abs=0.02)
    assert back == pytest.approx(0.12, abs=0.02)
    found = {(link.src, link.dst): link for link in table.traffic()}
    assert found["a", "b"].bytes == 2_000_000
    assert found["a", "b"].messages == 2


def test_the_table_is_shared(tmp_path: Path) -> None:
    one = LinkTable.create(tmp_path / "links", _catalog())
    two = LinkTable(tmp_path / "links")
    one.allow("a", 10**12)
    assert two.reserve("a", "b", 5_000_000) is not None
    assert one.traffic()[0].bytes == 5_000_000
    again = one.reserve("a", "b", 1)
    assert again is not None
    assert again > 0.4
    assert stat.S_IMODE((tmp_path / "links").stat().st_mode) == 0o600
    one.close()
    two.close()


@given(sizes=st.lists(st.integers(1, 2**28), max_size=20), allowed=st.integers(0, 10**9))
def test_nothing_moves_unpaid(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], allowed: int
) -> None:
    table = LinkTable.create(tmp_path_factory.mktemp("t") / "links", _catalog())
    table.allow("a", allowed)
    for size in sizes:
        moved = table.reserve("a", "b", size)
        state = table.egress("a")
        assert state.used <= state.allowed == allowed
        if moved is None:
            assert state.wanted > allowed
    cost = sum(link.cost for link in table.traffic())
    assert cost == table.egress("a").used
    total = sum(link.bytes for link in table.traffic())
    assert cost >= total * table.price("a", "b") / 2**30
    table.close()


def test_links_without_a_bandwidth_only_have_latency(tmp_path: Path) -> None:
    table = LinkTable.create(tmp_path / "links", _catalog(egress="0"))
    assert table.reserve("a", "c", 10**9) == 0.0
