"""PostgreSQL as imd uses it, through psycopg2.

BEGIN travels with the first statement, and changes that nobody reads travel with COMMIT, so a
grouped write takes two round trips. A connection that may be stuck is broken off by shutting
its socket from another thread: no timeout of the server covers a frozen backend or a dead peer.
"""

from __future__ import annotations

import io
import os
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import psycopg2
from psycopg2 import errorcodes, errors

from imd.storage.engine import (
    Broken,
    Bulk,
    Collided,
    CommitUnknown,
    Duplicate,
    Refused,
    Row,
)

CONNECT_SECONDS = 3
#: said in place of the library's words, which show the part that it cannot read: the password
UNREADABLE = "database.url cannot be read; % and @ in its password are written as %25 and %40"
#: ms; the executor's deadline is the last word, these free the server's side
STATEMENT_MS, LOCK_MS, IDLE_MS = 8_000, 3_000, 15_000
#: texts are written as :func:`literal` says
_ALWAYS = "-c search_path=im,public -c standard_conforming_strings=on"
_OPTIONS = (
    f"{_ALWAYS} -c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS}"
    f" -c idle_in_transaction_session_timeout={IDLE_MS}"
)
_PATIENT_OPTIONS = (
    f"{_ALWAYS} -c statement_timeout=0 -c lock_timeout=60000"
    " -c idle_in_transaction_session_timeout=0"
)
_BEGIN_WRITE = b"BEGIN; "
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
#: statements go from index to index, whatever the statistics of a young table say
_BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
#: the writer's statements are planned once
_BY_KEY = _BY_INDEX + " -c plan_cache_mode=force_generic_plan"
#: other statements are planned for what they ask, with the statistics of the moment, but in the
#: order in which their joins are written; a bitmap of a user's rows, which lie all over, costs
#: twice what fetching them one by one does
_BY_COST = _BY_INDEX + (
    " -c plan_cache_mode=force_custom_plan -c join_collapse_limit=1"
    " -c enable_bitmapscan=off -c enable_material=off"
)
#: what COPY's text form escapes, the backslash first, and the bytes that it takes at a time
_COPY_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_COPY_SPECIAL = re.compile(r"[\\\t\n\r]").search
_COPY_BYTES = 1 << 18
#: classes of errors after which the connection is of no use: lost, shut down, no longer primary
_LOST = ("08", "57P", "25006")


class PostgresConnection:
    """One connection; a row tells who locked it in ``xmax``, and who wrote it in ``xmin``."""

    lock: ClassVar[str] = " FOR UPDATE"
    row_locks: ClassVar[bool] = True
    lock_free: ClassVar[str] = " FOR UPDATE OF s SKIP LOCKED"
    held: ClassVar[str] = "pg_current_xact_id()::xid IN (s.xmax, s.xmin)"
    lateral: ClassVar[bool] = True

    def __init__(self, url: str, *, by_key: bool = False, patient: bool = False) -> None:
        options = _PATIENT_OPTIONS if patient else _OPTIONS
        try:
            self._db = psycopg2.connect(
                url,
                connect_timeout=CONNECT_SECONDS,
                application_name="imd",
                # As a parameter, which neither the environment nor the URL outdoes: see literal().
                client_encoding="UTF8",
                options=options + (_BY_KEY if by_key else _BY_COST),
                keepalives=1,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=10_000,
            )
        except psycopg2.OperationalError as error:
            raise Broken(f"cannot connect: {type(error).__name__}") from error
        except psycopg2.ProgrammingError:
            raise Broken(UNREADABLE) from None
        self._db.autocommit = True
        self._cursor = self._db.cursor()
        self._opening = b""
        self._waiting: list[bytes] = []
        self._open = False
        #: the names of the statements that this connection has planned
        self._prepared: set[str] = set()

    def begin(self, *, write: bool) -> None:
        self._opening = _BEGIN_WRITE if write else _BEGIN_READ
        self._waiting.clear()

    def commit(self) -> None:
        if not self._open and not self._waiting:
            self._opening = b""
            return
        text = self._opening + b"; ".join([*self._waiting, b"COMMIT"])
        self._opening, self._open = b"", False
        self._waiting.clear()
        try:
            self._cursor.execute(text)
        except psycopg2.Error as error:
            found = _translated(error)
            if isinstance(found, Broken):
                raise CommitUnknown(str(found)) from error
            self._open = True
            raise found from error

    def rollback(self) -> None:
        self._waiting.clear()
        self._opening = b""
        if self._open:
            self._open = False
            try:
                self._cursor.execute("ROLLBACK")
            except psycopg2.Error as error:
                raise Broken(type(error).__name__) from error

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self._execute(sql, params)
        return self._cursor.fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        self._execute(sql, params)
        return self._cursor.fetchone()

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        self._execute(sql, params)
        return self._cursor.rowcount

    def later(self, sql: str, params: Sequence[Any] = ()) -> None:
        self._waiting.append(self._cursor.mogrify(sql, params))

    def rows_of(self, bulk: Bulk, params: Sequence[Row]) -> list[Row]:
        return self.rows(self._planned(bulk, params))

    def later_of(self, bulk: Bulk, params: Sequence[Row]) -> None:
        self._waiting.append(self._planned(bulk, params).encode())

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if not rows:
            return
        if self._opening or self._waiting:
            self._execute("SELECT 1", ())
        # By columns, because a column has mostly one type and nothing to escape.
        texts = [_copied_column(column) for column in zip(*rows, strict=True)]
        lines = "\n".join(map("\t".join, zip(*texts, strict=True))) + "\n"
        try:
            self._cursor.copy_expert(
                f"COPY {table} ({', '.join(columns)}) FROM STDIN",
                io.BytesIO(lines.encode()),
                _COPY_BYTES,
            )
        except psycopg2.Error as error:
            raise _translated(error) from error

    def _planned(self, bulk: Bulk, params: Sequence[Row]) -> str:
        """How to execute the statement, which is planned once for this connection.

        One row has a plan of its own, with values in place of arrays: at light load most batches
        are of one message.
        """
        given: Sequence[Any]
        if len(params) == 1:
            name = self._prepare(bulk, f"{bulk.name}_one", "")
            given = params[0]
        else:
            name = self._prepare(bulk, bulk.name, "[]")
            given = _columns(bulk, params)
        return f"EXECUTE {name} ({', '.join([literal(value) for value in given])})"

    def _prepare(self, bulk: Bulk, name: str, array: str) -> str:
        if name not in self._prepared:
            kinds = [kind + array for kind in bulk.types]
            places = range(1, len(kinds) + 1)
            if array:
                columns = ", ".join(f"column{place}" for place in places)
                table = f"unnest({', '.join(f'${place}' for place in places)}) AS v({columns})"
            else:
                values = ", ".join(f"${place} AS column{place}" for place in places)
                table = f"(SELECT {values}) AS v"
            sql = bulk.sql.replace("{rows}", table)
            try:
                self._cursor.execute(f"PREPARE {name} ({', '.join(kinds)}) AS {sql}")
            except psycopg2.Error as error:
                raise _translated(error) from error
            self._prepared.add(name)
        return name

    def close(self) -> None:
        self._db.close()

    def break_off(self) -> None:
        try:
            copy = socket.socket(fileno=os.dup(self._db.fileno()))
        except (OSError, psycopg2.InterfaceError):
            return  # closed already, which is what was wanted
        try:
            copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was first
        finally:
            copy.close()

    def _execute(self, sql: str, params: Sequence[Any]) -> None:
        """Send a statement, and before it what has waited."""
        text = self._cursor.mogrify(sql, params) if params else sql.encode()
        if self._waiting:
            text = b"; ".join([*self._waiting, text])
            self._waiting.clear()
        if self._opening:
            text = self._opening + text
            self._opening, self._open = b"", True
        try:
            self._cursor.execute(text)
        except psycopg2.Error as error:
            raise _translated(error) from error


def _copied_column(column: Sequence[Any]) -> Sequence[str]:
    """A column's values as the text form of COPY wants them."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return list(map(str, column))
    if kinds == {str} and _COPY_SPECIAL("".join(column)) is None:
        return column
    return list(map(_copied, column))


def _copied(value: Any) -> str:
    """A value as the text form of COPY wants it."""
    if value is None:
        return "\\N"
    if not isinstance(value, str):
        return str(value)
    text = str(value)
    if _COPY_SPECIAL(text) is None:
        return text
    for plain, escaped in _COPY_ESCAPES:
        text = text.replace(plain, escaped)
    return text


def literal(value: str | int | None) -> str:
    """A value as SQL text: a fifth of what it costs to have each adapted by psycopg2.

    A text is safe because nothing but a quote ends it: ``standard_conforming_strings`` is on, and
    the client's encoding is UTF-8, in which no character hides a quote.
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text cannot contain NUL")
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return str(int(value))


def _columns(bulk: Bulk, params: Sequence[Row]) -> list[str]:
    """The rows of parameters turned into an array literal for each column.

    One literal is parsed far quicker than an ARRAY[…] of many.
    """
    columns = zip(bulk.types, zip(*params, strict=True), strict=True)
    return [_array(_quoted if kind == "text" else str, column) for kind, column in columns]


def _array(write: Callable[[Any], str], column: Sequence[Any]) -> str:
    elements = ",".join(["NULL" if value is None else write(value) for value in column])
    return f"{{{elements}}}"


def _quoted(text: str) -> str:
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _translated(error: psycopg2.Error) -> Exception:
    """The engine's own error; text of the statement never goes along."""
    code = error.pgcode or ""
    said = f"{type(error).__name__} {code}".strip()
    if isinstance(error, errors.UniqueViolation):
        name = error.diag.constraint_name or ""
        return Duplicate(name)
    if isinstance(error, psycopg2.InterfaceError) or code.startswith(_LOST):
        return Broken(said)
    if code in (errorcodes.DEADLOCK_DETECTED, errorcodes.SERIALIZATION_FAILURE):
        return Collided(said)
    if isinstance(error, psycopg2.OperationalError):
        return Refused(said) if code else Broken(said)
    if code in (errorcodes.QUERY_CANCELED, errorcodes.LOCK_NOT_AVAILABLE):
        return Refused(said)
    if not code and isinstance(error, psycopg2.DatabaseError) and "server closed" in str(error):
        return Broken(said)
    return error
