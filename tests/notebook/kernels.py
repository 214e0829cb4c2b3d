"""A real ipykernel for the tests, and what its cells put out."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

PATIENCE = 90
INTERRUPT = "\x03"  # as an answer: what the stop button does
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Reply:
    """What a cell put out, in order: (kind, text), and the whole messages."""

    status: str
    outputs: list[tuple[str, str]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    payload: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def of(self, kind: str) -> str:
        """Return all text of a kind."""
        return "\n".join(text for name, text in self.outputs if name == kind)

    @property
    def result(self) -> str:
        return self.of("execute_result")

    @property
    def error(self) -> str:
        return self.of("error")

    @property
    def line(self) -> str:
        """The line under the cell; what was shown in its place before does not count."""
        found, own = "", set()
        for message in self.messages:
            kind, content = message["msg_type"], message["content"]
            name = content.get("transient", {}).get("display_id")
            if kind == "display_data" or (kind == "update_display_data" and name in own):
                found = content["data"].get("text/plain", "")
                own.add(name)
        return found


class Kernel:
    """A kernel, and a client of it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, answers: Sequence[str] | None = None) -> Reply:
        """Run a cell; with `answers` to what it asks for, and else as where nobody can be asked."""
        reply = Reply("")
        left = list(answers or ())

        def asked(message: dict[str, Any]) -> None:
            reply.asked.append(message["content"]["prompt"])
            answer = left.pop(0)
            if answer == INTERRUPT:
                self.manager.interrupt_kernel()
            else:
                self.client.input(answer)

        def hook(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                reply.outputs.append((content["name"], content["text"]))
            elif kind in ("display_data", "execute_result", "update_display_data"):
                reply.outputs.append((kind, content["data"].get("text/plain", "")))
            elif kind == "error":
                reply.outputs.append((kind, _ANSI.sub("", "\n".join(content["traceback"]))))
            reply.messages.append(message)

        answer = self.client.execute_interactive(
            code,
            allow_stdin=answers is not None,
            timeout=PATIENCE,
            output_hook=hook,
            stdin_hook=asked,
        )
        reply.status = answer["content"]["status"]
        reply.payload = answer["content"].get("payload", [])
        return reply

    def ok(self, code: str) -> Reply:
        """Run a cell that must not fail."""
        reply = self.run(code)
        assert reply.status == "ok", reply.error
        return reply

    def value(self, expression: str) -> str:
        """Return the repr of an expression."""
        return self.ok(expression).result

    def interrupt_after(self, seconds: float) -> None:
        """Do what the stop button does, from a thread."""
        pid = int(self.value("__import__('os').getpid()"))
        threading.Timer(seconds, os.kill, (pid, signal.SIGINT)).start()

    def complete(self, code: str) -> list[str]:
        """Return what tab offers at the end of the code."""
        reply = self.client.complete(code, len(code), reply=True, timeout=PATIENCE)
        return list(reply["content"]["matches"])


@contextlib.contextmanager
def kernel(**environment: str) -> Iterator[Kernel]:
    """Start a kernel; at the end its grid is closed, then the kernel."""
    manager, client = start_new_kernel(
        startup_timeout=PATIENCE,
        kernel_name="python3",
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    made = Kernel(manager, client)
    try:
        try:
            yield made
        finally:
            made.run("%grid close --jobs")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
