"""Looks at what is kept: the database, its schema and durability, its clock, disks, backups.

:mod:`imd.cli.doctor_check` calls them. They change nothing, a missing schema included.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imd.cli.findings import Examined, Finding, drift, fail, ok, warn

if TYPE_CHECKING:
    from imd.storage.engine import Connection
    from imd.storage.transaction import Transaction

_MIB: Final = 1 << 20
#: bytes of free disk under which it is time to act, and under which it is late
_LITTLE, _NOTHING = 2048 * _MIB, 256 * _MIB
#: ms after which a backup is old
_DAY: Final = 86_400_000
_OLD: Final = 2 * _DAY
#: the oldest PostgreSQL that imd's statements run on
_OLDEST: Final = 13


def database(examined: Examined) -> Iterator[Finding]:
    """Reachable, of this schema, durable, with a clock like ours, copied not long ago."""
    from imd.storage.engine import StorageError, connector, is_sqlite

    url = examined.settings.database.url
    if is_sqlite(url) and not Path(url.removeprefix("sqlite:///")).exists():
        yield warn("database", "the file is not there yet", "start imd once, or imdctl migrate")
        return
    try:
        begun = time.monotonic()
        with closing(connector(url)()) as connection:
            from imd.storage.transaction import Transaction

            connection.begin(write=False)
            transaction = Transaction(connection)
            connection.row("SELECT 1")
            passed = (time.monotonic() - begun) * 1000
            yield ok("database", f"{_version(connection)} answers, {passed:.0f} ms to connect")
            yield from _inside(examined, transaction)
            connection.rollback()
    except StorageError as error:
        yield fail("database", str(error), "see that it runs and that database.url is right")


def _version(connection: Connection) -> str:
    if connection.row_locks:
        found = connection.row("SHOW server_version")
        return f"PostgreSQL {found[0] if found else '?'}"
    found = connection.row("SELECT sqlite_version()")
    return f"SQLite {found[0] if found else '?'}"


def _inside(examined: Examined, transaction: Transaction) -> Iterator[Finding]:
    from imd.storage.schema import HEAD, SchemaError, version_of
    from imd.storage.store import unsafe

    connection = transaction.connection
    if connection.row_locks:
        found = connection.row("SHOW server_version_num")
        major = int(found[0]) // 10_000 if found else 0
        if major < _OLDEST:
            yield fail(
                "database version", f"PostgreSQL {major}", f"upgrade it to {_OLDEST} or later"
            )
    settings = unsafe(transaction)
    if settings:
        yield fail("durability", "; ".join(settings), "turn it on, or messages may be lost")
    else:
        yield ok("durability", "what is acknowledged survives a power cut")
    if connection.row_locks:
        yield _clock(examined, connection)
    try:
        schema = version_of(connection)
    except SchemaError as error:
        yield fail("schema", str(error), "install the newer program")
        return
    if schema != HEAD:
        todo = "imdctl migrate, or start imd with database.auto_migrate"
        yield warn("schema", f"{schema or 'none'}, this program has {HEAD}", todo)
        if schema is None:
            return
    else:
        yield ok("schema", HEAD)
    yield _backup(examined, transaction)


def _clock(examined: Examined, connection: Connection) -> Finding:
    before = examined.now()
    found = connection.row("SELECT extract(epoch FROM clock_timestamp()) * 1000")
    here = (before + examined.now()) / 2
    return drift("clock and database", here - float(found[0] if found else here), "the database's")


def _backup(examined: Examined, transaction: Transaction) -> Finding:
    from imd.storage.backups import last_done

    done = last_done(transaction)
    todo = "imdctl backup FILE, by a timer (docs/guides/backup.md)"
    if done is None:
        return warn("backup", "imdctl has made none", todo)
    age = examined.now() - done
    seen = f"the last was {age / _DAY:.1f} days ago"
    return ok("backup", seen) if age < _OLD else warn("backup", seen, todo)


def disk(examined: Examined) -> Iterator[Finding]:
    """Room where imd itself writes."""
    from imd.storage.engine import is_sqlite

    url = examined.settings.database.url
    places = {"disk of the state directory": examined.settings.state_dir}
    if is_sqlite(url):
        places["disk of the database"] = Path(url.removeprefix("sqlite:///")).parent
    seen: set[int] = set()
    for name, folder in places.items():
        if not folder.exists():
            yield warn(name, f"{folder} is not there yet", "imd makes it at its first start")
            continue
        device = folder.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield _room(name, folder)


def _room(name: str, folder: Path) -> Finding:
    room = shutil.disk_usage(folder)
    seen = f"{room.free // _MIB:,} MiB free of {room.total // _MIB:,} at {folder}"
    todo = "make room: without it nothing can be stored"
    if room.free < _NOTHING:
        return fail(name, seen, todo)
    return warn(name, seen, todo) if room.free < _LITTLE else ok(name, seen)
