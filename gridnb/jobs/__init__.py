"""Jobs: work that runs at a site while the notebook goes on, and when it is gone."""

from gridnb.jobs.follower import Follower
from gridnb.jobs.job import Job
from gridnb.jobs.results import Access

__all__ = ["Access", "Follower", "Job"]
