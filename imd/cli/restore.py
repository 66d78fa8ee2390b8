"""``imdctl restore``: a backup in the place of the database, under a new epoch (page 5.3).

:mod:`imd.cli.main` finds it by name. It picks what the file is of and shows what came of it; how a
copy is put back, all of it or nothing, the storage room knows.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imd.cli.backup import backup_errors, said, told
from imd.cli.database import one_line
from imd.cli.line import CommandFailed, Line
from imd.config import Settings

if TYPE_CHECKING:
    from imd.storage.backups import Manifest, Restored


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--check", is_flag=True, help="Only read FILE through, and say what it is.")
@click.option("--force", is_flag=True, help="Replace a database that holds something.")
@click.option("--programs", metavar="DIR", help="Where pg_restore and psql are; else the PATH.")
@click.option(
    "--print", "only_print", is_flag=True, help="PostgreSQL: only print the command lines to use."
)
@click.option(
    "--done-otherwise",
    is_flag=True,
    help="Without FILE: the database was put back by other means; only give it a new epoch.",
)
@click.pass_obj
def restore(
    line: Line,
    file: Path | None,
    check: bool,
    force: bool,
    programs: str | None,
    only_print: bool,
    done_otherwise: bool,
) -> None:
    """Put the backup FILE in the place of the database, all of it or nothing.

    imd must be stopped. The store gets a new epoch, so that clients load anew what they show.
    """
    if (file is None) != done_otherwise:
        raise click.UsageError("give a FILE, or --done-otherwise, and not both")
    if sum((check, only_print, done_otherwise)) > 1:
        raise click.UsageError("--check, --print and --done-otherwise do not go together")
    settings = line.settings()
    if file is None:
        _renew(line, settings)
    elif check:
        with backup_errors():
            manifest = _read(file, programs)
        line.answer({"file": str(file), **said(manifest)}, [f"{file} is whole: {told(manifest)}"])
    elif only_print:
        _print(line, settings, file)
    else:
        with backup_errors():
            restored = _restore(settings, file, force, programs)
        _tell(line, restored)


def _read(file: Path, programs: str | None) -> Manifest:
    from imd.storage.backups import check_schema, kind_of

    if kind_of(file) == "sqlite":
        from imd.storage import sqlite_backup

        manifest = sqlite_backup.read_manifest(file)
    else:
        from imd.storage import postgres_backup

        manifest = postgres_backup.read_manifest(file, programs)
    check_schema(manifest)
    return manifest


def _restore(settings: Settings, file: Path, force: bool, programs: str | None) -> Restored:
    from imd.service.clock import SystemClock
    from imd.storage.backups import BackupError, kind_of
    from imd.storage.engine import is_sqlite
    from imd.storage.schema import HEAD

    url, epoch, now = settings.database.url, secrets.token_hex(16), SystemClock().now()
    kind = kind_of(file)
    if (kind == "sqlite") != is_sqlite(url):
        raise BackupError(f"{file} is of {kind}, database.url is not")
    migrate = settings.database.auto_migrate
    if kind == "sqlite":
        from imd.storage import sqlite_backup

        return sqlite_backup.restore(url, file, force=force, migrate=migrate, epoch=epoch, now=now)
    from imd.storage import postgres_backup

    restored = postgres_backup.restore(
        url, file, force=force, epoch=epoch, now=now, programs=programs
    )
    if migrate and restored.manifest.schema != HEAD:
        _migrate(url)
    return restored


def _migrate(url: str) -> None:
    from imd.storage.migrate import upgrade

    try:
        upgrade(url)
    except Exception as error:
        # The migration library's and the drivers' own errors, which have no common root.
        raise CommandFailed(
            f"restored, but its schema is not up to date: {one_line(error)}; imdctl migrate"
        ) from error


def _tell(line: Line, restored: Restored) -> None:
    value = {
        "backup": said(restored.manifest),
        "epoch": restored.epoch,
        "sessions": restored.sessions,
        "messages": restored.messages,
    }
    words = [
        f"restored {restored.sessions:,} sessions with {restored.messages:,} messages:"
        f" {told(restored.manifest)}",
        f"the new epoch is {restored.epoch}; clients load anew what they show",
    ]
    line.answer(value, words)


def _print(line: Line, settings: Settings, file: Path) -> None:
    from imd.storage.engine import is_sqlite

    url = settings.database.url
    if is_sqlite(url):
        raise click.UsageError("--print is for PostgreSQL; imdctl itself restores SQLite")
    from imd.storage.postgres_backup import restore_commands

    with backup_errors():
        found = restore_commands(url, file, secrets.token_hex(16))
    line.answer({"commands": found}, found)


def _renew(line: Line, settings: Settings) -> None:
    """Begin a new life of a store that point-in-time recovery or a snapshot brought back."""
    from imd.service.clock import SystemClock
    from imd.storage import backups, postgres_backup, sqlite_backup
    from imd.storage.engine import connector, is_sqlite
    from imd.storage.transaction import transact

    url, epoch = settings.database.url, secrets.token_hex(16)
    sqlite = is_sqlite(url)
    if sqlite and not sqlite_backup.path_of(url).exists():
        raise CommandFailed("there is no database")
    note = backups.note_of(None, None, epoch, SystemClock().now())
    with backup_errors():
        (sqlite_backup if sqlite else postgres_backup).check_alone(url)
        with closing(connector(url)()) as connection:
            transact(connection, lambda tx: backups.begin_life(tx, epoch, note), write=True)
    line.answer({"epoch": epoch}, [f"the new epoch is {epoch}; clients load anew what they show"])
