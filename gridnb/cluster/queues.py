"""Tasks that wait for a worker, by site: the first to run at one end, the last at the other.

The scheduler serves a site's queue from its front; an idle site takes work from
the back of another's. Both take O(log n) steps; so does putting a task in.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, MutableSet

from gridnb.cluster.private import TaskState

__all__ = ["Queues", "SiteQueue"]

_Entry = tuple[tuple[float, ...], int, TaskState]


class SiteQueue:
    """The tasks that wait for one site, by priority. What has left is dropped when it comes up."""

    def __init__(self) -> None:
        self._there: set[TaskState] = set()
        self._front: list[_Entry] = []
        self._back: list[_Entry] | None = None  # made when it is first asked for
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._there)

    def __iter__(self) -> Iterator[TaskState]:
        return iter(self._there)

    def __contains__(self, ts: object) -> bool:
        return ts in self._there

    def add(self, ts: TaskState) -> None:
        """Put a task in."""
        assert ts.priority is not None
        self._there.add(ts)
        number = next(self._numbers)
        heapq.heappush(self._front, (ts.priority, number, ts))
        if self._back is not None:
            heapq.heappush(self._back, (_negative(ts.priority), -number, ts))

    def discard(self, ts: TaskState) -> None:
        """Take a task out, if it is there."""
        self._there.discard(ts)
        if not self._there:
            self._front.clear()
            self._back = None

    def first(self) -> TaskState:
        """Return the task that is to run next."""
        return _top(self._front, self._there)

    def last(self) -> TaskState:
        """Return the task that would run last."""
        if self._back is None:
            self._back = [(_negative(p), -n, ts) for p, n, ts in self._front]
            heapq.heapify(self._back)
        return _top(self._back, self._there)


def _negative(priority: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-part for part in priority)


def _top(heap: list[_Entry], there: set[TaskState]) -> TaskState:
    if not there:
        raise KeyError("the queue is empty")
    while heap[0][2] not in there:
        heapq.heappop(heap)
    return heap[0][2]


class Queues(MutableSet[TaskState]):
    """All waiting tasks; stands where Dask keeps its one queue."""

    def __init__(self) -> None:
        self._at: dict[TaskState, SiteQueue] = {}
        self.limbo = SiteQueue()  # for tasks that came before any worker

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[TaskState]:
        return iter(self._at)

    def __contains__(self, ts: object) -> bool:
        return ts in self._at

    def add(self, value: TaskState) -> None:
        """Put a task in limbo, from where it goes to the first site that comes."""
        self.put(value, self.limbo)

    def put(self, ts: TaskState, queue: SiteQueue) -> None:
        """Put a task into a queue, out of the one in which it was."""
        before = self._at.get(ts)
        if before is queue:
            return
        if before is not None:
            before.discard(ts)
        self._at[ts] = queue
        queue.add(ts)

    def discard(self, value: TaskState) -> None:
        """Take a task out, if it is there."""
        queue = self._at.pop(value, None)
        if queue is not None:
            queue.discard(value)

    def clear(self) -> None:
        """Take all tasks out."""
        for ts in list(self._at):
            self.discard(ts)

    def peek(self) -> TaskState:
        """Return the task with the best priority of all; O(queues)."""
        return min((q.first() for q in self._queues()), key=_priority)

    def sorted(self) -> Iterator[TaskState]:
        """Return all tasks by priority."""
        return iter(sorted(self._at, key=_priority))

    def _queues(self) -> Iterable[SiteQueue]:
        return set(self._at.values())


def _priority(ts: TaskState) -> tuple[float, ...]:
    assert ts.priority is not None
    return ts.priority
