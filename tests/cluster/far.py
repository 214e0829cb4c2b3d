"""The far end of a link, for tests: ``python far.py DIRECTORY SITE`` says when messages came.

DIRECTORY holds the table of links and the certificates. It prints its address, listens until
its standard input ends, and answers each message with the monotonic time of its arrival.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from distributed.comm import CommClosedError, listen

from gridnb.cluster import wan
from gridnb.cluster.links import LinkTable
from gridnb.cluster.worker import security
from gridnb.hub import certificates


async def _answer(comm) -> None:
    try:
        while True:
            message = await comm.read()
            at = time.monotonic()
            if not message.get("mute"):
                await comm.write({"at": at, "size": len(message["data"])})
    except CommClosedError:
        return


async def _serve(directory: Path, site: str) -> None:
    wan.place(site, LinkTable(directory / "links"))
    files = certificates.paths(directory, "worker").as_dict()
    args = security(files).get_listen_args("worker")
    async with listen("wan://127.0.0.1:0", _answer, **args) as listener:
        print(listener.contact_address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
