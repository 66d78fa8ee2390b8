"""What a backup is, whichever database it is of: a file, and what it says of itself (page 5.3).

``imdctl backup`` and ``imdctl restore`` use it beside ``sqlite_backup`` and ``postgres_backup``,
which make the files and put them back. What a backup says of itself lies in the database that it
holds, so it cannot be parted from it. Nothing here knows what the messages are.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from imd.domain.audit import OPERATOR, Act, Note
from imd.storage.schema import HEAD, KNOWN, version_of
from imd.storage.transaction import Transaction

Kind = Literal["sqlite", "postgresql"]

#: names in ``store`` of what a copy says of itself, and of when the last one was whole
MANIFEST: Final = "backup"
DONE: Final = "backup_done"
#: what the audit trail calls the whole database
WHOLE: Final = "database"
#: how the files of the databases begin
_BEGINNINGS: Final[dict[bytes, Kind]] = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}


class BackupError(Exception):
    """It cannot be copied or put back; the sentence says why and what to do."""


class Manifest(NamedTuple):
    """What a backup says of itself; ``version`` and ``time`` (ms) only where imdctl made it."""

    kind: Kind
    schema: str
    epoch: str
    version: str | None = None
    time: int | None = None


class Restored(NamedTuple):
    """What stands in the database after a restore."""

    manifest: Manifest
    epoch: str
    sessions: int
    messages: int


def kind_of(file: Path) -> Kind:
    """Which database the file is a backup of; BackupError when it is none."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(16)
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from error
    for beginning, kind in _BEGINNINGS.items():
        if begins.startswith(beginning):
            return kind
    raise BackupError(f"{file} is no backup: neither an SQLite file nor of pg_dump's custom format")


def manifest_of(kind: Kind, schema: str | None, store: dict[str, str]) -> Manifest:
    """What the backup says of itself, from the rows of ``store`` in it."""
    epoch = store.get("epoch")
    if schema is None or epoch is None:
        raise BackupError("the file holds no database of imd")
    said = json.loads(store.get(MANIFEST, "{}"))
    return Manifest(kind, schema, epoch, said.get("version"), said.get("time"))


def check_schema(manifest: Manifest) -> None:
    """BackupError for a backup that a newer program made."""
    if manifest.schema not in KNOWN:
        raise BackupError(
            f"the backup has schema {manifest.schema}, newer than the {HEAD} that this program"
            " knows: restore it with the newer program"
        )


# ---- rows of the database


def announce(transaction: Transaction, version: str, now: int) -> None:
    """Say in the database what the copy that is made next will be, and note it.

    Works on any schema that this program knows; BackupError where there is none.
    """
    schema = version_of(transaction.connection)
    if schema is None:
        raise BackupError("there is nothing to copy: the database is empty")
    _put(transaction, MANIFEST, json.dumps({"version": version, "time": now}))
    detail: dict[str, object] = {"version": version, "schema": schema}
    transaction.audit.note(Note(now, OPERATOR, Act.BACKUP_MADE, WHOLE, detail))


def finish(transaction: Transaction, now: int) -> None:
    """The copy is whole; what looks after the service reads it."""
    _put(transaction, DONE, str(now))


def last_done(transaction: Transaction) -> int | None:
    """When the last whole copy was made, in ms; None for never."""
    found = transaction.connection.row("SELECT value FROM store WHERE name = %s", (DONE,))
    return None if found is None else int(found[0])


def _put(transaction: Transaction, name: str, value: str) -> None:
    transaction.connection.run(
        "INSERT INTO store (name, value) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def begin_life(transaction: Transaction, epoch: str, note: Note) -> None:
    """Give the store a new epoch, so that clients forget what they remember of it (page 3.2)."""
    transaction.connection.run("UPDATE store SET value = %s WHERE name = 'epoch'", (epoch,))
    transaction.audit.note(note)


def note_of(manifest: Manifest | None, before: str | None, epoch: str, now: int) -> Note:
    """The note of a restore; ``before`` is the epoch of what stood there, if anything did."""
    detail: dict[str, object] = {"epoch": epoch, "replaced": before}
    if manifest is not None:
        detail |= {"backup_epoch": manifest.epoch, "backup_time": manifest.time}
    return Note(now, OPERATOR, Act.RESTORED, WHOLE, detail)


#: whether there is anything that a restore would take away
IN_USE: Final = (
    "SELECT EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM users)"
    " OR EXISTS (SELECT 1 FROM service_keys)"
)
#: how many sessions and messages there are; of some logs retention has deleted the beginning
SIZE: Final = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM messages)"


# ---- files


@contextmanager
def written_whole(target: Path, *, force: bool) -> Iterator[Path]:
    """A file beside ``target``, for the owner alone, that takes its place when the block ends well.

    BackupError when something stands there and ``force`` does not say that it may go.
    """
    if target.exists() and not force:
        raise BackupError(f"{target} exists already; --force replaces it")
    beside = target.with_name(target.name + ".part")
    try:
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            yield beside
            sync(beside)
            _place(beside, target, force)
        finally:
            beside.unlink(missing_ok=True)
        sync(target.parent)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror or error}") from error


def _place(beside: Path, target: Path, force: bool) -> None:
    if force:
        beside.replace(target)
        return
    try:
        os.link(beside, target)
    except FileExistsError as error:
        raise BackupError(f"{target} exists already; --force replaces it") from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP) or target.exists():
            raise
        # A file system without hard links, such as that of a memory stick.
        beside.rename(target)


def sync(path: Path) -> None:
    """See that a file, or the names in a folder, would survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
