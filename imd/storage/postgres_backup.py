"""Copies of a PostgreSQL database, by pg_dump; put back by pg_restore through psql (page 5.3).

A restore is one transaction: the old tables go, the new ones come, the epoch changes and the trail
says so, or nothing of it. ``imdctl`` reads what pg_restore makes of the file and hands it to psql;
COMMIT is sent only when all of it has come, so a kill at any moment leaves the old state.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import psycopg2

from imd.storage.audit import chain_on
from imd.storage.backups import (
    IN_USE,
    SIZE,
    BackupError,
    Manifest,
    Restored,
    check_schema,
    manifest_of,
    note_of,
    written_whole,
)
from imd.storage.engine import values
from imd.storage.migrate import SEARCH_PATH
from imd.storage.postgres_programs import Programs, complaint, looking
from imd.storage.schema import VERSION_TABLE

_DUMP: Final = (
    "--format=custom", "--schema=im", "--no-password", "--lock-wait-timeout=60s",
)  # fmt: skip
_UNPACK: Final = ("--schema=im", "--no-owner", "--no-privileges")
_PSQL: Final = (
    "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse",
    "--output=/dev/null",
)  # fmt: skip
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'imd' AND pid <> pg_backend_pid()"
)
#: whoever still reads the old tables is waited for, but not for ever
_BEGIN: Final = (
    b"BEGIN;\nSET LOCAL lock_timeout = '60s';\n"
    b"DROP SCHEMA IF EXISTS im CASCADE;\nCREATE SCHEMA im;\n"
)
#: where people who run the lines by themselves put what stood there, and how
_BEFORE: Final = "im_before"
_ASIDE: Final = (
    "DO $$ BEGIN IF to_regnamespace('im') IS NOT NULL THEN"
    f" ALTER SCHEMA im RENAME TO {_BEFORE}; END IF; END $$"
)
#: bytes that are handed on at a time
_PIECE: Final = 1 << 20
#: seconds that psql may take to end when it has been told to
_END: Final = 30
_ESCAPES: Final = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def copy(url: str, target: Path, *, force: bool, programs: str | None = None) -> None:
    """Let pg_dump copy the schema ``im`` as it is at one moment, and read the copy through."""
    tools = Programs(url, programs)
    have, need = tools.major("pg_dump"), tools.server_major()
    if have < need:
        raise BackupError(
            f"pg_dump is of version {have}, the server of {need}: pg_dump must not be the older"
        )
    with written_whole(target, force=force) as beside:
        place = f"--dbname={tools.place}"
        tools.run([tools.find("pg_dump"), *_DUMP, f"--file={beside}", place])
        tools.run([tools.find("pg_restore"), "--file=/dev/null", str(beside)])


def commands(url: str, file: Path, programs: str | None = None) -> list[str]:
    """What :func:`copy` would run; the password is left to PGPASSWORD or a password file."""
    tools = Programs(url, programs)
    return [tools.shown("pg_dump", *_DUMP, f"--file={file}", f"--dbname={tools.place}")]


def restore_commands(url: str, file: Path, epoch: str) -> list[str]:
    """The same for :func:`restore`, without its looks: imd must be stopped.

    What stood there is put aside as ``im_before``, and goes when the rest is done.
    """
    tools = Programs(url)
    renew = f"UPDATE im.store SET value = '{epoch}' WHERE name = 'epoch'"
    place = f"--dbname={tools.place}"
    done = (f"--command={renew}", f"--command=DROP SCHEMA IF EXISTS {_BEFORE} CASCADE")
    return [
        tools.shown("psql", *_PSQL, f"--command={_ASIDE}", "--command=CREATE SCHEMA im", place),
        tools.shown("pg_restore", "--single-transaction", *_UNPACK, place, str(file)),
        tools.shown("psql", *_PSQL, "--single-transaction", *done, place),
    ]


def read_manifest(file: Path, programs: str | None = None) -> Manifest:
    """What the backup says of itself; BackupError when it is damaged."""
    tools = Programs("", programs)
    tools.run([tools.find("pg_restore"), "--file=/dev/null", str(file)])
    return manifest(file, programs)


def manifest(file: Path, programs: str | None = None) -> Manifest:
    """What the backup says of itself, without reading it through."""
    return _said(_small_tables(Programs("", programs), file))


def restore(
    url: str, file: Path, *, force: bool, epoch: str, now: int, programs: str | None = None
) -> Restored:
    """Put a backup in the place of the database, all of it or nothing, under a new epoch.

    Its schema stays that of the backup. Raises BackupError, and has then changed nothing.
    """
    tools = Programs(url, programs)
    have, need = tools.major("pg_restore"), tools.server_major()
    if have > need:
        raise BackupError(
            f"pg_restore is of version {have}, the server of {need}, which may not understand it:"
            " name the folder of the server's own programs with --programs"
        )
    tools.find("psql")
    tables = _small_tables(tools, file)
    said = _said(tables)
    check_schema(said)
    with looking(url) as cursor:
        _alone(cursor)
        before = _replaced(cursor, force)
        tail = _tail(tables, said, before, epoch, now)
        trouble = _hand_over(tools, file, cursor, tail)
        if trouble and _epoch(cursor) != epoch:
            raise BackupError(f"nothing was restored: {trouble}")
        cursor.execute(SIZE.replace("FROM ", "FROM im."))
        sessions, messages = cursor.fetchone() or (0, 0)
    return Restored(said, epoch, int(sessions), int(messages))


def check_alone(url: str) -> None:
    """BackupError when imd runs on the database."""
    with looking(url) as cursor:
        _alone(cursor)


# ---- the file


def _small_tables(tools: Programs, file: Path) -> dict[str, list[list[str]]]:
    """The rows of the tables of a few rows, by the table's name."""
    names = ("store", VERSION_TABLE, "audit_end")
    text = tools.run(
        [
            tools.find("pg_restore"), "--data-only", "--schema=im",
            *(f"--table={name}" for name in names), "--file=-", str(file),
        ],
        want=True,
    )  # fmt: skip
    tables: dict[str, list[list[str]]] = {}
    into: list[list[str]] | None = None
    for line in text.split("\n"):
        if line.startswith("COPY im."):
            into = tables.setdefault(line.removeprefix("COPY im.").partition(" ")[0], [])
        elif line == "\\.":
            into = None
        elif into is not None:
            into.append([_plain(word) for word in line.split("\t")])
    return tables


def _plain(word: str) -> str:
    """A value of COPY's text form."""
    pieces = iter(range(len(word)))
    out = []
    for at in pieces:
        pair = word[at : at + 2]
        out.append(_ESCAPES.get(pair, word[at]))
        if pair in _ESCAPES:
            next(pieces)
    return "".join(out)


def _said(tables: dict[str, list[list[str]]]) -> Manifest:
    schema = tables.get(VERSION_TABLE) or [[""]]
    store = {row[0]: row[1] for row in tables.get("store", ())}
    return manifest_of("postgresql", schema[0][0] or None, store)


# ---- the database


def _alone(cursor: Any) -> None:
    cursor.execute(_OTHERS)
    (others,) = cursor.fetchone()
    if others:
        raise BackupError(
            f"imd is running: {others} connections of it are open on this database; stop it first"
        )


def _replaced(cursor: Any, force: bool) -> str | None:
    """The epoch of what stands there, None where nothing does."""
    cursor.execute("SELECT to_regclass('im.store') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return None
    if not force:
        in_use = IN_USE
        for table in ("sessions", "users", "service_keys"):
            in_use = in_use.replace(f"FROM {table}", f"FROM im.{table}")
        cursor.execute(in_use)
        if cursor.fetchone()[0]:
            raise BackupError(
                "the database holds sessions, users or keys; --force replaces all of it"
            )
    return _epoch(cursor)


def _epoch(cursor: Any) -> str | None:
    try:
        cursor.execute("SELECT value FROM im.store WHERE name = 'epoch'")
    except psycopg2.errors.UndefinedTable:
        return None
    found = cursor.fetchone()
    return None if found is None else str(found[0])


def _tail(
    tables: dict[str, list[list[str]]], said: Manifest, before: str | None, epoch: str, now: int
) -> list[tuple[str, tuple[Any, ...]]]:
    """What is done after the rows have come: the new epoch, its note, the way to the tables."""
    ends = tables.get("audit_end")
    if not ends:
        raise BackupError("the file holds no audit trail of imd")
    row = chain_on(int(ends[0][0]), ends[0][1], note_of(said, before, epoch, now))
    return [
        ("UPDATE im.store SET value = %s WHERE name = 'epoch'", (epoch,)),
        (f"INSERT INTO im.audit {values(1, len(row))}", row),
        ("UPDATE im.audit_end SET seq = %s, hash = %s", (row[0], row[-1])),
        (SEARCH_PATH, ()),
    ]


def _hand_over(
    tools: Programs, file: Path, cursor: Any, tail: list[tuple[str, tuple[Any, ...]]]
) -> str:
    """Give psql the whole restore; what it said when it did not end well."""
    last = [cursor.mogrify(sql, given or None) + b";\n" for sql, given in tail]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as unpacked:
        psql = subprocess.Popen(
            [tools.find("psql"), *_PSQL, "--file=-", f"--dbname={tools.place}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=tools.environment,
        )
        assert psql.stdin is not None
        assert psql.stdout is not None
        try:
            psql.stdin.write(_BEGIN)
            _unpack(tools, file, psql.stdin, unpacked)
            psql.stdin.writelines([*last, b"\\echo whole\n"])
            psql.stdin.flush()
            # Until psql has done all of it, COMMIT must not wait in the pipe for it.
            if psql.stdout.readline() != b"whole\n":
                raise BackupError("psql stopped")
            _alone(cursor)
            psql.stdin.write(b"COMMIT;\n")
            psql.stdin.close()
            return "" if psql.wait() == 0 else _words(said) or "psql failed"
        except (BrokenPipeError, BackupError) as error:
            psql.kill()
            psql.wait(_END)
            raise BackupError(f"nothing was restored: {_words(said) or error}") from error
        finally:
            with suppress(BrokenPipeError):
                psql.stdin.close()
            psql.stdout.close()
            if psql.poll() is None:
                psql.kill()
                psql.wait(_END)


def _unpack(tools: Programs, file: Path, into: IO[bytes], said: IO[bytes]) -> None:
    """Write the SQL that the file holds; BackupError when that is not all of it."""
    command = [tools.find("pg_restore"), *_UNPACK, "--file=-", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        env=tools.environment,
    ) as unpacking:  # fmt: skip
        assert unpacking.stdout is not None
        try:
            shutil.copyfileobj(unpacking.stdout, into, _PIECE)
            into.flush()
        except BaseException:
            unpacking.kill()
            raise
    if unpacking.returncode:
        raise BackupError(f"pg_restore: {_words(said) or 'it failed'}")


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    text = said.read()
    return complaint(text) if b"ERROR" in text or b"error" in text or b"FATAL" in text else ""
