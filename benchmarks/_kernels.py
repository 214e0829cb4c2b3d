"""A real ipykernel, as JupyterLab starts it, and what a cell in it takes."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

#: A kernel or a cell that takes longer than this, in seconds, is broken.
PATIENCE = 120


class Kernel:
    """A running kernel."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> tuple[str, float]:
        """Run a cell; return what it printed, and the seconds until all of it was here.

        Raises RuntimeError with the cell's traceback when it fails.
        """
        text: list[str] = []

        def output(message: dict) -> None:
            if message["msg_type"] == "stream":
                text.append(message["content"]["text"])

        begun = time.perf_counter()
        reply = self._client.execute_interactive(code, timeout=PATIENCE, output_hook=output)
        took = time.perf_counter() - begun
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"]["traceback"]))
        return "".join(text), took


@contextlib.contextmanager
def kernel() -> Iterator[Kernel]:
    """Start a kernel that is warm (it has run a cell), and end it afterwards."""
    # Its standard error is the terminal's, where it warns of what JupyterLab's kernels do as well.
    manager, client = start_new_kernel(
        startup_timeout=PATIENCE, kernel_name="python3", stderr=subprocess.DEVNULL
    )
    try:
        found = Kernel(client)
        found.run("1 + 1")
        yield found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
