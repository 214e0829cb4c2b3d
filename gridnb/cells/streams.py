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
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Descriptors", "Outbox", "Stream"]

_EVERY = 0.02
_MOST = 32 * 1024
_TEXT = 256 * 1024
_LATE = 200  # messages that are kept for the next run


class Outbox:
    """Sends what is written: the first of a burst at once, the rest together.

    What threads and children of a body write when it has ended waits for the next run.
    """

    def __init__(self) -> None:
        self._send: Callable[[dict[str, Any]], None] | None = None
        self._late: deque[dict[str, Any]] = deque(maxlen=_LATE)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._name = ""
        self._texts: list[str] = []
        self._size = 0
        self._sent = 0.0
        threading.Thread(target=self._later, name="gridnb-outbox", daemon=True).start()

    def open(self, send: Callable[[dict[str, Any]], None]) -> None:
        """Send to a run from now on, first what has come too late for the one before."""
        with self._lock:
            self.flush()
            self._send = send
            while self._late and self._send is not None:
                self._give(self._late.popleft())

    def close(self) -> None:
        """End that."""
        with self._lock:
            self.flush()
            self._send = None

    def write(self, name: str, text: str) -> None:
        """Add text of ``stdout`` or ``stderr``."""
        with self._lock:
            if name != self._name:
                self.flush()
                self._name = name
            self._texts.append(text)
            self._size += len(text)
            if self._size >= _MOST or time.monotonic() - self._sent > _EVERY:
                self.flush()
            else:
                self._wake.set()

    def put(self, header: dict[str, Any]) -> None:
        """Send something that is not text, after the text before it."""
        with self._lock:
            self.flush()
            self._give(header)

    def flush(self) -> None:
        """Send what was kept back."""
        with self._lock:
            text, name = "".join(self._texts), self._name
            self._texts.clear()
            self._size = 0
            if text:
                self._sent = time.monotonic()
            for start in range(0, len(text), _TEXT):
                self._give({"op": "stream", "name": name, "text": text[start : start + _TEXT]})

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
