"""SQLite as imd uses it: WAL, synchronous=FULL, explicit transactions.

A write begins with BEGIN IMMEDIATE, because a deferred one that reads first can fail at once when
another writer comes in between. The store gives all writes to one thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from imd.storage.engine import Broken, Bulk, Duplicate, Refused, Row, values

BUSY_SECONDS = 5.0
#: seconds between two attempts to turn a file to WAL
_PAUSE = 0.02


def _enter_wal(db: sqlite3.Connection) -> None:
    """Turn the file to WAL, which stays; where others open a new file too, one turns it first.

    SQLite does not wait for its busy timeout here, so this does.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2048)
def _translated(sql: str) -> str:
    return sql.replace("%s", "?")


@lru_cache(maxsize=1024)
def _bulk(sql: str, rows: int, columns: int) -> str:
    return sql.replace("{rows}", f"({values(rows, columns)}) AS v")


def _marks(columns: int) -> str:
    return f"({', '.join('?' * columns)})"


def _spread(bulk: Bulk, params: Sequence[Row]) -> tuple[str, list[Any]]:
    sql = _bulk(bulk.sql, len(params), len(bulk.types))
    return sql, [value for row in params for value in row]


class SqliteConnection:
    """One connection to a database file; ``lock`` clauses are empty, see BEGIN IMMEDIATE."""

    lock: ClassVar[str] = ""
    row_locks: ClassVar[bool] = False
    lock_free: ClassVar[str] = ""
    held: ClassVar[str] = "1"
    lateral: ClassVar[bool] = False

    def __init__(self, path: str) -> None:
        before = _inode(path)
        try:
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _enter_wal(self._db)
            if before is not None and _inode(path) != before:
                # A restore put another file in its place while this waited for its lock.
                self._db.close()
                raise Broken("the database file was replaced")
            for pragma in ("synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
                self._db.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise Broken(f"cannot open the database file: {error}") from error

    def begin(self, *, write: bool) -> None:
        self._execute("BEGIN IMMEDIATE" if write else "BEGIN", ())

    def commit(self) -> None:
        self._execute("COMMIT", ())

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._execute("ROLLBACK", ())

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._execute(sql, params).fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        found: Row | None = self._execute(sql, params).fetchone()
        return found

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        return self._execute(sql, params).rowcount

    def later(self, sql: str, params: Sequence[Any] = ()) -> None:
        self._execute(sql, params)

    def rows_of(self, bulk: Bulk, params: Sequence[Row]) -> list[Row]:
        return self._execute(*_spread(bulk, params)).fetchall()

    def later_of(self, bulk: Bulk, params: Sequence[Row]) -> None:
        self._execute(*_spread(bulk, params))

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_marks(len(columns))}"
        try:
            self._db.executemany(sql, rows)
        except sqlite3.IntegrityError as error:
            raise Duplicate(str(error)) from error
        except sqlite3.OperationalError as error:
            raise Refused(str(error)) from error

    def close(self) -> None:
        self._db.close()

    def break_off(self) -> None:
        self._db.interrupt()

    def pragma(self, name: str) -> Any:
        """The value of a setting, for the check of durability at start."""
        found = self.row(f"PRAGMA {name}")
        return found[0] if found else None

    def _execute(self, sql: str, params: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._db.execute(_translated(sql), params)
        except sqlite3.IntegrityError as error:
            raise Duplicate(str(error)) from error
        except sqlite3.OperationalError as error:
            raise Refused(str(error)) from error
        except sqlite3.ProgrammingError as error:
            if "closed" in str(error):
                raise Broken(str(error)) from error
            raise
