"""The kernel's end: sends a run to a cell process and hears it to its end."""

from __future__ import annotations

import select
import signal
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.kept import Kept
from gridnb.cells.late import Late
from gridnb.cells.line import Line, Stuck
from gridnb.cells.loader import Loader
from gridnb.cells.outcome import Outcome
from gridnb.cells.outcome import apply as apply
from gridnb.cells.pack import pack
from gridnb.cells.run import LIMIT, Run, Sink
from gridnb.cells.talk import Talk, in_words
from gridnb.errors import CellLost, ReturnError

__all__ = ["LIMIT", "CellConnection", "Parcel", "Run", "Sink", "apply"]


class CellConnection(Line):
    """One open connection to a cell process; runs one body at a time.

    Raises
    ------
    CellError
        If nobody listens at ``address``, or it is not a process of this grid.
    """

    def __init__(
        self,
        address: str,
        *,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        site: str = "",
        kept: Kept | None = None,
    ) -> None:
        super().__init__(address, (tls_ca, tls_cert, tls_key))
        self.site = site
        self._lock = threading.Lock()
        self._drops: list[str] = []
        self.late = Late(self._ask, lambda: self._lock.locked())
        self.loader = Loader(self, kept)

    def run(self, run: Run, *, sink: Sink) -> Outcome:
        """Run a body at the site; what it changed is applied by :func:`apply`.

        Raises
        ------
        CaptureError
            If something that the body reads cannot be sent.
        CellLost
            If the process ended before the body did.
        KeyboardInterrupt
            If an interrupt had no effect and the process was given up.
        """
        with self._lock:
            packed = run.packed or pack(
                run.body, run.namespace, shell=run.shell, without=run.bindings
            )
            self.loader.space = run.namespace
            self.pressed()  # what was meant for a run that has ended must not hit this one
            with self._interrupts():
                outcome = self._converse(Talk(self, run, packed, sink))
        self.late.keep(run.id, sink, going=bool(outcome.threads))
        return outcome

    def _converse(self, talk: Talk) -> Outcome:
        try:
            talk.begin()
            while True:
                header, parts = self.channel.receive(talk.stop.tick, self.wake)
                if talk.take(header, parts):
                    return talk.outcome
        except Stuck:
            raise KeyboardInterrupt(
                f"the cell did not stop and was ended; {talk.unreturned()}"
            ) from None
        except (EOFError, OSError) as error:
            self.channel.close()
            raise CellLost(
                f"run {talk.run.id}: the cell process at {self.site or self.address} ended before "
                f"the cell did; {talk.unreturned()}"
            ) from error

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Note interrupts instead of raising them in the middle of a message."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(_signal: int, _frame: types.FrameType | None) -> None:
            self.interrupt()

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @property
    def alive(self) -> bool:
        """Whether the process still listens: nothing is to be read from one at rest."""
        if not self._lock.acquire(blocking=False):
            return self.fileno() >= 0  # something is under way, and would notice
        try:
            descriptor = self.fileno()
            if descriptor < 0:
                return False
            looking = select.poll()  # unlike select, it takes any descriptor
            looking.register(descriptor, select.POLLIN)
            return not looking.poll(0)
        finally:
            self._lock.release()

    def _ask(
        self, header: dict[str, Any], parts: Sequence[Buffer] = ()
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """Send what is not a run, and return the answer."""
        with self._lock:
            try:
                self.channel.send(header, parts)
                answer, out = self.channel.receive()
            except (EOFError, OSError) as error:
                self.channel.close()
                raise CellLost(
                    f"the cell process that held this value ({self.site or self.address}) has ended"
                ) from error
            except BaseException:
                # In the middle of a message, by the stop button: the process itself is well.
                self.reconnect()
                raise
        if answer["op"] == "refused":
            raise ReturnError(answer["text"])
        return answer, out

    def fetch(self, key: str) -> Any:
        """Bring a value here that stayed there; see :meth:`gridnb.cells.remote.Remote.fetch`."""
        header, parts = self._ask({"op": "fetch", "key": key})
        try:
            return self.loader.load(parts, header["readonly"], None, {})
        except Exception as error:
            raise ReturnError(f"the value cannot be loaded here: {in_words(error)}") from error

    def forget(self, key: str) -> None:
        """Let the process drop a value with the next message."""
        self._drops.append(key)

    def take_drops(self) -> list[str]:
        """Return keys of values that nobody here holds any more."""
        drops, self._drops[:] = self._drops[:], []
        return drops

    def pack(self, keys: Sequence[str]) -> Parcel:
        """Return values that stayed there, for :meth:`unpack` of another process.

        Raises
        ------
        ReturnError
            If one of them cannot be pickled.
        CellLost
            If the process has ended.
        """
        return Parcel(*self._ask({"op": "export", "keys": list(keys)}))

    def unpack(self, parcel: Parcel) -> None:
        """Let the process hold copies of values that stayed in another one.

        Raises
        ------
        ReturnError
            If they cannot be loaded there.
        CellLost
            If the process has ended.
        """
        # A copy of what it is to forget may be among them.
        self._drops[:] = [key for key in self._drops if key not in parcel.keys]
        self._ask({**parcel.header, "op": "import"}, parcel.parts)
        for key in parcel.keys:
            self.loader.kept.add(key, self)


@dataclass(frozen=True)
class Parcel:
    """Values on their way from one cell process to another."""

    header: dict[str, Any]
    parts: list[bytearray]

    @property
    def keys(self) -> list[str]:
        """The keys of the values."""
        return list(self.header["keys"])

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return sum(len(part) for part in self.parts)
