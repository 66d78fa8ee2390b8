"""What is measured: imd and the floors, each a process of its own, and the load upon them.

Everything dies with the bench. PostgreSQL runs as durable as in production.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.measured import cpu_seconds, share_bytes
from tests.e2e.server import NO_LIMITS, Imd, die_with_parent, twistd
from tests.servers import PostgresServer

ROOT = Path(__file__).parents[1]
FLOORS = Path(__file__).parent / "floors"
SEED = Path(__file__).parent / "seed.sql"
#: beside fsync; room for millions of rows without a storm of checkpoints, and for all servers
POSTGRES = {"shared_buffers": "256MB", "max_wal_size": "8GB", "max_connections": "400"}
#: imd as in production, but for limits of rate: a line a request, in a file
IMD = {**NO_LIMITS, "IMD_LOG_FORMAT": "json", "IMD_LOG_LEVEL": "info"}


class Served(NamedTuple):
    """A running server: where it listens, and whose CPU time is its own and its database's."""

    port: int
    pid: int
    database: int | None = None


def environment() -> dict[str, str]:
    """What a process of the bench runs in."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def seeded(postgres: PostgresServer) -> str:
    """The URL of a new database with the tables of ``seed.sql``."""
    url = postgres.create_database()
    postgres.execute(SEED.read_text(), url=url)
    return url


@contextmanager
def printing_port(command: Sequence[str | Path], database: int | None = None) -> Iterator[Served]:
    """A server that prints the port it listens on, running."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment(), preexec_fn=die_with_parent
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"{command} did not start"
        yield Served(int(line), process.pid, database)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def floor(
    name: str, *arguments: str, database: int | None = None
) -> AbstractContextManager[Served]:
    """A floor of :mod:`bench.floors`, running."""
    return printing_port([sys.executable, FLOORS / f"{name}.py", *arguments], database)


@contextmanager
def imd(
    state: Path, postgres: PostgresServer | None, workers: int = 0, url: str = "", **settings: str
) -> Iterator[Imd]:
    """imd on a database of its own (SQLite without a server), or on that of ``url``.

    With ``workers`` a supervisor and so many processes; the settings name the bus then.
    """
    database = url or (postgres.create_database() if postgres else None)
    server = Imd(state, database, **{**IMD, **settings})
    try:
        yield server.start([*twistd(), "--workers", str(workers)] if workers else ())
        assert not server.trouble(), server.trouble()
    finally:
        server.kill()


class Generator:
    """The load generator, connected and warmed up."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
            preexec_fn=die_with_parent,
            text=True,
        )
        self._put(json.dumps(spec))
        assert self._line() == "READY", "the load generator did not start"

    def _put(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def measure(self, served: Served) -> dict[str, Any]:
        """One run; what it counted, and the CPU seconds that it cost."""
        self._put("SOON")
        assert self._line() == "READY", "the load generator gave up"
        before = cpu_seconds(served.pid)
        base = cpu_seconds(served.database) if served.database else 0.0
        self._put("GO")
        line = self._line()
        assert line, "the load generator gave up"
        counted: dict[str, Any] = json.loads(line)
        counted["app"] = cpu_seconds(served.pid) - before
        counted["db"] = cpu_seconds(served.database) - base if served.database else 0.0
        counted["bytes"] = share_bytes(served.pid)
        return counted

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
