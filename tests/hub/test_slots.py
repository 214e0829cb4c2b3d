"""Every second of a worker is charged once, and its parts add up, to the last digit."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gridnb.catalog import Site
from gridnb.hub.slots import Slot
from gridnb.metering import rating
from gridnb.metering.intervals import Sample

_times = st.floats(0.001, 500, allow_nan=False).map(lambda value: round(value, 6))
#: A worker that is ended this late, in seconds, is still paid for.
_LATE = 2.0
_prices = st.decimals("0", "9", places=4)


@st.composite
def _sites(draw: st.DrawFn) -> Site:
    return Site.model_validate(
        {
            "name": "s",
            "provider": "simulated",
            "rate_card": {
                "core_hour": draw(_prices),
                "gib_hour": draw(_prices),
                "per_start": draw(_prices),
                "minimum_seconds": draw(st.integers(0, 300)),
                "rounding_seconds": draw(st.sampled_from([1, 10, 60])),
            },
            "offers": [{"name": "o", "cores": draw(st.integers(1, 8)), "memory": "2 GiB"}],
        }
    )


def _slot(site: Site, scale: str = "1") -> Slot:
    return Slot("s-1", site, site.offers[0], "lease", Decimal(scale), ordered=100.0)


@given(
    site=_sites(),
    scale=st.sampled_from(["1", "60", "0.5"]),
    steps=st.lists(st.tuples(_times, st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=12),
    ready=_times,
)
def test_parts_add_up_to_what_is_paid(
    site: Site, scale: str, steps: list[tuple[float, float, float]], ready: float
) -> None:
    slot = _slot(site, scale)
    slot.started = now = 100.0
    slot.ready = 100.0 + ready
    used: dict[str, float] = defaultdict(float)
    kept = 0.0
    lines = []
    for number, (step, busy, keeping) in enumerate(steps):
        now = round(now + step, 6)
        used[f"r{number % 3}"] += busy * step * slot.cores
        kept += keeping * step
        slot.take(Sample(now, dict(used), {}, kept))
        lines += slot.lines(now)
    slot.ended = now
    last = slot.last_line()
    if last is not None:
        lines.append(last)
    up = slot.billed(now - 100.0)
    paid = rating.paid_seconds(up, site.rate_card)
    seconds = sum(line.seconds for line in lines)
    assert seconds == (up if site.free else paid)
    assert sum(line.amount for line in lines) == slot.cost(now - 100.0) == slot.charged_total
    assert all(line.seconds >= 0 and line.amount >= 0 for line in lines)
    assert {line.kind for line in lines} <= {"used", "kept", "idle", "overhead"}


@given(
    site=_sites(),
    first=_times,
    second=_times,
    ends=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_holds_pay_for_every_charge_until_the_end(
    site: Site, first: float, second: float, ends: float
) -> None:
    """Whenever the worker ends, up to the allowance after its last term, the holds suffice."""
    slot = _slot(site)
    slot.purse.put("t1", slot.to_hold(100.0 + first, 100.0))
    slot.started = 100.0
    slot.purse.put("t2", slot.to_hold(100.0 + first + second, 100.0 + first / 2))
    slot.ended = round(100.0 + (first + second + _LATE) * ends, 6)
    lines = slot.lines(slot.ended)
    last = slot.last_line()
    due = sum((line.amount for line in [*lines, *([last] if last else [])]), Decimal(0))
    assert due <= slot.purse.total
    assert all(hold is not None for hold, _ in slot.purse.draw(due))


def test_a_worker_that_was_started_again_counts_on() -> None:
    site = Site.model_validate(
        {"name": "s", "provider": "local", "offers": [{"name": "o", "cores": 1, "memory": "1 GiB"}]}
    )
    slot = _slot(site)
    slot.take(Sample(110.0, {"a": 5.0}, {"a": 1}, born=100.0))
    slot.worker_gone(112.0)
    slot.take(Sample(120.0, {"a": 1.0}, {}, born=115.0))
    usage = slot.usage(120.0)
    assert usage is not None
    assert usage.used["a"] == 8.0


def test_above_its_cores_a_worker_is_shared() -> None:
    site = Site.model_validate(
        {"name": "s", "provider": "local", "offers": [{"name": "o", "cores": 1, "memory": "1 GiB"}]}
    )
    slot = _slot(site)
    slot.started = slot.ready = 100.0
    slot.cell_used["cell"] = 10.0
    slot.take(Sample(110.0, {"task": 10.0}))
    seconds = {line.run: line.seconds for line in slot.lines(110.0)}
    assert seconds == {"cell": 5, "task": 5}
