"""Cost over time is kept whole, in little space; status tells of the newest runs."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from benchmarks import _synthetic
from gridnb.hub.series import POINTS, Series, by_site
from gridnb.hub.status import status


def test_hours_take_as_little_space_as_minutes():
    series = Series()
    for second in range(6 * 3600):
        series.note(float(second), {"a": Decimal(second) / 1000, "b": Decimal(0)})
        assert len(series.points) <= POINTS
        assert series.points[-1] == (float(second), {"a": Decimal(second) / 1000} if second else {})
    times = [t for t, _ in series.points]
    assert times[0] == 0.0 and times == sorted(set(times))
    steps = {after - before for before, after in pairwise(times)}
    assert max(steps) <= 2 * series.every


def test_only_what_is_new_is_told():
    series = Series()
    for second in range(10):
        series.note(float(second), {"a": Decimal(second)})
    assert series.since(None) == series.points
    assert [t for t, _ in series.since(7.0)] == [8.0, 9.0]
    assert series.since(9.0) == []


def test_costs_are_summed_by_site():
    hub = _synthetic.hub(10, 0)
    assert by_site(hub) == {f"site{n}": Decimal("0.025") for n in range(5)}


def test_status_tells_of_the_newest_runs_and_counts_all():
    hub = _synthetic.hub(4, 500, running=3)
    hub.runs["grid-0"].state, hub.runs["grid-0"].ended = "running", None  # the oldest goes on
    told = status(hub, _synthetic.account(), _synthetic.about(), runs=20)
    assert told["counts"] == {"runs_total": 500, "runs_running": 4}
    names = [run["id"] for run in told["runs"]]
    assert names == ["grid-0", *(f"grid-{n}" for n in range(477, 500))]
    assert len(told["workers"]) == 4
    without = status(hub, _synthetic.account(), _synthetic.about(), runs=0, workers=False)
    assert without["workers"] == []
    assert [run["state"] for run in without["runs"]] == ["running"] * 4
    assert without["sites"] == told["sites"]
