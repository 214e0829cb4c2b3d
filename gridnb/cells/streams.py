"""What a body writes and displays, in order, as messages to the kernel."""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import select
import struct
import sys
import termios
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Descriptors", "Outbox", "Owners", "Stream"]

_EVERY = 0.02
_MOST = 32 * 1024
_TEXT = 256 * 1024
_LATE = 200  # messages that are kept until somebody takes them


class Owners:
    """Which run a thread belongs to: that of the thread that started it."""

    def __init__(self) -> None:
        self._runs: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()
        #: The run under way, or the last one.
        self.run = ""

    def follow(self) -> None:
        """Notice from now on who starts a thread."""
        threads: Any = threading.Thread
        usual = threads.start

        def start(thread: threading.Thread) -> None:
            here = threading.current_thread()
            run = self._runs.get(here, self.run if here is threading.main_thread() else "")
            if run and not _pooled(thread):
                self._runs[thread] = run
            usual(thread)

        threads.start = start

    def of(self) -> str:
        """The run of the thread that asks."""
        return self._runs.get(threading.current_thread(), self.run)

    def going(self) -> set[str]:
        """Runs whose threads live."""
        return {run for thread, run in list(self._runs.items()) if thread.is_alive()}


def _pooled(thread: threading.Thread) -> bool:
    """Whether a thread is of a pool, and so works for whoever asks it next."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", "") in (
        "concurrent.futures.thread",
        "multiprocessing.pool",
    )


class Outbox:
    """Sends what is written, each to its run: the first of a burst at once, the rest together.

    What threads and children write when no run is under way waits until it is asked for, or
    until the next run.
    """

    def __init__(self) -> None:
        self.owners = Owners()
        self._send: Callable[[dict[str, Any]], None] | None = None
        self._kernel: object = None
        self._late: deque[dict[str, Any]] = deque(maxlen=_LATE)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._name = self._run = ""
        self._texts: list[str] = []
        self._size = 0
        self._sent = 0.0
        threading.Thread(target=self._later, name="gridnb-outbox", daemon=True).start()

    def open(self, run: str, kernel: object, send: Callable[[dict[str, Any]], None]) -> None:
        """Send to a kernel from now on, first what has come too late for its runs before."""
        with self._lock:
            self.flush()
            if kernel is not self._kernel:
                self._late.clear()
            self.owners.run, self._kernel, self._send = run, kernel, send
            for header in self.late():
                self._give(header)

    def close(self) -> None:
        """End that."""
        with self._lock:
            self.flush()
            self._send = None

    def late(self) -> list[dict[str, Any]]:
        """Take what has come since no run is under way."""
        with self._lock:
            if self._send is None:
                self.flush()
            found = list(self._late)
            self._late.clear()
            return found

    def write(self, name: str, text: str) -> None:
        """Add text of ``stdout`` or ``stderr``."""
        with self._lock:
            run = self.owners.of()
            if (name, run) != (self._name, self._run):
                self.flush()
                self._name, self._run = name, run
            self._texts.append(text)
            self._size += len(text)
            ends = text.endswith(("\n", "\r"))  # what `print` writes comes in two pieces
            if self._size >= _MOST or (ends and time.monotonic() - self._sent > _EVERY):
                self.flush()
            else:
                self._wake.set()

    def put(self, header: dict[str, Any]) -> None:
        """Send something that is not text, after the text before it."""
        with self._lock:
            self.flush()
            self._give({**header, "run": self.owners.of()})

    def flush(self) -> None:
        """Send what was kept back."""
        with self._lock:
            text = "".join(self._texts)
            head = {"op": "stream", "name": self._name, "run": self._run}
            self._texts.clear()
            self._size = 0
            if text:
                self._sent = time.monotonic()
            for start in range(0, len(text), _TEXT):
                self._give({**head, "text": text[start : start + _TEXT]})

    def _give(self, header: dict[str, Any]) -> None:
        if self._send is None:
            self._late.append(header)
            return
        try:
            self._send(header)
        except OSError:
            # The kernel is gone; the reader of the connection sees it too and ends the run.
            self._send = None

    def _later(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_EVERY)
            self._wake.clear()
            self.flush()


class Stream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of a body; cannot be closed for good."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(
        self, name: str, outbox: Outbox, descriptor: int, pull: Callable[[], None]
    ) -> None:
        super().__init__()
        self.name = name
        self._outbox, self._descriptor, self._pull = outbox, descriptor, pull
        self._pid = os.getpid()

    def write(self, text: str) -> int:
        """Write text."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if os.getpid() == self._pid:
            self._pull()
            self._outbox.write(self.name, text)
        else:
            os.write(self._descriptor, text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Send what was kept back."""
        if os.getpid() == self._pid:
            self._outbox.flush()

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Never."""
        return False

    def fileno(self) -> int:
        """The descriptor that children write to."""
        return self._descriptor

    @property
    def buffer(self) -> Any:
        """A binary stream on the same descriptor."""
        return io.FileIO(self._descriptor, "w", closefd=False)


class Descriptors:
    """Descriptors 1 and 2, written by children and C code, read by a thread."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._ends: dict[int, tuple[str, int]] = {}
        self._reads: dict[int, str] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            read, write = os.pipe()
            self._ends[descriptor] = (name, write)
            self._reads[read] = name
            self._decoders[read] = codecs.getincrementaldecoder("utf-8")("replace")
        self.restore()
        threading.Thread(target=self._read, name="gridnb-descriptors", daemon=True).start()

    def restore(self) -> None:
        """Put the pipes in place again, whatever the last body did to them."""
        for descriptor, (_, write) in self._ends.items():
            os.dup2(write, descriptor)

    def drain(self) -> None:
        """Hand on everything written so far, also what C code still keeps."""
        flush_c()
        self.pull()

    def pull(self) -> None:
        """Hand on what children have written, so that it comes before what the body writes."""
        with self._lock:
            for read, name in self._reads.items():
                while _waiting(read):
                    text = self._decoders[read].decode(os.read(read, _MOST))
                    self._outbox.write(name, text)

    def _read(self) -> None:
        poll = select.poll()
        for read in self._reads:
            poll.register(read, select.POLLIN)
        while True:
            poll.poll()
            self.pull()


def _waiting(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def flush_c() -> None:
    """Flush what C code in this process has buffered for its standard output."""
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:
        ctypes.CDLL(None).fflush(None)
