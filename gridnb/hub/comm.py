"""A comm backend, ``grid://``: a plain Dask client connects to a grid of this user.

``Client("grid://127.0.0.1:41234")`` is what a front end that knows nothing of certificates
can write into a notebook. It is TLS to the hub that listens there, with the keys that this
user's grids keep in their runtime directories. Found by Dask through the entry point group
``distributed.comm.backends``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from gridnb.cluster.private import TLSBackend, TLSConnector
from gridnb.cluster.worker import security
from gridnb.errors import HubError
from gridnb.hub import certificates
from gridnb.hub.find import hubs

__all__ = ["SCHEME", "GridBackend"]

SCHEME = "grid://"


class _GridConnector(TLSConnector):
    async def connect(self, address: str, deserialize: bool = True, **_: Any) -> Any:
        return await super().connect(address, deserialize, **_keys(address))


@cache  # so that a client whose grid has ended fails as with any other scheduler
def _keys(address: str) -> dict[str, Any]:
    running = hubs()
    for hub in running:
        if hub.address == f"tls://{address}":
            tls = certificates.paths(hub.directory, "client").as_dict()
            return dict(security(tls).get_connection_args("client"))
    known = ", ".join(
        f"{hub.address.replace('tls://', SCHEME)} ({hub.name})" for hub in running if hub.address
    )
    raise HubError(f"no grid of yours listens at {SCHEME}{address}; there are: {known or 'none'}")


class GridBackend(TLSBackend):
    """The backend of ``grid://`` addresses, for clients only."""

    _connector_class = _GridConnector

    def get_listener(self, loc: str, *_: Any, **__: Any) -> Any:
        """Refuse: a hub listens with plain TLS.

        Raises
        ------
        HubError
            Always.
        """
        raise HubError(f"{SCHEME}{loc}: only clients use such addresses; a hub makes its own")
