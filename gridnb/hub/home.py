"""The notebook's end of staging: gives the workers of sites what was staged from here.

It has a thread and a loop of its own, so that the scheduler is not held up by bytes. The
notebook is no site: what it sends waits for its turn on the link, as all transfers do.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed.core import Server
from distributed.security import Security

from gridnb.cluster.links import LinkDown, LinkTable
from gridnb.cluster.store import Corrupt, Manifest, read
from gridnb.errors import StageError
from gridnb.staged import NOTEBOOK

__all__ = ["Home"]

_ALLOWANCE_POLL = 0.05
_JOIN = 5.0  # seconds that the thread has to end


class Home:
    """`root` is the notebook's directory, in which it leaves a record of what it stages.

    `links` is the table of modelled links, if there is one, and `bandwidth` that of the
    notebook's line, in bytes a second; 0 for unlimited.
    """

    def __init__(
        self, root: Path, security: Security, links: Path | None, bandwidth: float = 0.0
    ) -> None:
        self.root = root
        self._security = security
        self._bandwidth, self._busy = bandwidth, 0.0
        self._links = LinkTable(links) if links is not None else None
        self._files: dict[str, tuple[Path, int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def record(self, digest: str) -> Manifest:
        """Read what the notebook has staged under a digest.

        Raises
        ------
        StageError
            If there is no such record, or it is not of that digest.
        """
        try:
            record = json.loads((self.root / "items" / f"{digest}.json").read_text())
        except FileNotFoundError:
            raise StageError(f"nothing was staged as {digest[:12]}") from None
        manifest = Manifest.of(record["entries"])
        if manifest.digest != digest:
            raise StageError(f"the record of {digest[:12]} is damaged; stage it again")
        source = record["source"]
        for entry in manifest.entries:
            if source is None:
                path = self.root / "trees" / digest / entry.path
            else:
                path = Path(source).joinpath(*entry.path.split("/")[1:])
            self._files[entry.digest] = path, entry.size
        return manifest

    def _find(self, digest: str) -> Path:
        path, size = self._files.get(digest, (None, 0))
        if path is None or not path.exists() or path.stat().st_size != size:
            raise Corrupt(f"{path or digest[:12]} has changed since it was staged; stage it again")
        return path

    async def address(self) -> str:
        """Return where workers ask; the server starts with the first question."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="gridnb-home", daemon=True
            )
            self._thread.start()
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        )

    async def _serve(self) -> str:
        if self._server is None:
            server = Server({"stage_read": self._answer})
            arguments = self._security.get_listen_args("scheduler")
            await server.listen("tls://127.0.0.1:0", **arguments)
            self._server = await server
        return str(self._server.address)

    async def _answer(self, parts: Sequence[Any], place: str) -> dict[str, Any]:
        """Give pieces of contents to a worker of a site, when the link has carried them."""
        try:
            data = await asyncio.to_thread(read, self._find, parts)
        except (OSError, StageError) as error:
            return {"error": str(error)}
        if self._links is not None:
            try:
                await self._send(self._links, place, len(data))
            except LinkDown as error:
                return {"error": str(error)}
        return {"data": data}

    async def _send(self, links: LinkTable, place: str, size: int) -> None:
        """Wait as long as the link of a site takes, and the notebook's own line."""
        mine = self._line(size)
        while (transfer := links.begin(NOTEBOOK, place, size)) is None:  # noqa: ASYNC110 - others end
            await asyncio.sleep(_ALLOWANCE_POLL)
        try:
            while left := links.look(transfer):  # noqa: ASYNC110 - other transfers change it
                await asyncio.sleep(min(left, _ALLOWANCE_POLL))
        except BaseException:
            links.drop(transfer)
            raise
        arrives = time.monotonic() + links.latency(NOTEBOOK, place)
        await asyncio.sleep(max(arrives, mine) - time.monotonic())

    def _line(self, size: int) -> float:
        """Take the notebook's one line, which all sites share; returns until when."""
        now = time.monotonic()
        self._busy = max(now, self._busy) + (size / self._bandwidth if self._bandwidth else 0.0)
        return self._busy

    async def close(self) -> None:
        """End the server and its thread."""
        loop, server, thread = self._loop, self._server, self._thread
        if loop is None or thread is None:
            return
        try:
            if server is not None:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(server.close(), loop))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join, _JOIN)
            if not thread.is_alive():
                loop.close()
