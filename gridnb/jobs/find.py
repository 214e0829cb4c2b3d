"""Finding jobs of which something is kept, without a grid."""

from __future__ import annotations

from typing import Any

from gridnb.hub.runs import RunRecord, records
from gridnb.jobs.job import Job

__all__ = ["job_of", "jobs_of", "runs_of"]


def runs_of(account: str) -> list[RunRecord]:
    """Return what is kept of the jobs of an account, the newest first."""
    return [each for each in reversed(records()) if each.about()["account"] == account]


def job_of(record: RunRecord, space: dict[str, Any]) -> Job:
    """Return a job that has ended, or whose grid is not at hand."""
    return Job(record, None, space)


def jobs_of(account: str, space: dict[str, Any]) -> list[Job]:
    """Return the jobs of an account, the newest first."""
    return [job_of(record, space) for record in runs_of(account)]
