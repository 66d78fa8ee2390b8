"""One connection, whichever database it speaks to.

The executor opens connections here and hands each to one thread; stores run SQL through it. A
statement is written once, with ``%s`` for parameters, and the few places where the databases
differ are attributes of the connection. It knows nothing of what the tables mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol

Row = tuple[Any, ...]


class StorageError(Exception):
    """The root of what the engine raises in place of a driver's errors."""


class Broken(StorageError):
    """The connection died before a commit was asked for: nothing was done."""


class Refused(StorageError):
    """The database answers, but cannot do this now (locks, timeouts, read-only, full)."""


class Collided(StorageError):
    """Two transactions stood in each other's way; the same work may be tried again at once."""


class CommitUnknown(StorageError):
    """The connection died while committing: it may or may not be done."""


class Duplicate(StorageError):
    """A unique key exists already."""


class Bulk(NamedTuple):
    """A statement over many rows of parameters, such as one UPDATE for a whole batch.

    ``sql`` holds ``{rows}`` once, where the rows stand as a table ``v`` with the columns
    ``column1``, ``column2``… of these SQL ``types``. ``name`` is unique in the program; where the
    database can, the statement is planned once for a connection.
    """

    name: str
    types: tuple[str, ...]
    sql: str


class Connection(Protocol):
    """What stores need; one thread uses it, only :meth:`break_off` may come from another."""

    #: appended to a SELECT to lock its rows; empty where the whole database is locked anyway
    lock: ClassVar[str]
    #: whether rows can be locked singly
    row_locks: ClassVar[bool]
    #: locks rows of ``s``, passing over those that another transaction holds
    lock_free: ClassVar[str]
    #: whether this transaction holds the row of ``s``
    held: ClassVar[str]
    #: whether a join may look at the rows before it
    lateral: ClassVar[bool]

    def begin(self, *, write: bool) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None: ...

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Carry out a change at once; the number of rows that it touched."""

    def later(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Carry out a change before the next read or the commit, whichever comes first."""

    def rows_of(self, bulk: Bulk, params: Sequence[Row]) -> list[Row]:
        """What the statement finds for these rows of parameters."""

    def later_of(self, bulk: Bulk, params: Sequence[Row]) -> None:
        """As :meth:`later`, for many rows of parameters at once."""

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Put many new rows into a table, the quickest way that the database has."""

    def close(self) -> None: ...

    def break_off(self) -> None:
        """Make the statement under way fail soon; called from another thread."""


Connect = Callable[[], Connection]


@lru_cache(maxsize=512)
def marks(count: int) -> str:
    """``(%s, %s, …)`` for an IN list of ``count`` values."""
    return "(" + ", ".join(["%s"] * count) + ")"


@lru_cache(maxsize=1024)
def values(rows: int, columns: int) -> str:
    """``VALUES (…), (…)`` with a parameter for each place."""
    return "VALUES " + ", ".join([marks(columns)] * rows)


def connector(url: str, *, by_key: bool = False, patient: bool = False) -> Connect:
    """How to open a connection to ``url``: ``sqlite:///PATH`` or ``postgresql://…`` (page 5.2).

    ``by_key`` says that the connection looks everything up by key, a few rows at a time, so that
    the planner need not be asked whether to read whole tables. ``patient`` lets statements take as
    long as they need: for one who moves much, never for one who is waited for.
    """
    if url.startswith("sqlite:///"):
        from imd.storage.sqlite import SqliteConnection

        path = url.removeprefix("sqlite:///")
        return lambda: SqliteConnection(path)
    if url.startswith(("postgresql://", "postgres://")):
        from imd.storage.postgres import PostgresConnection

        return lambda: PostgresConnection(url, by_key=by_key, patient=patient)
    raise ValueError("database.url must begin with sqlite:/// or postgresql://")


def is_sqlite(url: str) -> bool:
    """Whether the URL names a SQLite file."""
    return url.startswith("sqlite:")
