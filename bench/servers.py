"""What is measured: imd and the floors, each a process of its own, and the load upon them.

Everything dies with the bench. PostgreSQL runs as durable as in production.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.measured import cpu_seconds
from tests.e2e.server import NO_LIMITS, Imd, die_with_parent
from tests.servers import PostgresServer

ROOT = Path(__file__).parents[1]
FLOORS = Path(__file__).parent / "floors"
#: beside fsync; room for the million rows without a storm of checkpoints
POSTGRES = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
#: imd as in production, but for limits of rate; the log goes to a file
IMD = {**NO_LIMITS, "IMD_LOG_FORMAT": "json", "IMD_LOG_LEVEL": "warn"}


class Served(NamedTuple):
    """A running server: where it listens, and whose CPU time is its own and its database's."""

    port: int
    pid: int
    database: int | None = None


def environment() -> dict[str, str]:
    """What a process of the bench runs in."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def floor(name: str, *arguments: str, database: int | None = None) -> Iterator[Served]:
    """A floor of :mod:`bench.floors`, running."""
    process = subprocess.Popen(
        [sys.executable, str(FLOORS / f"{name}.py"), *arguments],
        stdout=subprocess.PIPE,
        env=environment(),
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the floor {name} did not start"
        yield Served(int(line), process.pid, database)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def imd(state: Path, postgres: PostgresServer) -> Iterator[Imd]:
    """imd on a database of its own."""
    server = Imd(state, postgres.create_database(), **IMD)
    try:
        yield server.start()
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
        before = cpu_seconds(served.pid)
        base = cpu_seconds(served.database) if served.database else 0.0
        self._put("GO")
        line = self._line()
        assert line, "the load generator gave up"
        counted: dict[str, Any] = json.loads(line)
        counted["app"] = cpu_seconds(served.pid) - before
        counted["db"] = cpu_seconds(served.database) - base if served.database else 0.0
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
