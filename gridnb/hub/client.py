"""The kernel's side of a hub: a Dask client that names its runs, a cluster that is far away."""

from __future__ import annotations

import uuid
from typing import Any

from dask.base import annotate
from distributed import Client
from distributed.core import Status, rpc
from distributed.security import Security

from gridnb import errors
from gridnb.cluster.private import Cluster
from gridnb.cluster.usage import RUN
from gridnb.errors import BudgetExceeded, GridError, HubError

__all__ = ["GridClient", "GridCluster", "opened"]


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
    raise kind(answer["text"])


class GridCluster(Cluster):
    """A `distributed.deploy.Cluster` whose scheduler lives in a hub.

    Closing it closes the connection, not the hub: :meth:`gridnb.Grid.close` does that.
    """

    def __init__(self, address: str, security: Security, name: str, **kwargs: Any) -> None:
        self.security = security
        self._address = address
        self._coming: set[str] = set()
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

    def scale(self, n: int | None = None, /, **sites: int) -> Any:
        """Bring the grid to `n` workers, or sites to numbers of theirs; paid before they start.

        Raises
        ------
        BudgetError
            If the budget does not pay for the first term.
        """
        if n is None and not sites:
            raise TypeError("say how many: scale(4), or scale(alpha=2)")
        return self.sync(self.call_async, "scale", n=n, sites=sites or None)

    async def scale_up(self, n: int) -> None:
        """Bring the grid to `n` workers (used by `adapt`)."""
        answer = await self.call_async("scale", n=n)
        self._coming = set(answer["names"])

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
        """Address of Dask's dashboard, which starts on first use, on loopback."""
        return str(self.call("dashboard")["link"])


class GridClient(Client):
    """A `distributed.Client` that tags what it submits with the run it belongs to.

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

    def announce(self, run: str, label: str, state: str) -> None:
        """Tell the hub that a run begins or ends; does not wait."""
        self._send_to_scheduler({"op": "grid-run", "run": run, "label": label, "state": state})
