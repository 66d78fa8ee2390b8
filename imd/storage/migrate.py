"""Brings a database to the present schema, one process at a time (page 5.2).

The store calls :func:`upgrade` at start when allowed to; ``imdctl migrate`` calls all of it.
Steps run in one transaction under a lock, so a kill leaves either the old schema or the new one.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imd.storage.engine import connector, is_sqlite
from imd.storage.schema import HEAD, SchemaError, version_of

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["HEAD", "SchemaError", "current", "print_sql", "upgrade"]

#: seconds that the steps may take before a start is given up
_PATIENCE = 3600
#: names the lock among the advisory locks of a PostgreSQL database
_LOCK = 0x696D64
#: what :func:`_set_search_path` does, for a database whose name is not known here
SEARCH_PATH = """
DO $$ BEGIN
    IF pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER')
    THEN
        EXECUTE format('ALTER DATABASE %I SET search_path = im, public', current_database());
    END IF;
END $$;
"""


def current(url: str) -> str | None:
    """The schema step of the database, None when it is empty."""
    with closing(connector(url)()) as connection:
        connection.begin(write=False)
        try:
            return version_of(connection)
        finally:
            connection.rollback()


def upgrade(url: str, to: str = HEAD) -> list[str]:
    """Run what is missing up to step ``to``; the steps that were run, oldest first."""
    from alembic import command
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    before = current(url)
    engine = create_engine(_sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        if is_sqlite(url):
            connection.exec_driver_sql("PRAGMA busy_timeout = 60000")
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS im"))
            connection.execute(text("SET LOCAL search_path = im, public"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        if not is_sqlite(url):
            _set_search_path(connection)
        connection.commit()
    engine.dispose()
    after = current(url)
    return [] if before == after else [step for step in (after,) if step]


def upgrade_apart(url: str) -> None:
    """Run :func:`upgrade` in a process of its own.

    A server would otherwise carry the migration library, a third of its memory, for its whole
    life. Raises SchemaError with the last line of what went wrong.
    """
    command = [sys.executable, "-m", "imd.storage.migrate"]
    done = subprocess.run(command, input=url, capture_output=True, text=True, timeout=_PATIENCE)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise SchemaError(f"The schema could not be brought up to date: {said}")


def print_sql(url: str, to: str = HEAD) -> str:
    """The SQL of all steps up to ``to``, for a database administrator to read and run."""
    from alembic import command

    out = io.StringIO()
    config = _config()
    config.output_buffer = out
    config.set_main_option("sqlalchemy.url", "sqlite://" if is_sqlite(url) else "postgresql://")
    if not is_sqlite(url):
        out.write("CREATE SCHEMA IF NOT EXISTS im;\nSET search_path = im, public;\n\n")
    command.upgrade(config, to, sql=True)
    if not is_sqlite(url):
        out.write(SEARCH_PATH)
    return out.getvalue()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _sqlalchemy_url(url: str) -> str:
    if is_sqlite(url):
        return "sqlite:///" + url.removeprefix("sqlite:///")
    return "postgresql+psycopg2://" + url.split("://", 1)[1]


def _set_search_path(connection: Any) -> None:
    """Let the seed's queries find the tables without a schema name (page 1.3).

    Only the owner of the database may; where imd is not, the administrator does it.
    """
    from sqlalchemy import text

    owner = text(
        "SELECT current_database(), pg_has_role(datdba, 'MEMBER') FROM pg_database"
        " WHERE datname = current_database()"
    )
    name, allowed = connection.execute(owner).one()
    if allowed:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(text(f"ALTER DATABASE {quoted} SET search_path = im, public"))


if __name__ == "__main__":
    upgrade(sys.stdin.read())
