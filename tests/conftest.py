"""Fixtures that every test may use: databases, and an eye on errors that nobody handled.

Servers come from :mod:`tests.servers`; fixtures of one room live in that room's own conftest.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import provider

from tests.places import fast_folder
from tests.redis_server import NoRedis, RedisServer
from tests.servers import NoPostgres, PostgresServer

# Servers are started a thousand times: what they import is compiled once, whoever forbade that.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Read by pytest when the first folder is asked for.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(fast_folder()))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's PostgreSQL; tests that stop or pause it start a PostgresServer of their own."""
    server = PostgresServer()
    try:
        server.start()
    except NoPostgres as error:
        pytest.skip(f"POSTGRESQL IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The run's Redis; tests that stop or pause it start a RedisServer of their own."""
    server = RedisServer()
    try:
        server.start()
    except NoRedis as error:
        pytest.skip(f"REDIS IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture
def breakable_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, to kill and to freeze."""
    server = RedisServer()
    if not server.ours:
        pytest.skip("NOT TESTED: Redis is not ours to break (IMD_TEST_REDIS_URL is set)")
    try:
        server.start()
    except NoRedis as error:
        pytest.skip(f"REDIS IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture
def breakable_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to stop and to freeze."""
    server = PostgresServer()
    if not server.ours:
        pytest.skip("NOT TESTED: PostgreSQL is not ours to break (IMD_TEST_DATABASE_URL is set)")
    try:
        server.start()
    except NoPostgres as error:
        pytest.skip(f"POSTGRESQL IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database of the test's own; the file does not exist yet."""
    return f"sqlite:///{tmp_path / 'imd.db'}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn: a test that takes this runs twice."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def _is_unhandled(event: LogEvent) -> bool:
    return (
        event.get("log_level") is LogLevel.critical
        and "unhandled error" in formatEvent(event).lower()
    )


@pytest.fixture(scope="module")
def _collected() -> Iterator[list[LogEvent]]:
    """Collect garbage once a module, so that no Deferred hides an error in a cycle."""
    events: list[LogEvent] = []
    yield events
    gc.collect()
    _fail_on(events)


@pytest.fixture(autouse=True)
def unhandled_errors(_collected: list[LogEvent]) -> Iterator[list[LogEvent]]:
    """Fail a test during which Twisted logged an unhandled error; a test may clear the list."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if _is_unhandled(event):
            _collected.append(event)

    globalLogPublisher.addObserver(observe)
    yield _collected
    globalLogPublisher.removeObserver(observe)
    _fail_on(_collected)


def _fail_on(events: list[LogEvent]) -> None:
    if not events:
        return
    texts = []
    for event in events:
        failure = event.get("log_failure")
        texts.append(failure.getTraceback() if failure is not None else formatEvent(event))
    events.clear()
    pytest.fail("unhandled errors were logged:\n" + "\n".join(texts), pytrace=False)
