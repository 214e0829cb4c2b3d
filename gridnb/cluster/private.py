"""The names of distributed that are not its public interface and that gridnb stands on.

Everything private comes through here, so that a test can say which of them a
new release has changed (``tests/cluster/test_private.py``).
"""

from __future__ import annotations

from dask.context import thread_state
from distributed.comm.tcp import (
    TLS,
    TLSBackend,
    TLSConnector,
    TLSListener,
    _add_frames_header,
    convert_stream_closed_error,
)
from distributed.comm.utils import to_frames
from distributed.deploy.cluster import Cluster
from distributed.scheduler import Scheduler, TaskState, WorkerState
from distributed.threadpoolexecutor import ThreadPoolExecutor
from distributed.worker import DEFAULT_EXTENSIONS, Worker

__all__ = [
    "DEFAULT_EXTENSIONS",
    "TLS",
    "Cluster",
    "Scheduler",
    "TLSBackend",
    "TLSConnector",
    "TLSListener",
    "TaskState",
    "ThreadPoolExecutor",
    "Worker",
    "WorkerState",
    "_add_frames_header",
    "convert_stream_closed_error",
    "thread_state",
    "to_frames",
]
