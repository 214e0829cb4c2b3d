"""Dividing the time that a worker was paid for: used, kept, idle, overhead.

All in core-seconds of real time; the four always add up to cores × time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Part", "Sample", "divide"]

#: What a paid second went to, and the run that it was used by ("" unless used).
Part = tuple[Literal["used", "kept", "idle", "overhead"], str]


@dataclass(frozen=True, slots=True)
class Sample:
    """Cumulative counts of a worker at a time of the guard's clock.

    used
        Slot-seconds by run since the worker began.
    running
        Slots held right now, by run.
    kept
        Seconds without work while data was held.
    keeping
        Whether that is so right now.
    born
        When the counts began; those of a worker that was started again begin anew.
    """

    t: float
    used: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    kept: float = 0.0
    keeping: bool = False
    born: float = 0.0

    def at(self, t: float) -> Sample:
        """Carry the sample on to a later time: what ran, runs on."""
        more = max(t - self.t, 0.0)
        if not more:
            return self
        used = {run: self.used.get(run, 0.0) for run in {*self.used, *self.running}}
        for run, slots in self.running.items():
            used[run] += slots * more
        kept = self.kept + (more if self.keeping else 0.0)
        return Sample(t, used, self.running, kept, self.keeping, self.born)


def divide(
    seconds: float, cores: int, *, overhead: float, used: Mapping[str, float], kept: float
) -> dict[Part, float]:
    """Divide `cores` × `seconds` core-seconds.

    Parameters
    ----------
    overhead
        Seconds at the beginning in which the worker was not up yet.
    used
        Slot-seconds by run; above what the cores give they are shared in proportion.
    kept
        Seconds without work in which data was held.
    """
    total = cores * seconds
    parts: dict[Part, float] = {}
    start_up = min(max(overhead, 0.0), seconds) * cores
    if start_up:
        parts["overhead", ""] = start_up
    room = total - start_up
    held = sum(max(value, 0.0) for value in used.values())
    share = min(1.0, room / held) if held > 0 else 0.0
    for run, value in used.items():
        if value * share > 0:
            parts["used", run] = value * share
    rest = max(room - held * share, 0.0)
    still = min(max(kept, 0.0) * cores, rest)
    if still:
        parts["kept", ""] = still
    if rest - still > 0:
        parts["idle", ""] = rest - still
    return parts
