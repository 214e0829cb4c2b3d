"""How sites do: what failed there lately, and for how long each is avoided.

Failures within a few seconds count once: a site that goes takes all its workers with it. A single
worker that is lost is no reason to avoid its site; a site that loses all of them, takes them back,
or fails again within the window is avoided, each time twice as long, and tried again afterwards.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from gridnb.units import format_seconds

__all__ = ["Failure", "Health"]

WINDOW = 600.0  # real seconds for which a failure counts
FIRST, MOST = 30.0, 600.0  # real seconds for which a site is avoided
ONCE = 1.0  # real seconds within which failures are one

Kind = Literal["lost", "start", "slow", "notice"]
_WORDS = {
    "lost": "lost workers",
    "start": "could not start workers",
    "slow": "was slow to start workers",
    "notice": "took workers back",
}


@dataclass
class Failure:
    """Something that went wrong at a site: when, what, and how many workers it struck."""

    at: float
    kind: Kind
    workers: int = 1
    whole: bool = False


class Health:
    """The failures of sites over a sliding window; times are those of the guard's clock."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[Failure]] = {}

    def note(self, site: str, kind: Kind, now: float, *, whole: bool = False) -> None:
        """Note a failure; `whole` if none of the site's workers is left."""
        known = self._recent(site, now)
        if known and known[-1].kind == kind and now - known[-1].at < ONCE:
            known[-1].workers += 1
            known[-1].whole |= whole
            return
        self._failures.setdefault(site, deque()).append(Failure(now, kind, whole=whole))

    def _recent(self, site: str, now: float) -> deque[Failure]:
        known = self._failures.get(site, deque())
        while known and known[0].at < now - WINDOW:
            known.popleft()
        return known

    def strikes(self, site: str, now: float) -> int:
        """How often the site has failed within the window."""
        return len(self._recent(site, now))

    def avoided_for(self, site: str, now: float) -> float:
        """Return the real seconds for which a site is still avoided; 0 if it is not."""
        known = self._recent(site, now)
        if not known or (len(known) == 1 and not known[0].whole and known[0].kind == "lost"):
            return 0.0
        pause = min(FIRST * 2.0 ** (len(known) - 1), MOST)
        return max(known[-1].at + pause - now, 0.0)

    def why(self, site: str, now: float) -> str | None:
        """Return in words why a site is avoided, or None if it is not."""
        left = self.avoided_for(site, now)
        if not left:
            return None
        last = self._recent(site, now)[-1]
        ago = format_seconds(round(now - last.at))
        return f"{_WORDS[last.kind]} {ago} ago; avoided for {format_seconds(max(round(left), 1))}"

    def avoided(self, now: float) -> dict[str, str]:
        """Return the sites that are avoided, each with the reason."""
        found = {site: self.why(site, now) for site in self._failures}
        return {site: why for site, why in found.items() if why is not None}

    def describe(self, site: str, now: float) -> dict[str, Any]:
        """Return a site's failures within the window, workers counted, and why it is avoided."""
        counts = dict.fromkeys(_WORDS, 0)
        for each in self._recent(site, now):
            counts[each.kind] += each.workers
        return {
            **counts,
            "avoided_for": self.avoided_for(site, now),
            "why": self.why(site, now) or "",
        }
