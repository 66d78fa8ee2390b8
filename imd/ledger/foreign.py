"""A database that is not imd's: MySQL, MariaDB, PostgreSQL or SQLite, by its SQLAlchemy URL.

Moving over reads the original's through it, reconciling the platform's. What differs between the
kinds stands here: how rows are streamed in bounded memory, how text is ordered by its bytes, what
a column's type says of times. It refuses to know any table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, inspect, text
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

#: rows that are fetched at a time, values of one statement that names each
STRIDE: Final = 2_000
NAMED: Final = 500
#: seconds to connect in, and until a statement's first row (sorting a large table takes long)
_CONNECT, _PATIENCE = 10, 7_200
_DRIVERS: Final = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
    "sqlite": "sqlite+pysqlite",
}
_SETUP: Final = {
    # A reader that is slow for a while is not to be cut off.
    "mysql": ("SET SESSION time_zone = '+00:00'", "SET SESSION net_write_timeout = 3600"),
    "postgresql": ("SET TIME ZONE 'UTC'",),
    "sqlite": (),
}
_READ_ONLY: Final = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}


class ForeignFailed(Exception):
    """The foreign database cannot be used or does not answer; the sentence says why."""


class Column(NamedTuple):
    """What the catalogue says of a column: ``time`` is "datetime", "instant" or "number"."""

    name: str
    textual: bool
    json: bool
    time: str


class Table(NamedTuple):
    """A table or view of the catalogue."""

    name: str
    columns: dict[str, Column]
    #: whether no two rows can have the same value there
    unique: frozenset[str]


class Foreign:
    """An open foreign database; use it in a ``with`` block."""

    def __init__(self, url: str, *, writes: bool = False) -> None:
        """Nothing is opened yet. Raises ForeignFailed for a URL of another kind."""
        self.url = _parsed(url)
        self.kind = self.url.get_backend_name()
        self._engine = _engine(self.url, writes)
        self._quote = self._engine.dialect.identifier_preparer.quote

    @property
    def name(self) -> str:
        """The database without its password, as reports and progress call it."""
        plain = self.url.set(query={})
        if plain.password is not None:
            plain = plain.set(password=None)
        return plain.render_as_string(hide_password=True)

    def __enter__(self) -> Foreign:
        with failing():
            self._engine.connect().close()
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    # ---- what there is

    def tables(self) -> list[str]:
        """All tables and views."""
        with failing():
            seen = inspect(self._engine)
            return [*seen.get_table_names(), *seen.get_view_names()]

    def table(self, name: str) -> Table:
        """What the catalogue says of one that is there."""
        with failing():
            seen = inspect(self._engine)
            columns = {
                c["name"]: self._column(c["name"], c["type"]) for c in seen.get_columns(name)
            }
            keys: list[Any] = [seen.get_pk_constraint(name)["constrained_columns"]]
            keys += [index["column_names"] for index in seen.get_indexes(name) if index["unique"]]
            keys += [key["column_names"] for key in seen.get_unique_constraints(name)]
        single = {key[0] for key in keys if len(key) == 1 and key[0] is not None}
        return Table(name, columns, frozenset(single))

    def _column(self, name: str, type_: Any) -> Column:
        time = "number"
        if isinstance(type_, sqltypes.DateTime | sqltypes.Date):
            told = getattr(type_, "timezone", False)
            stamp = isinstance(type_, sqltypes.TIMESTAMP) and self.kind != "postgresql"
            time = "instant" if told or stamp else "datetime"
        return Column(
            name,
            isinstance(type_, sqltypes.String | sqltypes.Enum),
            isinstance(type_, sqltypes.JSON),
            time,
        )

    # ---- words of its SQL

    def quote(self, name: str) -> str:
        """A table or column as statements name it."""
        return str(self._quote(name)).replace(":", r"\:")

    def plain(self, column: Column | None) -> str:
        """A column's value, or NULL for one that is not there."""
        if column is None:
            return "NULL"
        quoted = self.quote(column.name)
        return f"CAST({quoted} AS text)" if column.json and self.kind == "postgresql" else quoted

    def by_bytes(self, expression: str) -> str:
        """Text that is ordered and compared by its bytes in UTF-8; no value is the empty text."""
        if self.kind == "mysql":
            return f"COALESCE(CAST(CONVERT({expression} USING utf8mb4) AS BINARY), '')"
        if self.kind == "postgresql":
            return f"(COALESCE(CAST({expression} AS text), '') COLLATE \"C\")"
        return f"(COALESCE(CAST({expression} AS TEXT), '') COLLATE BINARY)"

    def bytes_of(self, name: str) -> str:
        """A parameter to compare :meth:`by_bytes` with."""
        if self.kind == "mysql":
            return f"CAST(:{name} AS BINARY)"
        return f"CAST(:{name} AS text)"

    def equal_text(self, column: Column) -> str:
        """A column to compare texts with, by its index where it is a text."""
        quoted = self.quote(column.name)
        if column.textual or self.kind == "mysql":
            return quoted
        return f"CAST({quoted} AS text)"

    # ---- asking

    def stream(self, sql: str, params: Mapping[str, Any] | None = None) -> Iterator[Sequence[Any]]:
        """The rows of a query one after another, some thousand in memory at a time."""
        for part in self.parts(sql, params):
            yield from part

    def parts(
        self, sql: str, params: Mapping[str, Any] | None = None
    ) -> Iterator[Sequence[Sequence[Any]]]:
        """The same, as lists of some thousand rows."""
        with failing(), self._engine.connect() as connection:
            asked = connection.execution_options(stream_results=True, max_row_buffer=STRIDE)
            result = asked.execute(text(sql), dict(params or {}))
            try:
                yield from result.partitions(STRIDE)
            finally:
                # What was not read of a stream would be read to its end by closing it.
                connection.invalidate()

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        """All rows of a query that gives few; a list among the parameters is an IN list."""
        statement = text(sql)
        for name, value in (params or {}).items():
            if isinstance(value, list):
                statement = statement.bindparams(bindparam(name, expanding=True))
        with failing(), self._engine.connect() as connection:
            return list(connection.execute(statement, dict(params or {})).fetchall())

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block."""
        with failing(), self._engine.begin() as connection:
            yield connection


@contextmanager
def failing() -> Iterator[None]:
    """Turn what the foreign database says into ForeignFailed, without parameters or rows."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or [type(error).__name__]
        raise ForeignFailed(said[0]) from error
    except SQLAlchemyError as error:
        raise ForeignFailed(type(error).__name__) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername.partition("+")[0]]
    except (ArgumentError, ValueError, KeyError):
        allowed = "mysql://USER:PASSWORD@HOST/NAME, mariadb://…, postgresql://… or sqlite:///PATH"
        raise ForeignFailed(f"this is no URL of a database that can be read: {allowed}") from None
    return parsed.set(drivername=driver)


def _engine(url: URL, writes: bool) -> Engine:
    kind = url.get_backend_name()
    connect: dict[str, Any] = {}
    if kind == "mysql":
        connect = {"connect_timeout": _CONNECT, "read_timeout": _PATIENCE, "charset": "utf8mb4"}
    elif kind == "postgresql":
        connect = {"connect_timeout": _CONNECT, "application_name": "imd-ledger"}
    elif url.database:
        mode = "rw" if writes else "ro"
        url = url.set(database=f"file:{url.database}", query={"mode": mode, "uri": "true"})
        connect = {"timeout": _CONNECT}
    try:
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=2,
            max_overflow=-1,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=connect,
        )
    except (NoSuchModuleError, ImportError) as error:
        raise ForeignFailed(f"a driver is missing, pip install 'imd[ledger]': {error}") from error
    orders = _SETUP[kind] if writes else (*_SETUP[kind], _READ_ONLY[kind])

    def prepare(connection: Any, _: object) -> None:
        if kind == "sqlite":
            connection.text_factory = _lenient
        cursor = connection.cursor()
        for order in orders:
            cursor.execute(order)
        cursor.close()
        if kind != "sqlite":
            connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
