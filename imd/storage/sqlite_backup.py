"""Copies of an SQLite database: made while the server runs, put back when it does not (page 5.3).

A copy is one snapshot, by SQLite's own backup. To put one back, a new file is made ready beside the
old one and takes its name while an exclusive lock is held on the old one; whoever opened that
meanwhile finds that it lost its name (:mod:`imd.storage.sqlite`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from imd.storage.backups import (
    IN_USE,
    SIZE,
    BackupError,
    Manifest,
    Restored,
    begin_life,
    check_schema,
    manifest_of,
    note_of,
    sync,
    written_whole,
)
from imd.storage.engine import Broken, Refused, connector
from imd.storage.schema import HEAD, VERSION_TABLE
from imd.storage.transaction import transact

#: seconds that somebody may take to end a transaction, or to close the file
_PATIENCE: Final = 2.0
#: what SQLite may leave beside a file
_BESIDE: Final = ("-wal", "-shm", "-journal")


def path_of(url: str) -> Path:
    """The file of ``database.url``."""
    return Path(url.removeprefix("sqlite:///"))


def copy(url: str, target: Path, *, force: bool) -> None:
    """Copy the database as it is at one moment, and check the copy; nobody has to wait."""
    source = path_of(url)
    if target.absolute() == source.absolute():
        raise BackupError(f"{target} is the database itself")
    with written_whole(target, force=force) as beside:
        _copy(source, beside)
        _check(beside, target)


def read_manifest(file: Path) -> Manifest:
    """What the backup says of itself; BackupError when it is damaged."""
    _check(file, file)
    return manifest(file)


def restore(url: str, file: Path, *, force: bool, migrate: bool, epoch: str, now: int) -> Restored:
    """Put a backup in the place of the database, all of it or nothing, under a new epoch.

    ``force`` replaces a database that holds something; ``migrate`` brings the schema up to date.
    Raises BackupError, and has then changed nothing.
    """
    target = path_of(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    ready = target.with_name(target.name + ".restoring")
    with _sole(target.parent):
        try:
            _clear(ready)
            os.close(os.open(ready, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _copy(file, ready)
            _check(ready, file)
            said = manifest(ready)
            check_schema(said)
            with _alone(target, force) as before:
                restored = _prepare(ready, said, before, migrate, epoch, now)
                _like(target, ready)
                sync(ready)
                ready.replace(target)
                sync(target.parent)
        except OSError as error:
            why = error.strerror or error
            raise BackupError(f"{target} cannot be written: {why}") from error
        finally:
            _clear(ready)
    return restored


@contextmanager
def _sole(folder: Path) -> Iterator[None]:
    """BackupError while another restore works in this folder: both would use one file."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another restore is under way in {folder}") from None
        yield
    finally:
        os.close(opened)


def check_alone(url: str) -> None:
    """BackupError when somebody has the database open."""
    with _alone(path_of(url), force=True):
        pass


def _prepare(
    ready: Path, said: Manifest, before: str | None, migrate: bool, epoch: str, now: int
) -> Restored:
    """Begin the new life in the file that will be the database."""
    url = f"sqlite:///{ready}"
    if migrate and said.schema != HEAD:
        from imd.storage.migrate import upgrade

        upgrade(url)
    try:
        with closing(connector(url)()) as connection:
            note = note_of(said, before, epoch, now)
            transact(connection, lambda tx: begin_life(tx, epoch, note), write=True)
            found = transact(connection, lambda tx: tx.connection.row(SIZE), write=False)
    except (Broken, Refused) as error:
        raise BackupError(f"{ready} cannot be written: {error}") from error
    _settle(ready)
    sessions, messages = found or (0, 0)
    return Restored(said, epoch, sessions, messages)


def _copy(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as running,
            closing(sqlite3.connect(target)) as made,
        ):
            running.backup(made)
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}") from error
    _settle(target)


def _settle(file: Path) -> None:
    """Leave all of a database in its one file."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as made:
            made.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{file} cannot be written: {error}") from error


def _check(file: Path, called: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            found = opened.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{called} is damaged: {error}") from error
    if found != ("ok",):
        raise BackupError(f"{called} is damaged: {found[0]}")


def manifest(file: Path) -> Manifest:
    """What the backup says of itself, without reading it through."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            schema = opened.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
            store = dict(opened.execute("SELECT name, value FROM store").fetchall())
    except sqlite3.Error as error:
        raise BackupError(f"{file} holds no database of imd") from error
    return manifest_of("sqlite", schema and str(schema[0]), store)


@contextmanager
def _alone(target: Path, force: bool) -> Iterator[str | None]:
    """Hold the old database so that nobody else can open it; its epoch, None where none is.

    BackupError when somebody has it open, or when it holds something and ``force`` is not given.
    """
    if not target.exists():
        _clear(target)
        yield None
        return
    with closing(sqlite3.connect(target, timeout=_PATIENCE, isolation_level=None)) as old:
        try:
            epoch = _held(old, target, force)
        except sqlite3.OperationalError as error:
            raise BackupError(
                f"{target} is in use ({error}): stop imd, and whatever else has it open"
            ) from error
        except sqlite3.DatabaseError as error:
            if not force:
                raise BackupError(f"{target} is damaged ({error}); --force replaces it") from error
            epoch = None
            for ending in _BESIDE:
                target.with_name(target.name + ending).unlink(missing_ok=True)
        yield epoch


def _held(old: sqlite3.Connection, target: Path, force: bool) -> str | None:
    # Only who is alone with the file can end WAL, which also empties and removes the WAL.
    old.execute("PRAGMA journal_mode = DELETE").fetchone()
    old.execute("BEGIN EXCLUSIVE")
    there = old.execute(f"SELECT count(*) FROM sqlite_master WHERE name = '{VERSION_TABLE}'")
    if not there.fetchone()[0]:
        if old.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] and not force:
            raise BackupError(f"{target} holds another program's tables; --force replaces it")
        return None
    if not force and old.execute(IN_USE).fetchone()[0]:
        raise BackupError(f"{target} holds sessions, users or keys; --force replaces all of it")
    found = old.execute("SELECT value FROM store WHERE name = 'epoch'").fetchone()
    return found and str(found[0])


def _like(old: Path, new: Path) -> None:
    """Give the new file the owner and the mode of the old one, or the owner of its folder."""
    there = old if old.exists() else old.parent
    state = there.stat()
    if os.geteuid() == 0:
        os.chown(new, state.st_uid, state.st_gid)
    new.chmod(state.st_mode & 0o777 if there is old else 0o600)


def _clear(file: Path) -> None:
    """Remove what a former run left, and what belongs to a file that is not there."""
    for ending in ("", *_BESIDE):
        file.with_name(file.name + ending).unlink(missing_ok=True)
