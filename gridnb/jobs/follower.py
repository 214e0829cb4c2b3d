"""Following the jobs of a grid, in a thread beside the cells."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import CancelledError
from typing import Any

from gridnb.errors import HubError
from gridnb.hub.places import Place
from gridnb.jobs.job import Job
from gridnb.jobs.results import Access

__all__ = ["Follower"]

WAIT = 10.0  # seconds after which the hub answers also when nothing is new
AGAIN = 1.0  # seconds until a hub that has not answered is asked again
MOST = 1000  # states of jobs that nobody here follows, yet


class Follower:
    """Keeps the jobs of one grid up to date, in a thread that lives while one is under way."""

    def __init__(self, access: Access, grid: str) -> None:
        self._access, self._grid = access, grid
        self._jobs: dict[str, Job] = {}
        self._latest: dict[str, dict[str, Any]] = {}
        self._since = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def known(self, run: str) -> Job | None:
        """Return the job of this id that is followed, or was."""
        return self._jobs.get(run)

    def add(self, job: Job) -> Job:
        """Follow a job to its end."""
        with self._lock:
            self._jobs[job.id] = job
            told = self._latest.pop(job.id, None)
            if self._thread is None and not self._stopped and not job.done():
                self._thread = threading.Thread(
                    target=self._follow, name="gridnb-jobs", daemon=True
                )
                self._thread.start()
        if told is not None:
            job.take(told)
        return job

    def stop(self) -> None:
        """Follow no more; what is asked of the hub just now is not waited for."""
        self._stopped = True

    def leave(self) -> None:
        """Let nobody wait for jobs that go on: they are not followed any more."""
        for job in list(self._jobs.values()):
            job.left()

    def settle(self) -> None:
        """The hub has ended: the records know what became of its jobs."""
        for job in list(self._jobs.values()):
            if not job.done():
                with contextlib.suppress(OSError):  # it was forgotten; nobody can know
                    job.take(job.record.about())

    def _follow(self) -> None:
        while self._wanted():
            try:
                answer = self._access.call("jobs_wait", since=self._since, timeout=WAIT)
            except (HubError, OSError, RuntimeError, CancelledError, asyncio.CancelledError):
                self._missed()
                continue
            self._since = answer["version"]
            for about in answer["jobs"]:
                self._tell(about)

    def _tell(self, about: dict[str, Any]) -> None:
        with self._lock:
            job = self._jobs.get(about["id"])
            if job is None:  # it may be that its start has not been answered yet
                self._latest[about["id"]] = about
                while len(self._latest) > MOST:
                    del self._latest[next(iter(self._latest))]
        if job is not None:
            job.take(about)

    def _missed(self) -> None:
        """The hub has not answered: it is asked again as long as it lives."""
        if self._stopped:
            return
        if Place.alive_of(self._grid):
            time.sleep(AGAIN)
        else:
            self.settle()
            self.leave()

    def _wanted(self) -> bool:
        with self._lock:
            wanted = not self._stopped and any(not job.done() for job in self._jobs.values())
            if not wanted:
                self._thread = None
            return wanted
