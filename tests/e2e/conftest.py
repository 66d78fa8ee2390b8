"""Fixtures of the end-to-end tests: a started server on each kind of database, and how much to do.

How long and how large is set by environment: ``IMD_TEST_ROUNDS`` (kills at each point),
``IMD_TEST_SECONDS`` (of churn), ``IMD_TEST_SOCKETS`` (idle ones), ``IMD_TEST_REQUESTS`` (of the
fuzz), ``IMD_TEST_SEED``. What a default run leaves out, it says at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.server import NO_LIMITS, Imd, running
from tests.servers import NoPostgres, PostgresServer

#: what each variable stands for, its default, and what the full run wants
SIZES = {
    "IMD_TEST_ROUNDS": (2, 25, "kills at each point"),
    "IMD_TEST_SECONDS": (8, 60, "seconds of churn"),
    "IMD_TEST_SOCKETS": (500, 5000, "idle sockets"),
    "IMD_TEST_REQUESTS": (20000, 20000, "fuzzed requests and frames"),
}


def size(variable: str) -> int:
    """How much to do."""
    return int(os.environ.get(variable) or SIZES[variable][0])


def seed() -> int:
    """The seed of what is random in a test; a failing run is repeated with it."""
    return int(os.environ.get("IMD_TEST_SEED") or 20161)


@pytest.fixture
def imd(tmp_path: Path, database_url: str) -> Iterator[Imd]:
    """A server without limits of rate, on each kind of database in turn."""
    with running(tmp_path / "state", database_url, **NO_LIMITS) as server:
        yield server


@pytest.fixture
def breakable() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, as durable as in production, to stop and to freeze."""
    server = PostgresServer(fsync=True)
    if not server.ours:
        pytest.skip("NOT TESTED: PostgreSQL is not ours to break (IMD_TEST_DATABASE_URL is set)")
    try:
        server.start()
    except NoPostgres as error:
        pytest.skip(f"POSTGRESQL IS NOT TESTED: {error}")
    yield server
    server.stop()


#: keeps a line for the end of the run: a figure that is reported and not asserted
Note = Callable[[str], None]
_NOTES: list[str] = []


@pytest.fixture
def note() -> Note:
    return _NOTES.append


@pytest.fixture(scope="session", autouse=True)
def _say_what_is_left_out(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    short = [
        f"{variable}={full} ({what}; this run had {size(variable)})"
        for variable, (_, full, what) in SIZES.items()
        if size(variable) < full
    ]
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    for line in ["", *_NOTES]:
        reporter.write_line(line)
    if short:
        reporter.write_line("")
        reporter.write_line("END-TO-END TESTS RAN SHORT; for all of them set:", yellow=True)
        for line in short:
            reporter.write_line(f"  {line}", yellow=True)
