"""The kernel's side of a hub: a Dask client that names its runs, a cluster that is far away."""

from __future__ import annotations

import logging
import uuid
from math import inf
from typing import Any

from dask.base import annotate
from distributed import Adaptive, Client
from distributed.core import ConnectionPool, Status, rpc
from distributed.security import Security
from distributed.utils import format_dashboard_link

from gridnb import errors
from gridnb.cluster.private import Cluster
from gridnb.cluster.usage import RUN
from gridnb.errors import BudgetExceeded, ConsentError, GridError, HubError, StageError
from gridnb.hub import asking
from gridnb.naming import Naming

__all__ = ["GridClient", "GridCluster", "opened"]

logger = logging.getLogger("gridnb")


def opened(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a hub's answer, or raise the error that it carries."""
    if "error" not in answer:
        return answer
    kind = getattr(errors, answer["error"], GridError)
    if kind is BudgetExceeded:
        from decimal import Decimal

        raise BudgetExceeded(
            answer["text"], needed=Decimal(answer["needed"]), left=Decimal(answer["left"])
        )
    if kind is ConsentError:
        raise ConsentError(answer["text"], quotes=answer["quotes"], budget=answer["budget"])
    raise kind(answer["text"])


class Following(Adaptive):
    """`distributed.Adaptive` for a grid: what a hub refuses is told once, and tried again."""

    _refused = ""

    async def recommendations(self, target: int) -> dict[str, Any]:
        """See Dask's; what was asked for before may have ended, and others may have asked."""
        if isinstance(self.cluster, GridCluster):
            await self.cluster.look()
        found: dict[str, Any] = await super().recommendations(target)
        return found

    async def scale_up(self, n: Any) -> None:
        """Bring the grid to `n` workers, if they can be paid for."""
        try:
            await super().scale_up(n)
            self._refused = ""
        except GridError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                logger.warning("adapt: %s", error)


class GridCluster(Cluster):
    """A `distributed.deploy.Cluster` whose scheduler lives in a hub.

    Closing it closes the connection, not the hub: :meth:`gridnb.Grid.close` does that.
    """

    def __init__(self, address: str, security: Security, name: str, **kwargs: Any) -> None:
        self.security = security
        self._address = address
        self._coming: set[str] = set()
        self._workers: ConnectionPool | None = None
        super().__init__(name=name, quiet=True, **kwargs)
        if not self.called_from_running_loop:
            self._loop_runner.start()
            self.sync(self._start)

    async def _start(self) -> None:
        arguments = self.security.get_connection_args("client")
        self.scheduler_comm = rpc(self._address, connection_args=arguments)
        await super()._start()

    @property
    def scheduler_address(self) -> str:
        """Where the scheduler listens."""
        return self._address

    async def call_async(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask the hub (see :class:`gridnb.hub.calls.Calls`)."""
        if self.status != Status.running:
            raise HubError("the connection to the grid is closed; connect again")
        try:
            return opened(await getattr(self.scheduler_comm, f"grid_{name}")(**arguments))
        except OSError as error:
            raise HubError(
                f"the hub of this grid does not answer ({error}); see `gridnb status`, "
                "or connect again"
            ) from error

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask the hub and wait for the answer."""
        try:
            answer: dict[str, Any] = self.sync(self.call_async, name, **arguments)
        except GridError as error:
            raise error.with_traceback(None) from None  # the way through the loop says nothing
        return answer

    def piece(self, address: str, call: str, **which: Any) -> bytes:
        """Ask a worker for a piece of a file.

        Raises
        ------
        StageError
            If the worker has gone, or has no such file.
        """
        return bytes(self.sync(self._piece, address, call, which))

    async def _piece(self, address: str, call: str, which: dict[str, Any]) -> bytes:
        if self._workers is None:
            arguments = self.security.get_connection_args("client")
            self._workers = ConnectionPool(connection_args=arguments)
            await self._workers.start()
        try:
            answer = await getattr(self._workers(address), call)(**which)
        except OSError as error:
            raise StageError("the worker that sends it has gone; fetch it again") from error
        if "error" in answer:
            raise StageError(answer["error"])
        return bytes(answer["data"])

    async def _close(self) -> None:
        if self._workers is not None:
            await self._workers.close()
        await super()._close()

    def buy(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask the hub for something that may cost; the user is asked before the first real money.

        Raises
        ------
        ConsentError
            If nobody agrees to spend real money; nothing is leased then.
        """
        try:
            return self.call(name, session=asking.session(), **arguments)
        except ConsentError as error:
            asking.agree(error)
            self.consent()
            if name == "request":
                arguments = {"quote": error.quotes[0]}  # what was agreed to
            return self.call(name, session=asking.session(), **arguments)

    async def buy_async(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask the hub for something that may cost; nobody can be asked from here."""
        try:
            return await self.call_async(name, session=asking.session(), **arguments)
        except ConsentError as error:
            asking.agree(error, ask=False)
            await self.call_async("consent", session=asking.session())
            return await self.call_async(name, session=asking.session(), **arguments)

    def consent(self) -> None:
        """Agree that this session spends real money, up to the budget."""
        asking.note(**self.call("consent", session=asking.session()))

    def scale(self, n: int | None = None, /, **sites: int) -> Any:
        """Bring the grid to `n` workers, or sites to numbers of theirs; paid before they start.

        Raises
        ------
        BudgetError
            If the budget does not pay for the first term.
        """
        if n is None and not sites:
            raise TypeError("say how many: scale(4), or scale(alpha=2)")
        if self.asynchronous:
            return self._scale(n, sites or None)
        self._coming = set(self.buy("scale", n=n, sites=sites or None)["names"])
        return None

    async def _scale(self, n: int | None, sites: dict[str, int] | None) -> None:
        answer = await self.buy_async("scale", n=n, sites=sites)
        self._coming = set(answer["names"])

    def adapt(self, Adaptive: Any = Following, **kwargs: Any) -> Any:  # noqa: N803 - Dask's name
        """Follow the work with the number of workers; see `distributed.deploy.Cluster.adapt`.

        Raises
        ------
        BudgetError
            If the budget does not pay for its least number of workers (at least one).
        ConsentError
            If its workers would cost real money and nobody agrees to that.
        """
        if not self.asynchronous:
            least = int(kwargs.get("minimum") or 1)
            most = kwargs.get("maximum") or least
            self._ask_before(least if most == inf else int(most), least)
        return super().adapt(Adaptive, **kwargs)

    def _ask_before(self, count: int, least: int) -> None:
        """Have the user agree to what is bought later from the loop, where nobody can be asked."""
        try:
            self.call("scale", session=asking.session(), n=count, look=True)
        except ConsentError as error:
            asking.agree(error)
            self.consent()
        except GridError:
            if count == least:
                raise
            self._ask_before(least, least)  # there is not so much, but perhaps enough to begin

    async def look(self) -> None:
        """Ask the hub which workers are up or come."""
        self._coming = set((await self.call_async("scale", sites={}, look=True))["names"])

    async def scale_down(self, workers: list[str]) -> None:
        """End these workers (used by `adapt`)."""
        self._coming -= set(workers)
        await self.call_async("scale_down", workers=list(workers))

    @property
    def plan(self) -> set[str]:
        """Names of the workers that are asked for (used by `adapt`)."""
        return self.requested

    @property
    def requested(self) -> set[str]:
        """Names of the workers that are up, or were asked for and come (used by `adapt`)."""
        self._coming -= self.observed
        return self._coming | self.observed

    @property
    def observed(self) -> set[str]:
        """Names of the workers that are up (used by `adapt`)."""
        return {str(each["name"]) for each in self.scheduler_info["workers"].values()}

    @property
    def dashboard_link(self) -> str:
        """Address of Dask's dashboard, which starts on first use, on loopback.

        It is written as the setting ``distributed.dashboard.link`` says, as all of Dask does.
        """
        at = self.call("dashboard")
        return str(format_dashboard_link(at["host"], at["port"]))


class GridClient(Naming, Client):
    """A `distributed.Client` that tags what it submits with the run it belongs to.

    It takes ``sites=``: see :class:`gridnb.naming.Naming`.

    Attributes
    ----------
    tag
        Id of the run, or None; then the client itself is the run.
    on_submit
        Called before each graph is submitted.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.tag: str | None = None
        self.on_submit: Any = None
        kwargs.setdefault("name", f"gridnb-{uuid.uuid4().hex[:6]}")
        super().__init__(*args, **kwargs)

    def _graph_to_futures(self, *args: Any, **kwargs: Any) -> Any:
        if self.on_submit is not None:
            self.on_submit()
        if self.tag is None:
            return super()._graph_to_futures(*args, **kwargs)
        with annotate(**{RUN: self.tag}):
            return super()._graph_to_futures(*args, **kwargs)

    def announce(self, run: str, label: str, state: str, replicas: int | None = None) -> None:
        """Tell the hub that a run begins or ends; does not wait.

        `replicas` says at how many sites its Dask results are to be held, if not as its leases do.
        """
        message = {"op": "grid-run", "run": run, "label": label, "state": state}
        self._send_to_scheduler({**message, "replicas": replicas})
