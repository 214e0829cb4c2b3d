"""The names of distributed that are not its public interface and that gridnb stands on.

Everything private comes through here, so that a test can say which of them a
new release has changed (``tests/cluster/test_private.py``).
"""

from __future__ import annotations

from dask.context import thread_state
from distributed.active_memory_manager import (
    ActiveMemoryManagerPolicy,
    ReduceReplicas,
    Suggestion,
)
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
from distributed.scheduler import DEFAULT_EXTENSIONS as SCHEDULER_EXTENSIONS
from distributed.scheduler import Scheduler, TaskState, WorkerState
from distributed.shuffle._core import P2PBarrierTask, barrier_key
from distributed.shuffle._scheduler_plugin import ShuffleSchedulerPlugin
from distributed.stealing import WorkStealing
from distributed.threadpoolexecutor import ThreadPoolExecutor
from distributed.utils import ensure_memoryview
from distributed.worker import DEFAULT_EXTENSIONS, Worker

__all__ = [
    "DEFAULT_EXTENSIONS",
    "SCHEDULER_EXTENSIONS",
    "TLS",
    "ActiveMemoryManagerPolicy",
    "Cluster",
    "P2PBarrierTask",
    "ReduceReplicas",
    "Scheduler",
    "ShuffleSchedulerPlugin",
    "Suggestion",
    "TLSBackend",
    "TLSConnector",
    "TLSListener",
    "TaskState",
    "ThreadPoolExecutor",
    "WorkStealing",
    "Worker",
    "WorkerState",
    "_add_frames_header",
    "barrier_key",
    "convert_stream_closed_error",
    "ensure_memoryview",
    "thread_state",
    "to_frames",
]
