"""Messages between a kernel and a cell process: a JSON header and binary parts.

TLS runs over memory buffers, so that one thread can read while another writes:
the TLS object is only ever touched under a lock, and never while waiting.
"""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gridnb.errors import CellError

__all__ = ["Buffer", "Channel", "TlsFiles", "accept", "connect", "jsonable", "listen"]

#: A part of a message.
Buffer = bytes | bytearray | memoryview
#: CA, certificate and key (PEM files); all None means plain sockets.
TlsFiles = tuple[str | None, str | None, str | None]

_PREFIX = struct.Struct("!I")
_CHUNK = 1 << 18
_JOIN = 1 << 16


def _context(files: TlsFiles, *, server: bool) -> ssl.SSLContext | None:
    authority, certificate, key = files
    if authority is None or certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def listen(host: str) -> socket.socket:
    """Open a listener on a free port of ``host``."""
    sock = socket.create_server((host, 0), backlog=16)
    sock.set_inheritable(False)
    return sock


def accept(sock: socket.socket, files: TlsFiles, *, timeout: float = 10.0) -> Channel:
    """Turn an accepted socket into a channel; the peer must hold a certificate of our CA.

    Raises
    ------
    OSError
        If it has none, or did not say so within ``timeout`` seconds.
    """
    _tune(sock)
    return Channel(sock, _context(files, server=True), server=True, timeout=timeout)


def connect(address: str, files: TlsFiles, *, timeout: float = 10.0) -> Channel:
    """Connect to the cell process at ``host:port``.

    Raises
    ------
    CellError
        If nobody listens there, or it is not a process of this grid.
    """
    host, _, port = address.rpartition(":")
    try:
        sock = socket.create_connection((host, int(port)), timeout=timeout)
        try:
            _tune(sock)
            return Channel(sock, _context(files, server=False), server=False, timeout=timeout)
        except BaseException:
            sock.close()
            raise
    except (OSError, EOFError, ValueError) as error:
        raise CellError(
            f"the cell process at {address} cannot be reached ({error}); "
            "see `%grid status` for workers that are up"
        ) from error


class Channel:
    """One connection; messages go out whole and in order, from any thread."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        *,
        server: bool,
        timeout: float,
    ) -> None:
        self._sock = sock
        self._plain = bytearray()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._tls: ssl.SSLObject | None = None
        if context is not None:
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._in, self._out, server_side=server)
            sock.settimeout(timeout)
            self._handshake(self._tls, time.monotonic() + timeout)
        sock.settimeout(None)

    def _handshake(self, tls: ssl.SSLObject, end: float) -> None:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                data = self._sock.recv(_CHUNK)
                if not data or time.monotonic() > end:
                    raise ConnectionError("the TLS handshake was broken off") from None
                self._in.write(data)
            except ssl.SSLError:
                self._sock.sendall(self._out.read())
                raise
        self._sock.sendall(self._out.read())
        # The first message may have come together with the end of the handshake.
        self._plain += self._open(tls, b"")

    def fileno(self) -> int:
        """Descriptor of the socket, -1 when closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection; a reader on the other side sees its end."""
        with contextlib.suppress(OSError):
            # The other side may have been first.
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def forget(self) -> None:
        """Close the descriptor alone, in a child that must not keep the connection open."""
        self._sock.close()

    # -- sending ---------------------------------------------------------------------------

    def send(self, header: dict[str, Any], parts: Sequence[Buffer] = ()) -> None:
        """Send one message.

        Raises
        ------
        OSError
            If the other side is gone.
        """
        if parts:
            header = {**header, "sizes": [len(part) for part in parts]}
        text = json.dumps(header, default=jsonable, separators=(",", ":")).encode()
        first = _PREFIX.pack(len(text)) + text
        with self._sending:
            for piece in _joined(first, parts):
                self._write(piece)

    def _write(self, data: Buffer) -> None:
        if self._tls is None:
            self._sock.sendall(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            with self._lock:
                self._tls.write(view[start : start + _CHUNK])
                sealed = self._out.read()
            self._sock.sendall(sealed)

    # -- receiving -------------------------------------------------------------------------

    def receive(
        self, tick: Callable[[], float | None] | None = None, wake: int | None = None
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """Wait for one message.

        Parameters
        ----------
        tick
            Called before each wait; returns the longest time to wait in seconds, or None.
        wake
            A descriptor that ends a wait when it becomes readable.

        Raises
        ------
        EOFError
            If the other side is gone.
        """
        prefix = self._exactly(_PREFIX.size, tick, wake)
        header = json.loads(self._exactly(_PREFIX.unpack(prefix)[0], tick, wake))
        parts = [self._exactly(size, tick, wake) for size in header.pop("sizes", ())]
        return header, parts

    def _exactly(
        self, size: int, tick: Callable[[], float | None] | None, wake: int | None
    ) -> bytearray:
        plain = self._plain
        if len(plain) < size and size > _CHUNK:
            return self._large(size, tick, wake)
        while len(plain) < size:
            plain += self._some(tick, wake)
        part = plain[:size]
        del plain[:size]
        return part

    def _large(
        self, size: int, tick: Callable[[], float | None] | None, wake: int | None
    ) -> bytearray:
        whole = bytearray(size)
        have = len(self._plain)
        whole[:have] = self._plain
        self._plain.clear()
        while have < size:
            some = self._some(tick, wake)
            taken = min(len(some), size - have)
            whole[have : have + taken] = some[:taken]
            self._plain += some[taken:]
            have += taken
        return whole

    def _some(self, tick: Callable[[], float | None] | None, wake: int | None) -> bytes:
        while True:
            if tick is not None and not self._readable(tick(), wake):
                continue
            try:
                data = self._sock.recv(_CHUNK)
            except (OSError, ValueError) as error:
                raise EOFError(str(error)) from None
            if not data:
                raise EOFError("the connection was closed")
            opened = data if self._tls is None else self._open(self._tls, data)
            if opened:
                return opened

    def _readable(self, timeout: float | None, wake: int | None) -> bool:
        if self._sock.fileno() < 0:
            raise EOFError("the connection was closed")
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        events = poll.poll(None if timeout is None else max(0, round(timeout * 1000)))
        return any(descriptor == self._sock.fileno() for descriptor, _ in events)

    def _open(self, tls: ssl.SSLObject, data: bytes) -> bytes:
        opened: list[bytes] = []
        with self._lock:
            self._in.write(data)
            try:
                while piece := tls.read(_CHUNK):
                    opened.append(piece)
            except ssl.SSLWantReadError:
                return b"".join(opened)
            except ssl.SSLError as error:
                raise EOFError(str(error)) from None
        if not opened:
            raise EOFError("the connection was closed")
        return b"".join(opened)


def _joined(first: bytes, parts: Iterable[Buffer]) -> list[Buffer]:
    """Small parts go out with the header in one piece; large ones without being copied."""
    pieces: list[Buffer] = []
    small = bytearray(first)
    for part in parts:
        if len(part) < _JOIN:
            small += part
            continue
        pieces += [bytes(small), part]
        small.clear()
    if small:
        pieces.append(bytes(small))
    return [piece for piece in pieces if len(piece)]


def jsonable(value: Any) -> Any:
    """What a mime bundle may hold beyond JSON, as ipykernel sends it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)
