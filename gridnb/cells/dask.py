"""Dask inside a cell: a client of the cell process's own, on the whole grid."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.spec import CellSpec
from gridnb.errors import CellError

__all__ = ["ANNOTATION", "CellDask"]

#: The annotation that names the run of a task.
ANNOTATION = "gridnb_run"

#: Seconds that a body waits for the client that it needs.
PATIENCE = 60.0

#: What a body or its captured values mention when they use Dask.
_MARKS = (b"dask", b"distributed", b"get_client", b"compute", b"xarray")


class CellDask:
    """Connects in the background; tags and, when asked, cancels the work of the current run."""

    def __init__(self, spec: CellSpec, log: Callable[[str], None]) -> None:
        self._spec, self._log = spec, log
        self._done = threading.Event()
        self._client: Any = None
        self._error: str = ""
        self._run: str | None = None
        self._futures: list[weakref.ref[Any]] = []

    def start(self) -> None:
        """Begin to connect, if there is a scheduler."""
        if self._spec.scheduler is None:
            self._done.set()
            return
        threading.Thread(target=self._connect, name="gridnb-dask", daemon=True).start()

    def _connect(self) -> None:
        try:
            self._client = make_client(self._spec, self)
        except Exception as error:  # noqa: BLE001 - the run that needs it hears it
            self._error = " ".join(str(error).split()) or type(error).__name__
            self._log(f"no Dask client for the cells: {self._error}\n")
        finally:
            self._done.set()

    def begin(self, run: str, pieces: Sequence[Buffer]) -> None:
        """Work is this run's from now on; waits for the client if ``pieces`` mention Dask.

        Raises
        ------
        CellError
            If Dask is needed and its scheduler cannot be reached.
        """
        self._run, self._futures = run, []
        if self._done.is_set() and not self._error:
            return
        if not any(mark in text for text in map(bytes, pieces) for mark in _MARKS):
            return
        if not self._done.wait(PATIENCE) or self._error:
            raise CellError(
                f"the Dask scheduler at {self._spec.scheduler} cannot be reached from site "
                f"{self._spec.site} ({self._error or 'no answer'}); see `%grid status`"
            )

    def annotations(self) -> dict[str, str]:
        """What the tasks of the current run carry."""
        return {} if self._run is None else {ANNOTATION: self._run}

    def note(self, futures: dict[Any, Any]) -> None:
        """Remember what the current run has started."""
        self._futures += [weakref.ref(future) for future in futures.values()]

    def cancel(self) -> None:
        """Cancel what the current run has started and what has not finished."""
        futures = [f for f in (ref() for ref in self._futures) if f is not None]
        pending = [future for future in futures if future.status == "pending"]
        if pending:
            self._client.cancel(pending, force=True)


def make_client(spec: CellSpec, of: CellDask) -> Any:
    """Connect a client whose work is tagged; imports distributed."""
    from dask.base import annotate
    from distributed import Client
    from distributed.security import Security

    class CellClient(Client):
        """Tags all work with the run that asked for it."""

        def _graph_to_futures(self, *args: Any, **named: Any) -> Any:
            with annotate(**of.annotations()):
                futures = super()._graph_to_futures(*args, **named)  # type: ignore[no-untyped-call]
            of.note(futures)
            return futures

    # Neither has annotations that mypy would accept.
    make_security: Any = Security
    connect: Any = CellClient
    security = None
    if spec.tls_ca is not None:
        security = make_security(
            tls_ca_file=spec.tls_ca,
            tls_client_cert=spec.tls_cert,
            tls_client_key=spec.tls_key,
            require_encryption=True,
        )
    return connect(
        spec.scheduler, security=security, set_as_default=True, name=f"cell-{spec.worker}"
    )
