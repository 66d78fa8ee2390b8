"""Originals and targets for the ledger's tests: each kind of source, each kind of target."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mariadb_server import MariadbServer, NoMariadb
from tests.storage.ground import migrated_postgres, migrated_sqlite, postgres_copy, sqlite_copy

__all__ = ["migrated_postgres", "migrated_sqlite", "postgres_copy", "sqlite_copy"]


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A real MariaDB; without one, what it would have shown stays unknown, and that is said."""
    try:
        server = MariadbServer().start()
    except NoMariadb as missing:
        pytest.skip(f"NOT TESTED: {missing}")
    yield server
    server.stop()


def source_of(kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database to build an original in."""
    if kind == "mysql":
        url: str = request.getfixturevalue("mariadb_server").create_database()
        return url
    if kind == "postgres":
        made: str = request.getfixturevalue("postgres_server").create_database()
        return made
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/original.db"


@pytest.fixture(params=["mysql-postgres", "postgres-sqlite", "sqlite-postgres", "mysql-sqlite"])
def ways(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An empty source and a migrated target: a test that takes this runs once for each pair."""
    source, _, target = request.param.partition("-")
    return source_of(source, request), request.getfixturevalue(f"{target}_copy")


@pytest.fixture(params=["sqlite", "postgres"])
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An empty SQLite source, and each kind of target."""
    return source_of("sqlite", request), request.getfixturevalue(f"{request.param}_copy")
