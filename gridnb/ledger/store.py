"""The file that a ledger is: where it is, how it is made, and its transactions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gridnb.errors import LedgerError, LedgerUnavailable
from gridnb.ledger import schema

__all__ = ["Store", "ledger_path"]

#: Seconds that a transaction waits for those of other processes.
BUSY_SECONDS = 30


def ledger_path(url: str | os.PathLike[str] | None = None) -> Path:
    """Return the ledger's file: of ``url`` (a path or ``sqlite:///PATH``), or the user's own.

    Without ``url`` it is what the environment variable ``GRIDNB_LEDGER`` or the setting
    ``gridnb.ledger`` says, or ``ledger.db`` in the user's data directory.

    Raises
    ------
    LedgerError
        If ``url`` names another kind of database.
    """
    chosen = url or os.environ.get("GRIDNB_LEDGER") or _configured()
    if chosen is None:
        from platformdirs import user_data_path

        return user_data_path("gridnb") / "ledger.db"
    if "://" not in os.fspath(chosen):
        return Path(chosen).expanduser().absolute()
    try:
        parsed = make_url(os.fspath(chosen))
    except ArgumentError:
        raise LedgerError(_not_a_file("the given URL")) from None
    if (
        parsed.get_backend_name() != "sqlite"
        or not parsed.database
        or parsed.database == ":memory:"
    ):
        raise LedgerError(_not_a_file(parsed.render_as_string(hide_password=True)))
    return Path(parsed.database).expanduser().absolute()


def _configured() -> str | None:
    import dask.config

    value = dask.config.get("gridnb.ledger", None)
    return None if value is None else str(value)


def _not_a_file(url: str) -> str:
    return f"ledger: {url} is not an SQLite file; write a path, or 'sqlite:///PATH'"


class Store:
    """One ledger's file. Threads may share it; each process opens its own.

    Raises
    ------
    LedgerError
        If the file cannot be made, is no ledger, or was made by another version of gridnb.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            _create(path)
        self._engine = _engine(path)
        # A transaction that reads first and then writes could not wait for another writer.
        self._writer = self._engine.execution_options(gridnb_begin="BEGIN IMMEDIATE")
        try:
            with self.read() as connection:
                _check(connection, path)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give one consistent view of the ledger; it blocks nobody."""
        with _one_line(self.path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction: at its end all of it is on disk, after an error nothing of it."""
        with _one_line(self.path), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        advice = (
            f"another process kept it for {BUSY_SECONDS} s; end it and try again"
            if "locked" in reason
            else "see that it is readable, on a local disk that is not full, and run gridnb audit"
        )
        raise LedgerUnavailable(f"ledger {path}: {reason}; {advice}") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)),
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("gridnb_begin", "BEGIN"))


def _check(connection: Connection, path: Path) -> None:
    kind = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if kind != schema.APPLICATION:
        raise LedgerError(f"ledger {path}: not a ledger of gridnb; move it away or name another")
    if version != schema.VERSION:
        raise LedgerError(
            f"ledger {path}: its tables have version {version} and this gridnb knows "
            f"{schema.VERSION}; install the gridnb that wrote it"
        )


def _create(path: Path) -> None:
    """Make the whole ledger under another name first: nobody ever sees half of one."""
    draft: Path | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        draft = Path(name)
        _fill(draft)
        _publish(draft, path)
    except OSError as error:
        raise LedgerError(
            f"ledger {path}: cannot be made: {error.strerror}; "
            "name a file in a directory of yours with GRIDNB_LEDGER"
        ) from error
    finally:
        if draft is not None:
            for suffix in ("", "-wal", "-shm"):
                draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _fill(draft: Path) -> None:
    engine = _engine(draft)
    with _one_line(draft), engine.begin() as connection:
        schema.metadata.create_all(connection, checkfirst=False)
        for trigger in schema.TRIGGERS.values():
            connection.exec_driver_sql(trigger)
        connection.execute(insert(schema.head), {"id": 1, "seq": 0, "hash": schema.GENESIS})
        connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION}")
        connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")
    raw = engine.raw_connection()
    raw.cursor().execute("PRAGMA journal_mode=WAL")
    raw.close()
    engine.dispose()


def _publish(draft: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link never replaces what another process has just made.
        path.hardlink_to(draft)
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
