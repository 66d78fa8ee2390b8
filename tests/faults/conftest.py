"""Servers of the fault runs, ours to break, and how much of the long set was left out."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.redis_server import NoRedis, RedisServer
from tests.servers import NoPostgres, PostgresServer


@pytest.fixture(scope="session")
def breakable_postgres() -> Iterator[PostgresServer]:
    """As durable as in production: what it acknowledged must survive its crash."""
    server = PostgresServer(fsync=True)
    if not server.ours:
        pytest.skip("NOT TESTED: PostgreSQL is not ours to break (IMD_TEST_DATABASE_URL is set)")
    try:
        server.start()
    except NoPostgres as error:
        pytest.skip(f"POSTGRESQL IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def breakable_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    if not server.ours:
        pytest.skip("NOT TESTED: Redis is not ours to break (IMD_TEST_REDIS_URL is set)")
    try:
        server.start()
    except NoRedis as error:
        pytest.skip(f"REDIS IS NOT TESTED: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def _say_what_is_left_out(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not os.environ.get("IMD_FAULTS_MUTANTS"):
        reporter.write_line("")
        reporter.write_line("FAULTS RAN SHORT; for all seeds and mutants: make faults", yellow=True)
