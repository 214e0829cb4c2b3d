"""Dividing a worker's time: the parts always add up to cores × time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnb.metering.intervals import Sample, divide

_times = st.floats(0, 1e6, allow_nan=False)


@given(
    seconds=_times,
    cores=st.integers(1, 64),
    overhead=st.floats(-10, 1e6),
    used=st.dictionaries(st.text(min_size=1, max_size=3), st.floats(-1, 1e7), max_size=5),
    kept=st.floats(-1, 1e6),
)
def test_parts_add_up(
    seconds: float, cores: int, overhead: float, used: dict[str, float], kept: float
) -> None:
    parts = divide(seconds, cores, overhead=overhead, used=used, kept=kept)
    assert sum(parts.values()) == pytest.approx(cores * seconds)
    assert all(value >= 0 for value in parts.values())


def test_used_goes_before_kept_and_kept_before_idle() -> None:
    parts = divide(10, 2, overhead=1, used={"r": 6.0}, kept=4)
    assert parts == {
        ("overhead", ""): 2,
        ("used", "r"): 6,
        ("kept", ""): 8,
        ("idle", ""): 4,
    }


def test_what_runs_runs_on() -> None:
    sample = Sample(10.0, {"a": 1.0}, {"a": 2, "b": 1}, kept=3.0, keeping=False)
    later = sample.at(12.0)
    assert later.used == {"a": 5.0, "b": 2.0}
    assert later.kept == 3.0
    assert Sample(0.0, keeping=True).at(2.0).kept == 2.0
    assert sample.at(5.0) is sample
