"""The façade: request → quote → lease → run → bill, for scripts as for notebooks."""

from __future__ import annotations

import getpass
import itertools
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gridnb.broker import Quote, Request
from gridnb.catalog import Catalog, load
from gridnb.cells.call import Run
from gridnb.config import settings
from gridnb.errors import CaptureError, HubError, RequestError
from gridnb.fixed import fixed, note
from gridnb.hub import find
from gridnb.hub.find import HubInfo
from gridnb.hub.places import Place
from gridnb.units import Money, parse_money, parse_seconds

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from gridnb.hub.client import GridClient, GridCluster
    from gridnb.jobs.job import Job
    from gridnb.links import Links
    from gridnb.migrating import Migration
    from gridnb.seats import Seats
    from gridnb.staged import GridPath
    from gridnb.staging import Staged
    from gridnb.widgets.panel import Panel

__all__ = ["Grid", "Lease"]


class Lease:
    """Workers that were asked for together, paid term by term until they are released."""

    def __init__(self, grid: Grid, described: dict[str, Any], quote: Quote) -> None:
        self._grid = grid
        self.id: str = described["id"]
        self.quote = quote
        self.workers: list[str] = list(described["workers"])

    def wait(self, n: int | None = None, timeout: float | None = None) -> Self:
        """Wait until `n` workers (default all) are up.

        Raises
        ------
        HubError
            If they are not up after `timeout` seconds, or ended before.
        """
        self._grid.cluster.call("wait", lease=self.id, n=n, timeout=timeout)
        return self

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Run a function on one of the workers; see :meth:`Grid.submit`."""
        return self._grid._send(function, args, kwargs, lease=self.id)

    def release(self) -> None:
        """End the workers; what is left of the money that was set aside goes back."""
        self._grid.release(self.id)

    @property
    def state(self) -> str:
        """``active``, ``ending`` or ``ended``."""
        return str(self._described()["state"])

    def _described(self) -> dict[str, Any]:
        leases = self._grid.status()["leases"]
        return next(dict(each) for each in leases if each["id"] == self.id)

    def __repr__(self) -> str:
        return f"<Lease {self.id}: {len(self.workers)} workers at {', '.join(self.quote.sites)}>"


class Grid:
    """A grid: sites, a budget, and one Dask cluster over what is leased.

    Parameters
    ----------
    catalog
        Name or path of a catalog, or a :class:`~gridnb.catalog.Catalog`.
    budget
        The cap, like ``"5 GD"``. What was spent before under the same account counts.
    account
        Name of the budget; by default the path of the notebook or script.
    name
        A name for status and bill.

    Raises
    ------
    GridError
        One of its children, if catalog, budget or setting is wrong, or the hub does not start.

    Examples
    --------
    >>> with Grid(catalog="demo", budget="5 GD") as grid:  # doctest: +SKIP
    ...     grid.request(cores=4)
    ...     grid.client.submit(sum, [1, 2, 3]).result()
    """

    def __init__(
        self,
        catalog: str | Path | Catalog | None = None,
        budget: str | Money | None = None,
        account: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        config = settings()
        if (bounds := fixed()) is not None:
            catalog, budget, account = bounds.within(catalog, budget, account)
        chosen = load(catalog if catalog is not None else config.catalog)
        cap = None if budget is None else parse_money(budget, what="budget")
        currency = _currency(chosen, cap)
        account = account or default_account()
        starting = find.start(
            chosen,
            config,
            name=name or Path(account).stem,
            account=account,
            currency=currency,
            cap=None if cap is None else cap.amount,
            owner=getpass.getuser(),
            cwd=str(Path.cwd()),
        )
        note("grid", starting.place.grid)
        _import_dask()  # while the hub starts
        address = starting.wait(config.hub.start_timeout)
        self._process: Any = starting.process
        self._join(starting.place.grid, address, starting.place.directory, account, currency)
        self.catalog = chosen
        self.client.known_sites = [site.name for site in chosen.sites]

    @classmethod
    def attach(cls, grid: str | HubInfo | None = None, *, account: str | None = None) -> Grid:
        """Connect to a grid that runs: by id or name, by account, or the newest.

        Raises
        ------
        HubError
            If there is none; names those that run.
        """
        running = [hub for hub in find.hubs() if hub.address is not None]
        fits = [
            hub
            for hub in running
            if (grid is None or grid in (hub, hub.id, hub.name))
            and (account is None or hub.account == account)
        ]
        if not fits:
            known = ", ".join(f"{hub.id} ({hub.name})" for hub in running) or "none"
            raise HubError(
                f"no grid {grid or account or ''} runs; there are: {known}; "
                "start one with gridnb.Grid() or `%grid connect`"
            )
        info = fits[-1]
        assert info.address is not None
        self = cls.__new__(cls)
        self._process = None
        self._join(info.id, info.address, info.directory, info.account, info.currency)
        spec = Place.of(info.id).spec()
        self.catalog = Catalog.from_json(spec["catalog"])
        self.client.known_sites = [site.name for site in self.catalog.sites]
        return self

    def _join(self, grid: str, address: str, directory: Path, account: str, currency: str) -> None:
        from gridnb.cells.kept import Kept
        from gridnb.cluster.worker import security
        from gridnb.hub import certificates
        from gridnb.hub.carrier import Carrier
        from gridnb.hub.client import GridClient, GridCluster
        from gridnb.jobs.follower import Follower
        from gridnb.jobs.results import Access
        from gridnb.seats import Seats
        from gridnb.stagedfs import register

        register()
        self.id = grid
        self.account = account
        self.currency = currency
        self.directory = directory
        tls = certificates.paths(directory, "client")
        self.cluster: GridCluster = GridCluster(address, security(tls.as_dict()), grid)
        self.client: GridClient = GridClient(self.cluster)
        #: Waits as long as a transfer between places takes, when it is paid for.
        self.carry: Callable[[str, str, int], None] = Carrier(directory)
        self.seats: Seats = Seats(
            self.cluster.call, self.client.id, tls, Kept(self._egress), self.carry
        )
        self._access = Access(self.cluster.call, tls)
        self.followed = Follower(self._access, grid)
        #: Stops a run of this process that is under way, by its id; see :meth:`cancel`.
        self.cancels: dict[str, Callable[[], object]] = {}
        #: Called before the connection is closed, by :meth:`disconnect` as by :meth:`close`.
        self.on_close: list[Callable[[], None]] = []
        self._session = uuid.uuid4().hex[:4]
        self._numbers = itertools.count(1)
        self._current = ExitStack()
        self._closed = False

    def _egress(self, place: str) -> str:
        """Say what a site takes for bytes that leave it; nothing where it is free."""
        site = next((each for each in self.catalog.sites if each.name == place), None)
        price = site.rate_card.egress_gib if site is not None else None
        return f", egress {Money(price, self.currency)} per GiB" if price else ""

    # buying

    def quote(self, **request: Any) -> Quote:
        """Return what a request would cost; spends nothing.

        Keywords are those of :class:`~gridnb.broker.Request`: ``cores``, ``memory``,
        ``gpus``, ``workers``, ``sites``, ``regions``, ``owners``, ``spot``,
        ``deadline``, ``max_cost``, ``optimize``.

        Raises
        ------
        RequestError
            If it is not well formed or cannot be met; says what could be.
        """
        asked = Request.of(**request)
        return Quote.from_json(self.cluster.call("quote", request=asked.to_json())["quote"])

    def request(self, quote: Quote | None = None, **request: Any) -> Lease:
        """Lease a quote, or what a request is quoted now: money is set aside, workers start.

        Raises
        ------
        RequestError, BudgetError, ProviderError
            Nothing was spent then.
        ConsentError
            If it is the first real money of this session and nobody agrees to spend it.
        """
        if quote is not None and request:
            raise RequestError("give a quote or a request, not both")
        if quote is not None:
            answer = self.cluster.buy("request", quote=quote.to_json())
        else:
            asked = Request.of(**request)
            answer = self.cluster.buy("request", request=asked.to_json())
        return Lease(self, answer["lease"], Quote.from_json(answer["quote"]))

    def consent(self) -> None:
        """Agree that this session spends real money, up to the budget; nobody is asked then."""
        self.cluster.consent()

    def release(self, lease: str | Lease | None = None) -> list[str]:
        """End one lease, or all; returns the ids of those that were active."""
        chosen = lease.id if isinstance(lease, Lease) else lease
        return list(self.cluster.call("release", lease=chosen)["released"])

    def scale(self, n: int | dict[str, int]) -> int:
        """Bring the grid to `n` workers, or sites to numbers of theirs; returns how many there are.

        More workers are quoted, and paid for before they start; fewer lose no result.
        """
        if isinstance(n, dict):
            return int(self.cluster.buy("scale", sites=n)["workers"])
        return int(self.cluster.buy("scale", n=n)["workers"])

    def preempt(self, what: str, notice: str | float = "30 s") -> list[str]:
        """Have a simulated site take back a worker, or all of its workers, after a notice.

        For tests and demonstrations. `notice` is in real seconds. Returns the workers' names.

        Raises
        ------
        RequestError
            If no such worker is up, or its site is not simulated.
        """
        seconds = parse_seconds(notice, what="notice")
        return list(self.cluster.call("preempt", what=what, notice=seconds)["workers"])

    # moving

    def migrate(
        self, source: str, target: str, *, force: bool = False, limit: str | float = "5 min"
    ) -> Migration:
        """Move all that works at one site to another, while it works; ``.wait()`` is its end.

        As many workers as at `source` are leased at `target` first; then results of Dask tasks
        are copied over the link between the two, what runs finishes, and the old workers end.
        Futures stay valid. What still runs after `limit` real seconds is started again: tasks,
        and pieces of jobs with retries. If it cannot be brought to its end, `source` keeps all.

        What this notebook keeps in cell processes at `source` is copied before this returns.

        Parameters
        ----------
        force
            End what cannot be moved (actors, tasks that are bound to `source`, cells without
            retries, values without a pickle) instead of refusing.

        Raises
        ------
        GridError
            If it cannot begin: an unknown site, no room or no budget, or something that cannot be
            moved. Nothing was spent then, and nothing has changed.
        """
        from gridnb.migrating import Migration, stuck

        if not force and (why := stuck(self.seats, source)):
            raise RequestError(why)
        here = self.seats.any_at(source)
        told = self.cluster.buy(
            "migrate",
            source=source,
            target=target,
            client=self.client.id,
            force=force,
            limit=parse_seconds(limit, what="limit"),
            waits=here,
        )
        migration = Migration(self.cluster.call, self.seats, told, self.currency)
        if here:
            migration.carry()
        return migration

    # working

    def new_run(self) -> str:
        """Return the id of a new run."""
        run = f"{self.id}-{self._session}-{next(self._numbers)}"
        note("run", run)
        return run

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Run a function at a site, in a process of its own; returns a :class:`Job` at once.

        Raises
        ------
        CaptureError
            If the function or an argument cannot be sent.
        """
        return self._send(function, args, kwargs)

    def _send(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        **order: Any,
    ) -> Job:
        from gridnb.cells.pack import pack

        label = getattr(function, "__name__", type(function).__name__)
        namespace = {"function": function, "args": args, "kwargs": kwargs}
        body = "function(*args, **kwargs)"
        packed = pack(body, namespace)  # now, so that what changes later does not matter
        run = Run(self.new_run(), body, namespace, packed=packed, returns="result")
        return self.start(run, label, kind="function", **order)

    def start(
        self,
        run: Run,
        label: str,
        *,
        kind: str,
        pieces: Sequence[dict[str, Any]] | None = None,
        **order: Any,
    ) -> Job:
        """Have the hub drive a run that is packed; `order`: see :class:`gridnb.hub.work.Order`.

        Raises
        ------
        CaptureError
            If a value of `pieces` cannot be sent.
        """
        from gridnb.cells.message import blobs, code_name, message
        from gridnb.hub.asking import session
        from gridnb.hub.runs import RunRecord
        from gridnb.jobs.job import Job

        assert run.packed is not None
        header, inline = message(run, run.packed, code_name(run))
        self.cluster.call(
            "job_start",
            run=run.id,
            label=label,
            kind=kind,
            cell=run.body if kind == "cell" else "",
            header=header,
            parts=[bytes(part) for part in inline],
            blobs={digest: bytes(part) for digest, part in blobs(run.packed).items()},
            pieces=None if pieces is None else _bound(pieces, run.namespace),
            session=session(),
            **order,
        )
        nodes, record = run.packed.nodes, RunRecord.of(run.id)
        job = Job(record, self._access, run.namespace, nodes=nodes)
        return self.followed.add(job)

    def job(self, run: str, namespace: dict[str, Any] | None = None) -> Job:
        """Return a job by its id, or the end of it: also one of a kernel or grid that is gone.

        Names that it assigned are bound in `namespace` when its result is taken; by default that is
        ``__main__``, where a notebook's names are.

        Raises
        ------
        HubError
            If nothing is kept of it.
        """
        from gridnb.hub.runs import RunRecord
        from gridnb.jobs.job import Job

        record = RunRecord.of(run)
        known = self.followed.known(record.run)
        if known is not None:
            return known
        space = vars(sys.modules["__main__"]) if namespace is None else namespace
        mine = record.about()["grid"] == self.id
        job = Job(record, self._access if mine else None, space)
        return self.followed.add(job) if mine else job

    def jobs(self) -> list[Job]:
        """Return the jobs of this account, those that have ended too, newest first."""
        from gridnb.jobs.find import runs_of

        return [self.job(record.run) for record in runs_of(self.account)]

    def cancel(self, run: str) -> None:
        """Stop a run: a cell of this notebook as its stop button does, any other at the hub.

        Raises
        ------
        HubError
            If there is no such run, or it is over.
        """
        stop = self.cancels.get(run)
        if stop is not None:
            stop()
        else:
            self.cluster.call("cancel_run", run=run)

    # files

    def stage(self, source: str | os.PathLike[str], *, site: str | None = None) -> Staged:
        """Bring a file, a directory or what stands at a URL to all sites with workers, once each.

        A site without workers gets it before its first worker takes a task. It goes over the
        links that cost least, from site to site where that is better than from here, is verified
        by its SHA-256, and is not sent again where its content is already. What sites have not
        used for longest goes when the setting ``gridnb.stage.limit`` is reached, and comes again
        when it is opened.

        Parameters
        ----------
        source
            A path, a URL that fsspec can read, or a path below :attr:`volume` that a cell or task
            has written at a site: it is published to the others then.
        site
            Of which site, if several have something under that path of the volume.

        Returns
        -------
        Staged
            A path that is the same in the notebook, in cells and in tasks at every site:
            ``open`` and pandas take it as it is, and ``.path`` is its name as text, for fsspec.

        Raises
        ------
        StageError
            If there is no such thing, no room for it, or it cannot be brought to a site.
        """
        from gridnb.staging import stage

        return stage(self, source, site=site)

    def staged(self) -> list[Staged]:
        """Return what was staged: with `.digest`, `.sites` that have it, `.sent`, `.egress`."""
        from gridnb.staging import listed

        return listed(self)

    @property
    def volume(self) -> GridPath:
        """A directory into which cells and tasks write, each site into its own.

        ``grid.volume / "out.csv"`` is the same name everywhere; :meth:`fetch` brings here what
        was written, :meth:`stage` publishes it to all sites.
        """
        from gridnb.staging import volume

        return volume(self)

    def fetch(
        self,
        path: str | GridPath,
        to: str | os.PathLike[str] | None = None,
        *,
        site: str | None = None,
    ) -> Path:
        """Bring here what cells or tasks have written in the volume, verified; returns where it is.

        Files of a directory that lie at several sites come together. The sites' egress is paid.

        Parameters
        ----------
        path
            Below :attr:`volume`, or relative to it.
        to
            A file or directory here; by default its place under the same name in the volume.
        site
            Of which site, if several have different files under one name.

        Raises
        ------
        StageError
            If no site has it, or sites have different files under one name.
        BudgetError
            If the budget does not pay for the bytes that leave a site.
        """
        from gridnb.staging import fetch

        return fetch(self, path, to, site=site)

    # money

    def cost_of(self, run: str) -> Money:
        """Return what a run has cost, up to this moment."""
        answer = self.cluster.call("run_info", run=run)
        return Money(Decimal(answer["cost"]), self.currency)

    def status(self, *, bill: bool = False, runs: int = 200) -> dict[str, Any]:
        """Return budget, sites, workers, leases, runs and links as plain data.

        With `bill`, what was used is charged up to now first. Of the runs that have
        ended the newest `runs` are there; ``counts`` says how many there are in all.
        """
        return dict(self.cluster.call("status", bill=bill, runs=runs))

    def _budget(self, key: str) -> Money | None:
        value = self.status(bill=True)["budget"][key]
        return None if value is None else Money(Decimal(value), self.currency)

    @property
    def spent(self) -> Money:
        """What was charged to the budget, up to this moment."""
        return self._budget("charged") or Money(Decimal(0), self.currency)

    @property
    def held(self) -> Money:
        """What is set aside for terms that are running."""
        return self._budget("held") or Money(Decimal(0), self.currency)

    @property
    def budget(self) -> Money | None:
        """The cap, or None if there is none (then only free sites can be used)."""
        return self._budget("cap")

    def set_budget(self, cap: Money | str) -> None:
        """Set the cap; what was spent before still counts.

        Raises
        ------
        RequestError
            If it is in a currency that the catalog's sites do not take, or `gridnb run` has set it.
        LedgerError
            If it is less than what is spent and held, or the ledger cannot be written.
        """
        from gridnb.ledger import Ledger

        if (bounds := fixed()) is not None and bounds.account is not None:
            raise RequestError(f"budget: {bounds.stays}")
        wanted = parse_money(cap, what="budget")
        if wanted.currency != self.currency:
            raise RequestError(
                f"budget: {wanted} cannot pay for catalog {self.catalog.name}; "
                f"write it in {self.currency}"
            )
        with Ledger(settings().ledger) as ledger:
            ledger.open_account(self.account, self.currency, wanted.amount)

    @property
    def left(self) -> Money | None:
        """What can still be set aside, or None without a budget."""
        return self._budget("left")

    def bill(self) -> pd.DataFrame:
        """Return this grid's charges, a row a charge, up to this moment."""
        from gridnb.ledger import Ledger
        from gridnb.metering.bill import bill

        if not self._closed:
            self.status(bill=True)
        with Ledger(settings().ledger) as ledger:
            return bill(ledger.charges(grid=self.id))

    # links between sites

    @property
    def links(self) -> Links:
        """The modelled links (:class:`gridnb.links.Link`), like ``grid.links["alpha", "beta"]``."""
        from gridnb.links import Links

        return Links(self.cluster.call, self.catalog, self.currency)

    def traffic(self) -> Figure:
        """Return a plotly figure of the bytes that went from site to site, and their cost.

        Raises
        ------
        HubError
            If plotly is not installed.
        """
        from gridnb.widgets.traffic import figure

        return figure(self.status())

    def panel(self) -> Panel:
        """Return a live panel: meter, request form, sites, leases, runs and bill."""
        from gridnb.widgets.panel import Panel

        return Panel(self)

    # the end

    @property
    def closed(self) -> bool:
        """Whether this connection was closed; the grid may run on."""
        return self._closed

    def disconnect(self) -> None:
        """Leave the grid running, with its leases; :meth:`attach` comes back."""
        if self._closed:
            return
        for hook in self.on_close:
            hook()
        self._closed = True
        self.followed.stop()
        self.followed.leave()
        self.seats.close()
        self.client.close()
        self.cluster.close()
        if self._process is not None:
            self._process.returncode = 0  # it runs on: nobody has to be warned of that

    def close(self) -> None:
        """End the grid: release all leases, settle, and wait until its processes have gone."""
        if self._closed:
            return
        for hook in self.on_close:
            hook()
        self._closed = True
        self.followed.stop()
        self.seats.close()
        self.client.close()  # first, or it would complain that its scheduler is gone
        try:
            pid = self.cluster.call("close")["pid"]
            _wait_for(pid, self._process)
        finally:
            self.cluster.close()
            self.followed.settle()
            self.followed.leave()  # if the hub did not end

    def __enter__(self) -> Self:
        """Make the grid's client Dask's default, for other threads, too; then as before.

        Raises
        ------
        HubError
            If the connection was closed.
        """
        from distributed.client import ensure_default_client

        if self._closed:
            raise HubError(f"grid {self.id}: this connection is closed; make a new gridnb.Grid()")
        ensure_default_client(self.client)
        self._current.enter_context(self.client.as_current())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._current.close()
        try:
            self.close()
        except HubError:
            if error is None:  # else the body's own error is what has to be seen
                raise

    def __repr__(self) -> str:
        return f"<Grid {self.id}: catalog {self.catalog.name}, account {self.account}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from gridnb.widgets import gridview

        if self._closed:
            return gridview.gone(self.id, "this connection is closed")._repr_mimebundle_()
        try:
            if not Place.of(self.id).alive:  # Dask would try to reach it for half a minute
                raise HubError("it has ended")
            return gridview.grid(self.status())._repr_mimebundle_()
        except HubError as error:
            return gridview.gone(self.id, str(error))._repr_mimebundle_()


def default_account() -> str:
    """Return the path of the notebook or script, or the working directory."""
    notebook = os.environ.get("JPY_SESSION_NAME") or os.environ.get("GRIDNB_NOTEBOOK")
    if notebook:
        return str(Path(notebook).absolute())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(Path(script).absolute()) if script else str(Path.cwd())


def _bound(pieces: Sequence[dict[str, Any]], namespace: dict[str, Any]) -> list[bytes]:
    """Pickle what is bound for each piece."""
    from gridnb.cells.message import bindings

    found = []
    for number, values in enumerate(pieces, 1):
        try:
            found.append(bindings(values, namespace))
        except Exception as error:
            names = ", ".join(values)
            raise CaptureError(
                f"value {number} of {names} cannot be sent to a site: "
                f"{' '.join(str(error).split())}; make it inside of the cell"
            ) from error
    return found


def _currency(catalog: Catalog, cap: Money | None) -> str:
    known = catalog.currencies
    if cap is None:
        return known[0] if known else "GD"
    if known and cap.currency not in known:
        raise RequestError(
            f"budget: {cap} cannot pay for catalog {catalog.name}, whose prices are in "
            f"{' and '.join(known)}; write the budget in one of these"
        )
    return cap.currency


def _import_dask() -> None:
    import gridnb.hub.client  # noqa: F401 - imported for the time that it takes


def _wait_for(pid: int, process: Any) -> None:
    import psutil

    if process is not None:
        process.wait()
        return
    until = time.monotonic() + 30
    try:
        hub = psutil.Process(pid)
        # The kernel that started it may not have asked for its end yet.
        while hub.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.02)
    except psutil.NoSuchProcess:
        return
