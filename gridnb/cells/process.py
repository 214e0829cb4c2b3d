"""The cell process: warm, beside a worker, running one body after another.

The main thread runs the bodies; another reads what the kernel says, so that a
body can be interrupted while it runs.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridnb.cells.frames import Buffer, Channel, accept, listen
from gridnb.cells.spec import CellSpec

__all__ = ["CellProcess", "CellSpec", "main", "serve", "serve_spec"]

_NUDGE = 0.05  # seconds until a signal that was not heard is sent again


def serve(spec: CellSpec, report_fd: int) -> None:
    """Be a cell process until killed; says ``cell-ready`` on ``report_fd`` when it listens.

    Writes one JSON object a line: ``cell-ready`` with ``address`` and ``pid``, then
    ``run-start`` and ``run-stop`` with ``run`` around every run.
    """
    process = CellProcess(spec, report_fd)
    try:
        process.serve()
    except BaseException:  # noqa: BLE001 - it ends here, and says so
        process.log(traceback.format_exc())
        # Threads that a body left must not keep a process that serves nobody.
        os._exit(1)


def serve_spec(spec: dict[str, Any], report_fd: int) -> None:
    """See :func:`serve`; the spec as plain data, as a guard hands it on."""
    serve(CellSpec(**spec), report_fd)


class Blobs:
    """Large parts that were sent before, the least recently used dropped first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[str, Buffer] = OrderedDict()

    def missing(self, digests: list[str]) -> list[str]:
        """Which of these have to be sent."""
        return [key for key in dict.fromkeys(digests) if key not in self._kept]

    def get(self, digests: list[str], fresh: dict[str, Buffer]) -> list[Buffer]:
        """All of these, and keep what is new."""
        found = [fresh[key] if key in fresh else self._kept[key] for key in digests]
        for key, part in fresh.items():
            if key not in self._kept:
                self._kept[key] = part
                self._size += len(part)
        for key in digests:
            self._kept.move_to_end(key)
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])
        return found


class CellProcess:
    """One of them; :meth:`serve` never returns."""

    def __init__(self, spec: CellSpec, report_fd: int) -> None:
        self.spec = spec
        self._report_fd = report_fd
        self._jobs: queue.SimpleQueue[tuple[Channel, dict[str, Any], list[Buffer]]]
        self._jobs = queue.SimpleQueue()
        self._blobs = Blobs(spec.cache_bytes)
        self._channel: Channel | None = None
        self._active: str | None = None
        self._stopped: set[str] = set()
        self._pending: set[str] = set()
        self._raise = self._raised = False
        self._heard, self._nudged = threading.Event(), -_NUDGE
        self._pid = os.getpid()
        # Bodies write to descriptor 2; what goes wrong here belongs into the worker's log.
        self._log = os.dup(2)

    def log(self, text: str) -> None:
        """Write to what was standard error when the process began."""
        os.write(self._log, text.encode("utf-8", "replace"))

    def _lost_thread(self, error: threading.ExceptHookArgs) -> None:
        """One of ours has ended: nobody would read or write any more, so the process ends."""
        text = "".join(
            traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback)
        )
        thread = error.thread.name if error.thread is not None else "?"
        if thread.startswith("gridnb-"):
            self.log(text)
            os._exit(1)
        sys.stderr.write(f"Exception in thread {thread}:\n{text}")

    def report(self, **line: Any) -> None:
        """Tell the guard."""
        os.write(self._report_fd, (json.dumps(line) + "\n").encode())

    def serve(self) -> None:
        """Listen, warm up, and run what comes."""
        os.environ.update(self.spec.env)
        # What a Jupyter kernel has by itself.
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")
        if self.spec.cwd is not None:
            os.chdir(self.spec.cwd)
        # As of a kernel, its children hear an interrupt with it.
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, self._on_interrupt)
        threading.excepthook = self._lost_thread
        listener = listen(self.spec.host)
        host, port = listener.getsockname()[:2]
        self.report(op="cell-ready", address=f"{host}:{port}", pid=self._pid)
        threading.Thread(
            target=self._accept, args=(listener,), name="gridnb-reader", daemon=True
        ).start()
        os.register_at_fork(after_in_child=lambda: self._leave(listener))
        from gridnb.cells.runner import Runner

        runner = Runner(self.spec, self, self.log)
        while True:
            channel, header, parts = self._jobs.get()
            self._work(runner, channel, header, parts)

    def _leave(self, listener: Any) -> None:
        """A child that a body forked must keep nothing of ours open."""
        listener.close()
        os.close(self._report_fd)
        if self._channel is not None:
            self._channel.forget()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # -- main thread -----------------------------------------------------------------------

    def _work(
        self, runner: Any, channel: Channel, header: dict[str, Any], parts: list[Buffer]
    ) -> None:
        if header["op"] != "run":
            answer, out = runner.answer(header, parts)
        else:
            run = header["run"]
            self._active = run
            self.report(op="run-start", run=run)
            try:
                answer, out = runner.run(header, parts, channel)
            except BaseException as error:  # noqa: BLE001 - the kernel hears it
                answer, out = self._failure(error, run), []
            finally:
                if os.getpid() != self._pid:
                    # A child that the body forked ran on to here: it is done.
                    os._exit(0)
                self._active = None
                self._pending.discard(run)
                self._stopped.discard(run)
                self.report(op="run-stop", run=run)
        try:
            channel.send(answer, out)
        except OSError:
            # The kernel is gone, and with it whoever could want the outcome.
            channel.close()

    def _failure(self, error: BaseException, run: str) -> dict[str, Any]:
        """The body is not to blame, but the process can go on."""
        self.log(traceback.format_exc())
        text = f"the run failed at site {self.spec.site} outside of its body: {error!r}"
        return {"op": "refused", "run": run, "text": text}

    @contextmanager
    def may_interrupt(self) -> Iterator[None]:
        """The stretch in which an interrupt becomes a KeyboardInterrupt."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            self._raise, self._raised = True, False
            if self._active in self._stopped:
                raise KeyboardInterrupt
            yield
            if self.stopped() and not self._raised:
                # It came while C code ignored it, as `os.system` does.
                raise KeyboardInterrupt
        finally:
            self._raise = False

    def stopped(self) -> bool:
        """Whether the run under way was interrupted."""
        return self._active in self._stopped

    def _on_interrupt(self, _signal: int, _frame: types.FrameType | None) -> None:
        if self._heard.is_set() and time.monotonic() - self._nudged < _NUDGE:
            # Heard already when the nudge came.
            return
        self._heard.set()
        if self._raise:
            self._raised = True
            raise KeyboardInterrupt

    # -- reader thread ---------------------------------------------------------------------

    def _accept(self, listener: Any) -> None:
        while True:
            sock, _ = listener.accept()
            try:
                channel = accept(sock, self.spec.tls)
            except (OSError, EOFError):
                # Not one of ours, or it went away; the next may be.
                sock.close()
                continue
            self._channel = channel
            self._read(channel)
            self._channel = None

    def _read(self, channel: Channel) -> None:
        try:
            while True:
                header, parts = channel.receive()
                self._take(channel, header, list(parts))
        except (EOFError, OSError):
            if self._active is not None:
                self._interrupt(self._active)
        finally:
            channel.close()

    def _take(self, channel: Channel, header: dict[str, Any], parts: list[Buffer]) -> None:
        if header["op"] == "interrupt":
            self._interrupt(header["run"])
            return
        digests = header.get("digests")
        if digests:
            missing = self._blobs.missing(digests)
            fresh: dict[str, Buffer] = {}
            channel.send({"op": "need", "digests": missing})
            if missing:
                _, blobs = channel.receive()
                fresh = dict(zip(missing, blobs, strict=True))
            parts += self._blobs.get(digests, fresh)
        if header["op"] == "run":
            self._pending.add(header["run"])
        self._jobs.put((channel, header, parts))

    def _interrupt(self, run: str) -> None:
        if run in self._pending:
            self._stopped.add(run)
        if self._active == run:
            self._heard.clear()
            os.killpg(0, signal.SIGINT)
            threading.Thread(
                target=self._nudge, args=(run,), name="gridnb-nudge", daemon=True
            ).start()

    def _nudge(self, run: str) -> None:
        """Signal until it is heard.

        A signal that comes right before a system call does not end it, and one that another
        thread takes does not either.
        """
        main = threading.main_thread().ident
        while self._active == run and main is not None and not self._heard.wait(_NUDGE):
            self._nudged = time.monotonic()
            signal.pthread_kill(main, signal.SIGINT)


def main() -> None:
    """``python -m gridnb.cells.process --report-fd N --spec FILE``."""
    parser = argparse.ArgumentParser(prog="python -m gridnb.cells.process")
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--spec", type=Path, required=True)
    given = parser.parse_args()
    # The code that runs must not be `__main__`: that name belongs to the bodies.
    from gridnb.cells.process import serve as real

    sys.modules["__main__"] = types.ModuleType("__main__")
    builtins.__dict__.setdefault("__IPYTHON__", True)
    real(CellSpec.from_json(given.spec.read_text()), given.report_fd)


if __name__ == "__main__":
    main()
