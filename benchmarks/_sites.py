"""A small cluster over simulated sites, with a scheduler of choice: gridnb's or Dask's own.

Workers are processes, the same for every scheduler: gridnb's, with ``wan://`` comms over one
table of modelled links. The scheduler runs in this process, as it does in a hub.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Scheduler
from distributed.utils import LoopRunner

from gridnb.catalog import Catalog
from gridnb.cluster.links import LinkTable
from gridnb.cluster.scheduler import GridScheduler
from gridnb.cluster.usage import SAMPLE, UsageMeter
from gridnb.cluster.worker import security
from gridnb.hub import certificates

__all__ = ["GRIDNB", "INF", "PLAIN", "Cluster", "Kind", "cluster", "quiet"]

CONFIG = {
    "distributed.comm.timeouts.connect": "30s",
    "distributed.admin.tick.limit": "30s",
    "distributed.worker.profile.enabled": False,  # it costs more here than what is measured
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.worker-ttl": None,
    "dataframe.shuffle.method": "p2p",
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Kind:
    """A scheduler to measure: its class, and settings that it is made with."""

    name: str
    scheduler: type[Scheduler]
    settings: Mapping[str, Any]


GRIDNB = Kind("gridnb", GridScheduler, {})
PLAIN = Kind("Dask", Scheduler, {})
INF = Kind(
    "Dask, saturation inf",
    Scheduler,
    {"distributed.scheduler.worker-saturation": float("inf")},
)


def catalog(sites: int, workers: int, *, bandwidth: str, latency: str) -> Catalog:
    """Return equal sites of workers of one core, whose egress has different prices."""
    offer = {"name": "core", "cores": 1, "memory": "4 GiB", "count": workers}
    prices = ("0.09", "0.05", "0.12", "0.08")
    described = [
        {
            "name": f"site-{chr(97 + n)}",
            "provider": "simulated",
            "rate_card": {"core_hour": "0.1", "egress_gib": prices[n % len(prices)]},
            "offers": [offer],
        }
        for n in range(sites)
    ]
    link = {"latency": latency, "bandwidth": bandwidth}
    return Catalog.of({"name": "sites", "sites": described, "default_link": link})


class Keeper:
    """What a hub is for its scheduler, without leases: it knows who is where."""

    def __init__(self, known: Catalog) -> None:
        self._catalog = known

    def admits(self, worker: str) -> str | None:
        """Let everybody in."""
        return None

    def site_of(self, worker: str) -> Any:
        """Return the site that a worker has its name from."""
        from gridnb.cluster.sites import Membership

        return Membership(worker.rpartition("/")[0], 1.0)

    def link(self, source: str, target: str) -> Any:
        """Return a link as a hub does: money counts as the time that it would pay for."""
        from gridnb.cluster.sites import Link

        link = self._catalog.link(source, target)
        price = float(self._catalog.egress(source, target)) / 2**30
        second = sum(o.count for s in self._catalog.sites for o in s.offers) * 0.1 / 3600
        return Link(link.latency, 1 / link.bandwidth if link.bandwidth else 0.0, price / second)

    def joined(self, worker: str, address: str) -> None:
        """Nothing has to be noted."""

    def left(self, worker: str, address: str) -> None:
        """Nothing has to be noted."""

    def retired(self, worker: str) -> None:
        """Nothing has to be ended."""

    def sampled(self, worker: str, sample: dict[str, Any]) -> None:
        """Nothing is charged."""

    def seen_run(self, run: str, label: str) -> None:
        """Nothing has to be noted."""

    async def respawn(self, workers: list[str]) -> None:
        """Nobody restarts workers here."""
        raise NotImplementedError("workers of a benchmark are not restarted")


class _Ignored:
    """Takes the counts that gridnb's workers send to any scheduler."""

    def heartbeat(self, worker: Any, sample: Any) -> None:
        """Drop a sample."""


@dataclass
class Cluster:
    """What is up: the client, the links, and the addresses of each site's workers."""

    client: Client
    links: LinkTable
    sites: Sequence[Sequence[str]]

    def traffic(self) -> tuple[int, float]:
        """Return the bytes that went between sites so far, and their cost in GD."""
        found = self.links.traffic()
        return sum(link.bytes for link in found), sum(link.cost for link in found) / 1e9


def quiet() -> None:
    """Let each task use one thread, in all processes that begin from now on."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    multiprocessing.set_forkserver_preload(["benchmarks._preload"])


@contextmanager
def cluster(kind: Kind, known: Catalog, seed: int) -> Iterator[Cluster]:
    """Start a scheduler and the workers of all sites, in an order that the seed gives."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="gridnb-sites-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        certificates.issue(directory, "benchmark")
        links = LinkTable.create(directory / "links", known)
        stack.callback(links.close)
        for site in known.sites:
            links.allow(site.name, 10**18)
        stack.enter_context(dask.config.set(CONFIG))
        runner = LoopRunner(asynchronous=False)
        runner.start()
        stack.callback(runner.stop)
        secret = security(certificates.paths(directory, "hub").as_dict())
        scheduler = runner.run_sync(_scheduler, kind, known, secret)
        stack.callback(runner.run_sync, scheduler.close)
        names = [(s.name, n) for s in known.sites for n in range(s.capacity)]
        random.Random(seed).shuffle(names)
        processes = _start(directory, scheduler.address, names)
        stack.callback(_end, processes)
        client = stack.enter_context(
            Client(scheduler.address, security=secret, loop=runner.loop, set_as_default=False)
        )
        client.wait_for_workers(len(names), timeout=60)
        at = {str(w.name): address for address, w in scheduler.workers.items()}
        sites = [[at[f"{s.name}/{n}"] for n in range(s.capacity)] for s in known.sites]
        yield Cluster(client, links, sites)


async def _scheduler(kind: Kind, known: Catalog, secret: Any) -> Scheduler:
    with dask.config.set(kind.settings):
        made = kind.scheduler(
            protocol="tls", host="127.0.0.1", port=0, dashboard=False, security=secret
        )
    if isinstance(made, GridScheduler):
        made.keeper = Keeper(known)
    else:
        made.extensions[UsageMeter.name] = _Ignored()
        made.stream_handlers[SAMPLE] = _ignore
    return await made


def _ignore(sample: Any, worker: str) -> None:
    """Drop a worker's last sample."""


def _start(directory: Path, scheduler: str, names: Sequence[tuple[str, int]]) -> list[Any]:
    context = multiprocessing.get_context("forkserver")
    tls = certificates.paths(directory, "worker").as_dict()
    started = []
    for site, number in names:
        name = f"{site}/{number}"
        spec = {
            "name": name,
            "site": site,
            "lease": "benchmark",
            "scheduler": scheduler,
            "tls": tls,
            "cores": 1,
            "memory": 4 * 2**30,
            "directory": str(directory / name.replace("/", "-")),
            "cwd": str(Path.cwd()),
            "env": {},
            "preload": [],
            "speed": 1.0,
            "links": str(directory / "links"),
        }
        process = context.Process(target=_work, args=(spec,), daemon=True)
        process.start()
        started.append(process)
    return started


def _work(spec: dict[str, Any]) -> None:
    from gridnb.cluster import worker

    # A heartbeat that meets the end of a run is none of its errors; tasks' errors are raised.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(CONFIG):
        worker.main(spec)


def _end(processes: Sequence[Any]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()
