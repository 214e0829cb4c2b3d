"""The worker's part in staging: brings what its site lacks, gives to others what it has.

A worker asks the hub for an item (`grid_stage_need`), and is told that the site has it by now, or
to bring it, and from where. It does so in pieces, over the same connections as all that workers
send each other, so that the bytes are counted, share the link, and are paid. Wishes of
processes at the site (:func:`gridnb.staged.hold`) are fulfilled by whichever worker sees them.
A worker that joins brings all items first, and takes tasks then.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Hashable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from distributed.comm.core import Comm, connect
from distributed.diagnostics.plugin import WorkerPlugin

from gridnb import staged
from gridnb.cluster.private import Worker, thread_state
from gridnb.cluster.store import CHUNK, Manifest, Store, Writer, parts_of, read
from gridnb.errors import StageError
from gridnb.stagedfs import register

__all__ = ["SiteStage"]

logger = logging.getLogger("gridnb.worker")

_WINDOW = 8  # pieces that are on their way at once: latency is waited for once, not for each
_RUNNING = frozenset({"executing", "long-running", "cancelled", "resumed"})
_LOOK = 0.05  # seconds between looks for wishes
_STALLED = 5.0  # seconds without a piece after which the hub is asked what to do
_CATCH_UP = 15.0  # seconds that a worker that joins waits for items beyond what they should take


class _Stopped(StageError):
    """The hub has said that this way leads nowhere."""


class SiteStage(WorkerPlugin):
    """Worker plugin: `root` is the site's directory, `limit` what it may take, in bytes."""

    name = "gridnb-stage"

    def __init__(self, site: str, root: str, limit: int) -> None:
        self.site = site
        self.store = Store(Path(root), limit)
        self._bringing: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        # Who waits for the store does so in a thread, of which there are few.
        self._alone = asyncio.Lock()

    async def setup(self, worker: Worker) -> None:
        """Answer the hub and other workers, and bring what was staged before this worker came."""
        self.worker = worker
        register()
        await asyncio.to_thread(self.store.prepare)
        worker.handlers.update(
            stage_bring=self.answer_bring,
            stage_read=self.answer_read,
            stage_verify=self.answer_verify,
            volume_list=self.answer_list,
            volume_read=self.answer_volume_read,
            volume_adopt=self.answer_adopt,
        )
        staged.owner = _task_of_thread
        await self._catch_up()
        self._start(self._grant_wishes())

    def teardown(self, worker: Worker) -> None:
        """Leave what is under way to others."""
        for task in self._tasks:
            task.cancel()

    def transition(self, key: Hashable, start: str, finish: str, **_: Any) -> None:
        """Let go of what a task has opened when it leaves its slot."""
        # One that is cancelled runs on.
        if start in _RUNNING and finish not in _RUNNING:
            staged.release(key)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # what is brought here

    async def _catch_up(self) -> None:
        """Bring all items; one that does not come in time is brought when it is opened."""
        try:
            wanted = await self.worker.scheduler.grid_stage_wanted(site=self.site)
            async with asyncio.timeout(wanted["seconds"] * 2 + _CATCH_UP):
                for digest in wanted["digests"]:
                    await self.bring(digest)
        except (OSError, TimeoutError, StageError) as error:
            logger.info("%s: not all that is staged is here yet: %s", self.worker.name, error)

    async def bring(self, digest: str) -> None:
        """Bring an item to this site, unless it is here.

        Raises
        ------
        StageError
            If it cannot be had; OSError if the hub is gone.
        """
        task = self._bringing.get(digest)
        if task is None:
            task = self._bringing[digest] = self._start(self._bring(digest))
            task.add_done_callback(lambda _: self._bringing.pop(digest, None))
        await asyncio.shield(task)

    async def _bring(self, digest: str) -> None:
        arguments = self.worker.security.get_connection_args("worker")
        comm = await connect(self.worker.scheduler.addr, **arguments)
        try:
            have = await asyncio.to_thread(self.store.has, digest)
            await comm.write(
                {
                    "op": "grid_stage_need",
                    "site": self.site,
                    "worker": self.worker.name,
                    "digest": digest,
                    "have": have,
                    "reply": False,
                }
            )
            while True:
                order = await comm.read()
                if "error" in order:
                    raise StageError(order["error"])
                if order.get("have"):
                    return
                await comm.write(await self._obey(order, comm))
        finally:
            comm.abort()

    async def _obey(self, order: dict[str, Any], comm: Comm) -> dict[str, Any]:
        """Bring what the hub says from where it says; returns how that went."""
        manifest = Manifest.of(order["entries"])
        try:
            async with self._alone:
                received, evicted = await self._pull(manifest, order["address"], comm)
        except (OSError, StageError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            return {"failed": text, "kind": type(error).__name__}
        return {"received": received, "evicted": evicted}

    async def _pull(self, manifest: Manifest, source: str, comm: Comm) -> tuple[int, list[str]]:
        taking = self.store.writing(manifest)
        writer = await asyncio.to_thread(taking.__enter__)
        try:
            await self._fill(writer, source, comm)
            await asyncio.to_thread(writer.finish)
        finally:
            writer.close()
            taking.__exit__(None, None, None)
        return writer.received, writer.evicted

    async def _fill(self, writer: Writer, source: str, comm: Comm) -> None:
        """Ask for the missing pieces, several at a time, and take them in order."""
        groups = deque(parts_of(writer.missing))
        coming: deque[asyncio.Task[Any]] = deque()
        try:
            while groups or coming:
                while groups and len(coming) < _WINDOW:
                    parts = groups.popleft()
                    coming.append(self._start(self._ask(source, parts)))
                data = await self._arrival(coming[0], comm)
                coming.popleft()
                await asyncio.to_thread(writer.feed, data)
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _ask(self, source: str, parts: Sequence[Any]) -> bytes:
        answer = await self.worker.rpc(source).stage_read(parts=parts, place=self.site)
        if "error" in answer:
            raise StageError(answer["error"])
        return bytes(answer["data"])

    async def _arrival(self, task: asyncio.Task[Any], comm: Comm) -> bytes:
        """Wait for a piece; when none comes, as long as the hub says that it makes sense."""
        while True:
            done, _ = await asyncio.wait({task}, timeout=_STALLED)
            if done:
                data: bytes = task.result()
                return data
            await comm.write({"stalled": True})
            if not (await comm.read()).get("wait"):
                raise _Stopped("nothing came")

    async def _grant_wishes(self) -> None:
        """Bring what processes at this site have opened."""
        while True:
            await asyncio.sleep(_LOOK)
            for digest in self._wishes():
                if digest not in self._bringing:
                    self._start(self._grant(digest))

    def _wishes(self) -> dict[str, list[Path]]:
        """Return the wishes by what is wanted; who waits sees by their times that we care."""
        found: dict[str, list[Path]] = {}
        for path in (self.store.root / "wishes").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was fulfilled meanwhile
                if path.suffix != ".error":
                    if time.time() - path.stat().st_mtime > 1:
                        os.utime(path)
                    found.setdefault(path.stem, []).append(path)
        return found

    async def _grant(self, digest: str) -> None:
        try:
            await self.bring(digest)
        except (OSError, StageError) as error:
            text = str(error) if isinstance(error, StageError) else f"the hub is gone: {error}"
            self._refuse(digest, text)

    def _refuse(self, digest: str, text: str) -> None:
        for path in self._wishes().get(digest, ()):
            part = path.with_name(f"{path.name}.part.error")
            part.write_text(text)
            part.rename(path.with_name(f"{path.name}.error"))

    # what others ask for

    async def answer_bring(self, digest: str) -> dict[str, Any]:
        """Bring an item, as the hub asks for it."""
        try:
            await self.bring(digest)
        except (OSError, StageError) as error:
            return {"error": str(error)}
        return {}

    async def answer_read(self, parts: Sequence[Any], place: str) -> dict[str, Any]:
        """Give pieces of contents to a worker of another site."""
        try:
            return {"data": await asyncio.to_thread(read, self.store.blob, parts)}
        except (OSError, StageError) as error:
            return {"error": str(error)}

    async def answer_verify(self, digests: Sequence[str]) -> dict[str, Any]:
        """Read contents anew, drop what is damaged, and say which items are left."""
        await asyncio.to_thread(self.store.verify, digests)
        return {"digests": await asyncio.to_thread(self.store.digests)}

    def _volume(self, inside: str) -> Path:
        parts = PurePosixPath(inside).parts
        if ".." in parts or inside.startswith("/"):
            raise StageError(f"{inside!r} leads out of the volume")
        return self.store.root / staged.VOLUME / inside

    async def answer_list(self, inside: str, digests: bool) -> dict[str, Any]:
        """Say which files there are under a path of the volume: path, size, SHA-256 if wanted."""
        try:
            return {
                "files": await asyncio.to_thread(_listed, self._volume(inside), inside, digests)
            }
        except (OSError, StageError) as error:
            return {"error": str(error)}

    async def answer_volume_read(self, inside: str, offset: int) -> dict[str, Any]:
        """Give a piece of a file of the volume."""

        def piece() -> bytes:
            with self._volume(inside).open("rb") as file:
                file.seek(offset)
                return file.read(CHUNK)

        try:
            return {"data": await asyncio.to_thread(piece)}
        except (OSError, StageError) as error:
            return {"error": str(error)}

    async def answer_adopt(self, inside: str) -> dict[str, Any]:
        """Make a staged item of a file or directory of the volume."""
        try:
            return await asyncio.to_thread(self._adopt, inside)
        except (OSError, StageError) as error:
            return {"error": str(error)}

    def _adopt(self, inside: str) -> dict[str, Any]:
        path = self._volume(inside)
        above = PurePosixPath(inside).parent
        found = [
            (PurePosixPath(name).relative_to(above).as_posix(), size, digest)
            for name, size, digest in _listed(path, inside)
        ]
        if not found:
            return {"entries": [], "evicted": []}
        manifest = Manifest.of(found)
        evicted: list[str] = []
        if not self.store.has(manifest.digest):
            evicted = self.store.adopt(manifest, [path.parent / e.path for e in manifest.entries])
        return {"entries": [list(entry) for entry in manifest.entries], "evicted": evicted}


def _task_of_thread() -> Hashable:
    """Return the task that this thread runs; None in a thread of another kind."""
    return getattr(thread_state, "key", None)


def _listed(path: Path, inside: str, digests: bool = True) -> list[tuple[str, int, str]]:
    if not path.exists():
        return []
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    found = []
    for each in files:
        digest, size = "", each.stat().st_size
        if digests:
            with each.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        name = (PurePosixPath(inside) / each.relative_to(path).as_posix()).as_posix()
        found.append((name, size, digest))
    return found
