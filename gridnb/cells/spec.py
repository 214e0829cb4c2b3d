"""What a cell process has to know when it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from gridnb.errors import CellError

__all__ = ["CellSpec"]


@dataclass(frozen=True)
class CellSpec:
    """One cell process: whose it is, how fast it is, and how it proves who it is.

    Attributes
    ----------
    worker, site
        Names, as the catalog and the lease have them.
    speed
        Relative to the fastest site, in (0, 1]: a run holds on for t/speed.
    cores
        Of the worker beside it.
    scheduler
        Address of the Dask scheduler for work inside a cell, or None.
    tls_ca, tls_cert, tls_key
        PEM files; all three or none (none: plain sockets, for unit tests only).
    host
        Address to listen on.
    cwd, env
        Working directory and extra environment of the bodies.
    cache_bytes
        How many bytes of sent blobs are kept for later runs.
    """

    worker: str
    site: str
    speed: float = 1.0
    cores: int = 1
    scheduler: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    host: str = "127.0.0.1"
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    cache_bytes: int = 128 * 2**20

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 1:
            raise CellError(
                f"worker {self.worker}: speed is {self.speed}; it must be above 0 and at most 1"
            )
        if len({value is None for value in self.tls}) != 1:
            raise CellError(f"worker {self.worker}: name all of tls_ca, tls_cert, tls_key or none")

    @property
    def tls(self) -> tuple[str | None, str | None, str | None]:
        """The three PEM files, as :func:`gridnb.cells.frames.connect` takes them."""
        return self.tls_ca, self.tls_cert, self.tls_key

    def to_json(self) -> str:
        """Write as JSON text; :meth:`from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CellSpec:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))
