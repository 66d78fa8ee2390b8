"""The database as commands use it: at once, beside a running server, with errors of one line.

Command modules that read or change stored things enter :func:`transaction`. It refuses to know
what they do there, and loads no driver before a command needs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imd.cli.line import CommandFailed
from imd.config import Settings

if TYPE_CHECKING:
    from imd.storage.transaction import Transaction


def one_line(error: BaseException) -> str:
    """The first line of what an exception says, or its kind."""
    words = str(error).strip().splitlines()
    return words[0] if words else type(error).__name__


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what the database cannot do into CommandFailed (status 1)."""
    from imd.storage.engine import StorageError
    from imd.storage.schema import SchemaError

    try:
        yield
    except (StorageError, SchemaError, OSError) as error:
        raise CommandFailed(f"database: {one_line(error)}") from error


def make_folder(url: str) -> None:
    """Make the folder of an SQLite file, as the server does at its start."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def transaction(settings: Settings, *, write: bool = True) -> Iterator[Transaction]:
    """One transaction on the configured database, committed when the block ends well.

    Without ``write`` it is one snapshot, and holds up nobody who writes meanwhile.
    The schema is brought up to date first when ``database.auto_migrate`` is on (page 5.2).
    Raises CommandFailed with what is wrong.
    """
    from imd.storage.store import sync_transaction

    with clear_errors():
        prepared(settings)
        with sync_transaction(settings.database.url, write=write) as tx:
            yield tx


def needs_schema(settings: Settings) -> bool:
    """Whether the database is still empty, or not even there; it is only looked at.

    Raises CommandFailed for one with a schema that is not up to date: what it holds cannot be read.
    """
    from imd.storage import migrate
    from imd.storage.engine import is_sqlite

    url = settings.database.url
    if is_sqlite(url) and not _begun(Path(url.removeprefix("sqlite:///"))):
        return True
    standing = migrate.current(url)
    if standing not in (None, migrate.HEAD):
        said = f"the schema is {standing}, not {migrate.HEAD}: imdctl migrate"
        raise CommandFailed(said)
    return standing is None


def _begun(file: Path) -> bool:
    """Whether an SQLite file has anything in it; opening an empty one would write to it."""
    return file.exists() and file.stat().st_size > 0


def prepared(settings: Settings) -> None:
    """See that the schema is there and up to date, where ``database.auto_migrate`` allows it.

    Raises CommandFailed where it does not.
    """
    from imd.storage import migrate

    url = settings.database.url
    make_folder(url)
    standing = migrate.current(url)
    if standing != migrate.HEAD:
        if not settings.database.auto_migrate:
            raise CommandFailed(
                f"the schema is {standing or 'missing'}, not {migrate.HEAD}: imdctl migrate"
            )
        migrate.upgrade(url)
