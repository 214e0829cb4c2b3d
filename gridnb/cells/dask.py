"""Dask inside a cell: a client of the cell process's own, on the whole grid."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.spec import CellSpec
from gridnb.cells.stop import interrupt_tasks
from gridnb.errors import CellError

__all__ = ["ANNOTATION", "CellDask", "adopt", "is_collection", "token"]

#: The annotation that names the run of a task.
ANNOTATION = "gridnb_run"

#: Seconds that a body waits for the client that it needs.
PATIENCE = 60.0

#: Seconds that any body waits: what it calls may use Dask, and would do so in this process alone.
COURTESY = 5.0

#: Seconds in which the scheduler has to know of a task.
SETTLE = 2.0

#: Seconds for which results of earlier runs are not dropped.
HOLD = 10.0

#: Seconds that cancelled tasks have to return, and workers to answer.
RETURN, ANSWER = 0.2, 1.0

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
        self._held: list[tuple[float, list[Any]]] = []
        self._cancelling: threading.Thread | None = None
        self._busy: dict[str, list[str]] = {}

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
        """Work is this run's from now on; waits for the client, longer if ``pieces`` mention Dask.

        Raises
        ------
        CellError
            If Dask is needed and its scheduler cannot be reached.
        """
        self._hold()
        self._run, self._futures = run, []
        if self._done.wait(COURTESY) and not self._error:
            return
        if not any(mark in text for text in map(bytes, pieces) for mark in _MARKS):
            return
        if not self._done.wait(PATIENCE) or self._error:
            raise CellError(
                f"the Dask scheduler at {self._spec.scheduler} cannot be reached from site "
                f"{self._spec.site} ({self._error or 'no answer'}); see `%grid status`"
            )

    def _hold(self) -> None:
        """Keep what the last run has made: the kernel may not have asked for it yet."""
        now = time.monotonic()
        alive = [future for future in (ref() for ref in self._futures) if future is not None]
        self._held = [each for each in self._held if now - each[0] < HOLD]
        if alive:
            self._held.append((now, alive))

    def annotations(self) -> dict[str, str]:
        """What the tasks of the current run carry."""
        return {} if self._run is None else {ANNOTATION: self._run}

    def note(self, futures: dict[Any, Any]) -> None:
        """Remember what the current run has started."""
        self._futures += [weakref.ref(future) for future in futures.values()]

    def _pending(self) -> list[Any]:
        futures = [f for f in (ref() for ref in self._futures) if f is not None]
        return [future for future in futures if future.status == "pending"]

    def cancel(self) -> None:
        """Begin to cancel what the current run has started and what has not finished."""
        pending = self._pending()
        if self._cancelling is None and pending:
            self._busy = {}
            self._cancelling = threading.Thread(
                target=self._cancel, args=(pending,), name="gridnb-cancel", daemon=True
            )
            self._cancelling.start()

    def cancelled(self) -> list[str]:
        """Wait for that; returns what a user should know: C code goes on, whoever asks."""
        if self._cancelling is None:
            return []
        # A worker whose interpreter is held up does not answer.
        self._cancelling.join(ANSWER)
        self._cancelling = None
        busy = sorted(name for names in self._busy.values() for name in names)
        if not busy:
            return []
        return [
            f"cancelled, but still in code that cannot be interrupted: {', '.join(busy)} "
            "(its cores are free again when it returns)"
        ]

    def _cancel(self, pending: list[Any]) -> None:
        self._client.cancel(pending, force=True)
        run = self._client.run
        self._busy = run(interrupt_tasks, ANNOTATION, self._run, on_error="ignore")
        time.sleep(RETURN)
        self._busy = run(interrupt_tasks, ANNOTATION, self._run, on_error="ignore")

    def settle(self) -> None:
        """Wait until the scheduler knows what is under way: the kernel will ask it for that."""
        end = time.monotonic() + SETTLE
        for future in self._pending()[-1:]:
            while time.monotonic() < end and not self._known(future.key):
                time.sleep(0.005)

    def _known(self, key: Any) -> bool:
        client = self._client
        return bool(client.sync(client.scheduler.get_story, keys_or_stimuli=[key]))


def adopt(key: Any) -> Any:
    """Make a future of the present client out of the key of another client's."""
    from distributed import Future, default_client

    make: Any = Future
    try:
        client: Any = default_client()
    except ValueError:
        # Nobody to ask: it says so itself when it is used.
        return make(key)
    # Dask does this for futures in a Queue or Variable; without it the result would be forgotten.
    client._send_to_scheduler({"op": "client-desires-keys", "keys": [key], "client": client.id})
    return make(key, client)


def is_collection(value: Any) -> bool:
    """Whether a value is a Dask collection, without importing Dask."""
    return hasattr(type(value), "__dask_graph__")


def token(collection: Any) -> bytes:
    """What a collection stands for; its pickle also has what it keeps for itself."""
    from dask.base import tokenize

    return str(tokenize(collection)).encode()


def make_client(spec: CellSpec, of: CellDask) -> Any:
    """Connect a client whose work is tagged; imports distributed."""
    from dask.base import annotate
    from distributed import Client
    from distributed.security import Security

    from gridnb.naming import Naming

    class CellClient(Naming, Client):
        """Tags all work with the run that asked for it."""

        def _graph_to_futures(self, *args: Any, **named: Any) -> Any:
            with annotate(**of.annotations()):
                futures = super()._graph_to_futures(*args, **named)
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
