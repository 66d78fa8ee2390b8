"""The open store: executors, writer and database ports, started and closed together.

The service room opens it and hands its faces to the actions and to delivery. On SQLite one thread
does all the writing and others read; on PostgreSQL the grouping writer has connections of its own,
and so have the looks of delivery, so that no slow list can hold up a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from imd.actions.ports import Clock, Committed
from imd.domain.errors import Unavailable
from imd.domain.push import NOTHING, Outbound
from imd.storage.engine import CommitUnknown, Connect, Connection, connector, is_sqlite
from imd.storage.executor import Executor
from imd.storage.schema import HEAD, SchemaError, version_of
from imd.storage.transaction import Transaction, transact
from imd.storage.writer import GroupingWriter

#: connections of the writer, where the database takes several: one commits, one prepares
WRITERS = 2
#: threads, each with its connection, that look things up for delivery
LOOKING = 2

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Implements the port ``Database`` over two executors, which may be one and the same."""

    def __init__(
        self, readers: Executor, writers: Executor, epoch: str, outbound: Outbound = NOTHING
    ) -> None:
        self._readers, self._writers, self.epoch = readers, writers, epoch
        self._outbound = outbound

    def read(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> Deferred[T]:
        """Run ``work(transaction, …)`` on one snapshot."""

        def run(connection: Connection) -> T:
            return transact(connection, lambda tx: work(tx, *args, **kw), write=False)

        return self._readers.run(run)

    def write(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> Deferred[T]:
        """Run ``work(transaction, …)`` and commit; it may run twice when a connection breaks.

        Unavailable after an unknown outcome: each of imd's acts may be repeated.
        """

        def run(connection: Connection) -> T:
            return transact(
                connection,
                lambda tx: work(tx, *args, **kw),
                write=True,
                outbound=self._outbound,
            )

        return self._writers.run(run).addErrback(_unknown)


def _unknown(failure: Failure) -> Any:
    if failure.check(CommitUnknown):
        raise Unavailable("It is not known whether this was carried out; repeat it.")
    return failure


class Store:
    """What :func:`open_store` gives: the ports, a ping, and an end.

    ``looks`` is the database for whoever looks a few rows up by their keys, and often.
    """

    def __init__(
        self,
        url: str,
        database: Database,
        looks: Database,
        writer: GroupingWriter,
        executors: Sequence[Executor],
    ) -> None:
        self._url, self._executors = url, executors
        self.database, self.looks, self.writer = database, looks, writer

    @property
    def load(self) -> int:
        """How many pieces of work are queued for the threads or run in them."""
        return sum(executor.load for executor in self._executors)

    @property
    def waits(self) -> tuple[int, float]:
        """How many pieces of work the threads took, and the seconds that these had waited."""
        return (
            sum(executor.begun for executor in self._executors),
            sum(executor.waited for executor in self._executors),
        )

    def ping(self) -> Deferred[None]:
        """Fails with Unavailable when the database does not answer."""

        def look(transaction: Transaction) -> None:
            transaction.connection.row("SELECT 1")

        return self.database.read(look)

    def unsafe_settings(self) -> Deferred[list[str]]:
        """Settings of the database under which an acknowledged message could be lost."""
        return self.database.read(unsafe)

    async def close(self, limit: float) -> None:
        """Finish what waits and runs, at most ``limit`` seconds, and end the threads."""
        idle = self.writer.idle()
        idle.addTimeout(limit, self._executors[0].reactor, lambda *_: None)
        await idle
        await gatherResults([executor.close(limit) for executor in self._executors])


async def open_store(
    url: str,
    *,
    reactor: Any,
    clock: Clock,
    on_commit: Callable[[Sequence[Committed]], None],
    pool: int = 4,
    timeout: float = 10.0,
    auto_migrate: bool = True,
    outbound: Outbound = NOTHING,
) -> Store:
    """Open the database, bring its schema up to date, start the threads.

    ``on_commit`` is called in the reactor after each commit of the writer; ``outbound`` says what
    a message leaves to be pushed. Raises SchemaError for
    a schema that cannot be used, Broken when the database cannot be reached.
    """
    if is_sqlite(url):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    opening = ThreadPool(1, 1, name="open-store")
    opening.start()
    try:
        epoch = await deferToThreadPool(reactor, opening, prepare, url, auto_migrate)
    finally:
        opening.stop()

    def lanes(name: str, threads: int, connect: Connect, waiting: int = 200) -> Executor:
        return Executor(
            reactor, connect, name=name, threads=threads, waiting=waiting, timeout=timeout
        )

    writers = 1 if is_sqlite(url) else WRITERS
    writing = lanes("imd-writer", writers, connector(url, by_key=True))
    reading = lanes("imd-store", pool, connector(url))
    writer = GroupingWriter(reactor, writing, clock, on_commit, timeout, outbound)
    if is_sqlite(url):
        database = Database(reading, writing, epoch, outbound)
        return Store(url, database, database, writer, (writing, reading))
    looking = lanes("imd-looks", LOOKING, connector(url, by_key=True))
    database = Database(reading, reading, epoch, outbound)
    looks = Database(looking, looking, epoch, outbound)
    return Store(url, database, looks, writer, (writing, reading, looking))


def prepare(url: str, auto_migrate: bool) -> str:
    """Migrate where needed and allowed; the epoch of the store. Runs in a thread."""
    with closing(connector(url)()) as connection:
        version = transact(connection, lambda tx: version_of(tx.connection), write=False)
    if version != HEAD:
        if not auto_migrate:
            raise SchemaError(
                f"The database has schema {version or 'none'}, this program needs {HEAD}:"
                " run `imdctl migrate`, or set database.auto_migrate."
            )
        from imd.storage.migrate import upgrade_apart

        upgrade_apart(url)
    with closing(connector(url)()) as connection:
        return transact(connection, _epoch, write=False)


def _epoch(transaction: Transaction) -> str:
    found = transaction.connection.row("SELECT value FROM store WHERE name = 'epoch'")
    if found is None:
        raise SchemaError("The database names no epoch; its schema was not made by imd.")
    return str(found[0])


def unsafe(transaction: Transaction) -> list[str]:
    """Settings of the database under which an acknowledged message could be lost."""
    connection = transaction.connection
    if connection.row_locks:
        sql = (
            "SELECT name, setting FROM pg_settings"
            " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
        )
        return [f"{name} is {value}" for name, value in connection.rows(sql) if value == "off"]
    journal = connection.row("PRAGMA journal_mode")
    synchronous = connection.row("PRAGMA synchronous")
    unsafe = []
    if not journal or journal[0] != "wal":
        unsafe.append("journal_mode is not WAL")
    if not synchronous or synchronous[0] < 2:
        unsafe.append("synchronous is below FULL")
    return unsafe


@contextmanager
def sync_transaction(url: str, *, write: bool = True) -> Iterator[Transaction]:
    """One transaction for a command line, committed at the end of the block.

    The schema must be present; SchemaError says so otherwise.
    """
    with closing(connector(url)()) as connection:
        connection.begin(write=False)
        version = version_of(connection)
        connection.rollback()
        if version != HEAD:
            raise SchemaError("The database is not prepared: run `imdctl migrate` first.")
        connection.begin(write=write)
        try:
            transaction = Transaction(connection)
            yield transaction
            transaction.commit()
        except BaseException:
            connection.rollback()
            raise
