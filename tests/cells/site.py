"""A cell process of our own, and the certificates that it needs."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gridnb.cells.call import CellConnection
from gridnb.cells.spec import CellSpec

Tls = tuple[str, str, str]


def make_tls(directory: Path, name: str = "grid") -> Tls:
    """An authority and one certificate of it, for both ends."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} CA")])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)

    def build(subject: x509.Name, public: Any, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(ca_key, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    files = [directory / f"{name}-{part}.pem" for part in ("ca", "cert", "key")]
    files[0].write_bytes(build(ca_name, ca_key.public_key(), ca=True).public_bytes(pem))
    files[1].write_bytes(build(own, key.public_key(), ca=False).public_bytes(pem))
    files[2].touch(mode=0o600)
    files[2].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(files[0]), str(files[1]), str(files[2])


@dataclass
class Site:
    """A running cell process."""

    process: subprocess.Popen[bytes]
    address: str
    tls: Tls | tuple[None, None, None]
    reports: Any
    open: list[CellConnection] = field(default_factory=list)

    def connect(self) -> CellConnection:
        ca, cert, key = self.tls
        made = CellConnection(self.address, tls_ca=ca, tls_cert=cert, tls_key=key, site="alpha")
        self.open.append(made)
        return made


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def cell_process(directory: Path, tls: Tls | None = None, **spec: Any) -> Iterator[Site]:
    """Start one, and end it whatever happens."""
    files = tls or (None, None, None)
    given = CellSpec(
        worker="alpha-0",
        site="alpha",
        **{"tls_ca": files[0], "tls_cert": files[1], "tls_key": files[2], **spec},
    )
    path = directory / "cell.json"
    path.write_text(given.to_json())
    read, write = os.pipe()
    command = [sys.executable, "-m", "gridnb.cells.process"]
    process = subprocess.Popen(
        [*command, "--report-fd", str(write), "--spec", str(path)],
        pass_fds=[write],
        # It leads a process group of its own: what ends the tests' group does not reach it.
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    os.close(write)
    with os.fdopen(read) as reports:
        try:
            ready = json.loads(reports.readline())
            site = Site(process, ready["address"], files, reports)
            yield site
            for connection in site.open:
                connection.close()
        finally:
            process.kill()
            process.wait()


@dataclass
class Sink:
    """Keeps what a run shows."""

    out: str = ""
    err: str = ""
    shown: list[Any] = field(default_factory=list)

    def stream(self, name: str, text: str) -> None:
        if name == "stdout":
            self.out += text
        else:
            self.err += text

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        self.shown.append((data, metadata, transient, update))

    def clear(self, wait: bool) -> None:
        self.shown.append(("clear", wait))

    def late(self) -> Sink:
        return self
