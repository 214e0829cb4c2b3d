"""Who has no certificate of the grid is not spoken to; who has a worker's cannot spend."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed.core import rpc
from distributed.security import Security

import gridnb
from gridnb.cluster.worker import security
from gridnb.hub import certificates


@pytest.fixture(scope="module")
def grid() -> Iterator[gridnb.Grid]:
    with gridnb.Grid("demo", "5 GD", "security") as grid:
        grid.request(sites="alpha", workers=1).wait()
        assert grid.submit(sum, [1]).result(60) == 1  # so that a cell process listens, too
        yield grid


def _ports(grid: gridnb.Grid) -> dict[int, str]:
    """Return every port on which a process of the grid listens, and its address."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("GRIDNB_GRID") != grid.id:
                continue
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found[connection.laddr.port] = connection.laddr.ip
        except psutil.Error:
            continue
    return found


def _speaks(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether the port answers more than a refusal to somebody who asks politely."""
    with contextlib.ExitStack() as stack:
        sock: Any = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        try:
            if context is not None:
                sock = stack.enter_context(context.wrap_socket(sock))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n" + b"\0" * 64)
            data = sock.recv(64)
        except OSError:  # refused in the handshake, or hung up on
            return False
    return bool(data) and not data.startswith(b"\x15\x03")  # a TLS alert


def _context(files: Any = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files is not None:
        context.load_cert_chain(files.cert, files.key)
    return context


def test_every_socket_wants_a_certificate_of_this_grid(grid: gridnb.Grid, tmp_path: Path) -> None:
    ports = _ports(grid)
    assert len(ports) >= 3  # hub, worker, cell process
    assert set(ports.values()) == {"127.0.0.1"}
    certificates.issue(tmp_path, "foreign")
    foreign = _context(certificates.paths(tmp_path, "client"))
    for port in ports:
        assert not _speaks(port, None)
        assert not _speaks(port, _context())
        assert not _speaks(port, foreign)


def _call(grid: gridnb.Grid, security: Security, name: str, **arguments: Any) -> Any:
    async def ask() -> Any:
        address = grid.cluster.scheduler_address
        async with rpc(address, connection_args=security.get_connection_args("client")) as hub:
            return await getattr(hub, name)(**arguments)

    return asyncio.run(asyncio.wait_for(ask(), 20))


def test_a_workers_certificate_cannot_spend(grid: gridnb.Grid) -> None:
    worker = security(certificates.paths(grid.directory, "worker").as_dict())
    for name in ("grid_close", "grid_request", "grid_release", "grid_scale"):
        answer = _call(grid, worker, name)
        assert answer["error"] == "HubError"
        assert "may not" in answer["text"]
    client = security(certificates.paths(grid.directory, "client").as_dict())
    assert _call(grid, client, "grid_status")["grid"]["id"] == grid.id


def test_another_grids_certificate_is_refused(grid: gridnb.Grid, tmp_path: Path) -> None:
    certificates.issue(tmp_path, "other")
    other = security(certificates.paths(tmp_path, "client").as_dict())
    with pytest.raises((OSError, TimeoutError)):
        _call(grid, other, "grid_status")
