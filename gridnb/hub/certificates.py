"""A certificate authority per grid: who has no certificate of this grid is not spoken to.

Keys are files of mode 0600 in the grid's runtime directory (mode 0700); no key
is ever text on a command line, in a message or in a log.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from gridnb.providers.base import Tls

__all__ = ["ROLES", "issue", "paths"]

#: Who gets a certificate of their own.
ROLES = ("hub", "client", "worker")
_DAYS = 30


def paths(directory: Path, role: str) -> Tls:
    """Return where the files of a role lie."""
    return Tls(
        str(directory / "ca.pem"), str(directory / f"{role}.pem"), str(directory / f"{role}.key")
    )


def issue(directory: Path, grid: str) -> None:
    """Make the authority of a grid and a certificate for each role.

    The authority's key is dropped: nobody can add a role later.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(role: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"gridnb {grid}"),
                x509.NameAttribute(NameOID.COMMON_NAME, role),
            ]
        )

    def builder(role: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(role))
            .issuer_name(name("authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
        )

    authority = ec.generate_private_key(ec.SECP256R1())
    root = (
        builder("authority", authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )
    _write(directory / "ca.pem", root.public_bytes(serialization.Encoding.PEM))
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    for role in ROLES:
        key = ec.generate_private_key(ec.SECP256R1())
        local = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        certificate = (
            builder(role, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(local), critical=False)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .sign(authority, hashes.SHA256())
        )
        files = paths(directory, role)
        _write(Path(files.cert), certificate.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(Path(files.key), secret)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
