"""A worker under a lease: until when it is paid, what for, and what is still to be charged.

Nothing here does anything: the hub asks a slot what a term costs, tells it what
was held, and draws charges from it. Times are seconds of the guard's clock;
billed time is real time multiplied by the catalog's time scale.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from gridnb.catalog import Offer, Site
from gridnb.hub.purse import Purse
from gridnb.ledger import Kind
from gridnb.metering import rating
from gridnb.metering.intervals import Part, Sample, divide

if TYPE_CHECKING:
    from gridnb.providers.base import GuardLink

__all__ = ["GRACE", "Line", "Slot"]

#: Real seconds that a hold pays for beyond the end: the time it takes to end a worker.
GRACE = 2.0

State = Literal["starting", "running", "draining", "ended"]


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a worker's paid time, priced: seconds are billed worker-seconds."""

    kind: Kind
    run: str
    seconds: Decimal
    amount: Decimal
    start: float
    end: float


@dataclass
class Slot:
    """One worker of a lease, from its first hold to its last charge."""

    name: str
    site: Site
    offer: Offer
    lease: str
    scale: Decimal
    ordered: float
    end: float = 0.0
    state: State = "starting"
    link: GuardLink | None = None
    started: float | None = None
    ready: float | None = None
    ended: float | None = None
    reason: str = ""
    heard: float = 0.0
    until: float | None = None
    leaving: bool = False
    pid: int = 0
    guard: int = 0
    address: str | None = None
    cpu: float | None = None
    estimated: bool = False
    purse: Purse = field(default_factory=Purse)
    charged_total: Decimal = Decimal(0)
    billed_to: float | None = None
    sample: Sample | None = None
    cell_used: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cell_running: dict[str, tuple[str, float]] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    _seen_kept: float = 0.0
    _raw: Sample | None = None
    _before: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _before_kept: float = 0.0

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state != "ended"

    @property
    def draining(self) -> bool:
        """Whether it was told to end."""
        return self.state == "draining"

    @cached_property
    def rate(self) -> Decimal:
        """Price an hour of billed time."""
        return self.site.price(self.offer)

    @property
    def cores(self) -> int:
        """Cores of the worker."""
        return self.offer.cores

    # before: what has to be set aside

    def billed(self, seconds: float) -> Decimal:
        """Turn real seconds into billed ones, exact to a microsecond."""
        return (Decimal(str(round(seconds, 6))) * self.scale).quantize(Decimal("1e-6"))

    def cost(self, seconds: float) -> Decimal:
        """Return what `seconds` of real up-time cost, minimum and rounding included."""
        if self.site.free:
            return Decimal(0)
        paid = rating.paid_seconds(self.billed(seconds), self.site.rate_card)
        return rating.amount(self.site, self.offer, paid) + self.site.rate_card.per_start

    def to_hold(self, end: float, now: float) -> Decimal:
        """Return what must be held in addition, so that the worker may run until `end`."""
        began = self.started if self.started is not None else min(self.ordered, now)
        return max(self.cost(end - began + GRACE) - self.purse.total, Decimal(0))

    # after: what is to be charged

    def known_to(self, now: float, stale: float) -> float:
        """Return up to when the worker's counts are known; `now` if they are older than `stale`."""
        if self.sample is None or now - self.sample.t > stale:
            return now
        return self.sample.t

    def take(self, sample: Sample) -> None:
        """Take the worker's counts; a worker that was started again counts from zero."""
        if self._raw is not None and self._raw.born != sample.born:
            for run, seconds in self._raw.used.items():
                self._before[run] += seconds
            self._before_kept += self._raw.kept
        self._raw = sample
        used = defaultdict(float, sample.used)
        for run, seconds in self._before.items():
            used[run] += seconds
        kept = sample.kept + self._before_kept
        self.sample = Sample(sample.t, used, sample.running, kept, sample.keeping)

    def worker_gone(self, now: float) -> None:
        """What ran when the worker went, ran until now and not on."""
        if self._raw is not None:
            self.take(replace(self._raw.at(now), running={}, keeping=False))

    def usage(self, now: float) -> Sample | None:
        """Return the worker's counts carried on to `now`, with its cell process's."""
        base = (self.sample or Sample(now)).at(now)
        used = defaultdict(float, base.used)
        for run, seconds in self.cell_used.items():
            used[run] += seconds
        for run, since in self.cell_running.values():
            used[run] += max(now - since, 0.0)
        return Sample(now, used, base.running, base.kept)

    def lines(self, now: float) -> list[Line]:
        """Divide and price the time since the last call; `now` is at most the recorded end."""
        if self.started is None:
            return []
        begin = self.billed_to if self.billed_to is not None else self.started
        if now <= begin:
            return []
        parts = self._parts(begin, now)
        weights = {part: Decimal(value) for part, value in parts.items()}
        total = self.billed(now - self.started) - self.billed(begin - self.started)
        seconds = rating.split(total, weights)
        due = self._live_cost(now) - self.charged_total
        amounts = rating.split(due, weights)
        self.billed_to = now
        self.charged_total += due
        return [
            Line(kind, run, seconds[kind, run], amounts[kind, run], begin, now)
            for kind, run in parts
        ]

    def _live_cost(self, now: float) -> Decimal:
        assert self.started is not None
        if self.site.free:
            return Decimal(0)
        seconds = self.billed(now - self.started)
        return rating.amount(self.site, self.offer, seconds) + self.site.rate_card.per_start

    def _parts(self, begin: float, now: float) -> dict[Part, float]:
        usage = self.usage(now)
        assert usage is not None
        used = {}
        for run, seconds in usage.used.items():
            more = seconds - self._seen.get(run, 0.0)
            if more > 0:
                used[run] = more
                self._seen[run] = seconds
        kept = max(usage.kept - self._seen_kept, 0.0)
        self._seen_kept = max(usage.kept, self._seen_kept)
        up = self.ready if self.ready is not None else now
        if self.cell_running:
            kept = 0.0
        return divide(now - begin, self.cores, overhead=up - begin, used=used, kept=kept)

    def last_line(self) -> Line | None:
        """Return what minimum and rounding add when the worker has ended."""
        if self.started is None or self.ended is None:
            return None
        up = self.billed(self.ended - self.started)
        more = rating.paid_seconds(up, self.site.rate_card) - up
        due = self.cost(self.ended - self.started) - self.charged_total
        if self.site.free or (not more and not due):
            return None
        self.charged_total += due
        return Line("overhead", "", more, due, self.ended, self.ended)

    def describe(self, now: float) -> dict[str, Any]:
        """Return the slot as a row of the grid's status."""
        return {
            "name": self.name,
            "site": self.site.name,
            "lease": self.lease,
            "state": self.state,
            "cores": self.cores,
            "memory": self.offer.memory,
            "speed": float(self.offer.speed),
            "rate": str(self.rate),
            "up": (self.ended or now) - self.started if self.started is not None else 0.0,
            "term_left": max(self.end - now, 0.0) if self.state != "ended" else 0.0,
            "pid": self.pid,
            "address": self.address,
            "reason": self.reason,
        }
