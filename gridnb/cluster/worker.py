"""A site's worker: a Dask worker that knows its site, meters itself, and is as fast as its site.

The guard starts :func:`main` in a child process. There is no nanny: the guard
starts a worker again and ends it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
from distributed.security import Security

from gridnb.cluster import wan
from gridnb.cluster.links import LinkTable
from gridnb.cluster.private import DEFAULT_EXTENSIONS, ThreadPoolExecutor, Worker
from gridnb.cluster.staging import SiteStage
from gridnb.cluster.usage import UsageMeter

__all__ = ["SiteThreadPoolExecutor", "main", "security"]

logger = logging.getLogger("gridnb.worker")


def security(tls: dict[str, str]) -> Security:
    """Return Dask's security settings for files of one role: TLS both ways, nothing else."""
    cert, key = tls["cert"], tls["key"]
    return Security(
        require_encryption=True,
        tls_ca_file=tls["ca"],
        tls_client_cert=cert,
        tls_client_key=key,
        tls_scheduler_cert=cert,
        tls_scheduler_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
    )


class SiteWorker(Worker):
    """A Dask worker without an HTTP server: its pages would be open to all users of a machine."""

    def start_http_server(self, *args: Any, **kwargs: Any) -> None:
        """Start none."""


class SiteThreadPoolExecutor(ThreadPoolExecutor):
    """A thread pool in which work of t seconds takes t / speed.

    `speed` is relative to the fastest site (1.0). The slot is held for the whole time.
    Dask looks for "ThreadPoolExecutor" in the name to set up `get_worker` in a task.
    """

    def __init__(self, threads: int, speed: float) -> None:
        super().__init__(threads, thread_name_prefix="Dask-Default-Threads")
        self._speed = speed

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Run `fn`, and hold the thread on for what a slower site would have taken."""
        if self._speed >= 1:
            return super().submit(fn, *args, **kwargs)
        return super().submit(self._slowly, fn, *args, **kwargs)

    def _slowly(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return fn(*args, **kwargs)
        finally:
            time.sleep((time.perf_counter() - began) * (1 / self._speed - 1))


def prepare(spec: dict[str, Any]) -> None:
    """Set directory, environment and configuration of a process at a site."""
    os.environ.update(spec["env"])
    os.chdir(spec["cwd"])
    Path(spec["directory"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    for module in spec["preload"]:
        importlib.import_module(module)


def main(spec: dict[str, Any]) -> int:
    """Run the worker that `spec` describes until it is closed; returns the exit code.

    Keys: ``name``, ``site``, ``lease``, ``scheduler``, ``tls`` (ca, cert, key),
    ``cores``, ``memory`` (bytes), ``directory``, ``cwd``, ``env``, ``preload``,
    ``speed``, ``links`` (path or None), ``stage`` (root, limit in bytes; None for no staging).
    """
    prepare(spec)
    os.register_at_fork(after_in_child=_forget_signals)
    links = LinkTable(spec["links"]) if spec["links"] else None
    wan.place(spec["site"], links)
    return asyncio.run(_serve(spec, simulated=links is not None))


def _forget_signals() -> None:
    """A child that a task forks must not tell the worker's loop of its own signals."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def _serve(spec: dict[str, Any], *, simulated: bool) -> int:
    settings = {
        "temporary-directory": spec["directory"],
        "distributed.worker.daemon": False,
    }
    extensions = {**DEFAULT_EXTENSIONS, UsageMeter.name: UsageMeter}
    stage = SiteStage(spec["site"], **spec["stage"]) if spec.get("stage") else None
    with dask.config.set(settings):
        worker = SiteWorker(
            spec["scheduler"],
            name=spec["name"],
            nthreads=spec["cores"],
            memory_limit=spec["memory"],
            security=security(spec["tls"]),
            protocol="wan" if simulated else "tls",
            host="127.0.0.1",
            local_directory=spec["directory"],
            executor=SiteThreadPoolExecutor(spec["cores"], spec["speed"]),
            extensions=extensions,
            startup_information={"site": lambda _: spec["site"], "lease": lambda _: spec["lease"]},
            dashboard=False,
            nanny=None,
            plugins=(stage,) if stage else (),
        )
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(worker.close()))
        await worker
        await worker.plugin_add(worker.extensions[UsageMeter.name], name=UsageMeter.name)
        await worker.finished()
    return 0
