"""``imdctl backup``: a whole copy of the database in one file, beside a running server (page 5.3).

:mod:`imd.cli.main` finds it by name. It says in the database what the copy will be, has the copy
made, and shows it; how a copy is made, the storage room knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import imd
from imd.cli.database import clear_errors
from imd.cli.line import CommandFailed, Line

if TYPE_CHECKING:
    from imd.storage.backups import Manifest


@contextmanager
def backup_errors() -> Iterator[None]:
    """Turn what cannot be copied or put back into CommandFailed, in one line."""
    from imd.storage.backups import BackupError

    try:
        with clear_errors():
            yield
    except BackupError as error:
        raise CommandFailed(str(error)) from error


def said(manifest: Manifest) -> dict[str, Any]:
    """A backup's manifest as JSON."""
    return {**manifest._asdict()}


def told(manifest: Manifest) -> str:
    """The same for people."""
    moment = "at an unknown time"
    if manifest.time is not None:
        moment = datetime.fromtimestamp(manifest.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"{manifest.kind}, schema {manifest.schema}, epoch {manifest.epoch},"
        f" by imd {manifest.version or '(not imdctl)'}, {moment}"
    )


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--programs", metavar="DIR", help="Where pg_dump and pg_restore are; else the PATH.")
@click.option(
    "--print", "only_print", is_flag=True, help="PostgreSQL: only print the command line to use."
)
@click.pass_obj
def backup(line: Line, file: Path, force: bool, programs: str | None, only_print: bool) -> None:
    """Copy the database to FILE as it is at one moment, and check the copy.

    The server may run meanwhile. FILE is for its owner alone, and is there whole or not at all.
    """
    from imd.service.clock import SystemClock
    from imd.storage import backups
    from imd.storage.engine import connector, is_sqlite
    from imd.storage.transaction import transact

    url, now = line.settings().database.url, SystemClock().now()
    if only_print:
        _print(line, url, file, programs)
        return
    if is_sqlite(url) and not Path(url.removeprefix("sqlite:///")).exists():
        raise CommandFailed("there is nothing to copy: the database is not there yet")
    with backup_errors():
        if file.exists() and not force:
            raise backups.BackupError(f"{file} exists already; --force replaces it")
        with closing(connector(url)()) as connection:
            transact(connection, lambda tx: backups.announce(tx, imd.__version__, now), write=True)
            _copy(url, file, force, programs)
            transact(connection, lambda tx: backups.finish(tx, SystemClock().now()), write=True)
        manifest = _manifest(url, file, programs)
    size = file.stat().st_size
    value = {"file": str(file), "bytes": size, **said(manifest)}
    line.answer(value, [f"{file}: {size:,} bytes, {told(manifest)}"])


def _print(line: Line, url: str, file: Path, programs: str | None) -> None:
    from imd.storage.engine import is_sqlite

    if is_sqlite(url):
        raise click.UsageError("--print is for PostgreSQL; imdctl itself copies SQLite")
    from imd.storage.postgres_backup import commands

    with backup_errors():
        found = commands(url, file, programs)
    line.answer({"commands": found}, found)


def _copy(url: str, file: Path, force: bool, programs: str | None) -> None:
    from imd.storage.engine import is_sqlite

    if is_sqlite(url):
        from imd.storage import sqlite_backup

        sqlite_backup.copy(url, file, force=force)
        return
    from imd.storage import postgres_backup

    postgres_backup.copy(url, file, force=force, programs=programs)


def _manifest(url: str, file: Path, programs: str | None) -> Manifest:
    """What the new copy says of itself; it has been read through already."""
    from imd.storage.engine import is_sqlite

    if is_sqlite(url):
        from imd.storage import sqlite_backup

        return sqlite_backup.manifest(file)
    from imd.storage import postgres_backup

    return postgres_backup.manifest(file, programs)
