"""A real MariaDB for the tests: private to the run, on a free port, gone with it.

The original's database is MySQL, so moving over is tried with one. The binaries are Debian's
(apt install mariadb-server); the tests that want it say loudly that they were left out where it
is missing.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

import pymysql

from tests.binaries import group_of, server_user
from tests.servers import WATCH, free_port

_PATH: Final = "/usr/sbin:/usr/bin:/usr/libexec:/usr/local/sbin:/usr/local/bin"
_START_SECONDS: Final = 60.0
_USER, _PASSWORD = "moving", "over-and-out"


class NoMariadb(Exception):
    """There is no MariaDB here; the message says how to get one."""


def find_programs() -> tuple[str, str]:
    """The server and what makes its folder; raises NoMariadb."""
    server = shutil.which("mariadbd", path=_PATH) or shutil.which("mysqld", path=_PATH)
    maker = shutil.which("mariadb-install-db", path=_PATH)
    if server is None or maker is None:
        raise NoMariadb("no MariaDB: apt install mariadb-server")
    return server, maker


class MariadbServer:
    """One MariaDB with a user of its own; blocks, at most about a minute."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def start(self) -> Self:
        """Make the data folder, start, wait until it answers."""
        server, maker = find_programs()
        user = server_user()
        # Under /tmp whatever TMPDIR says: a socket's path may have 107 bytes at most.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="imd-my-", dir="/tmp"))
        as_user: dict[str, Any] = {}
        if user is not None:
            shutil.chown(folder, user, group_of(user))
            as_user = {"user": user, "group": group_of(user), "extra_groups": []}
        plain: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath + ":" + _PATH, "TZ": "UTC"}}
        made = subprocess.run(
            [maker, "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method"
             "=normal", "--skip-test-db", f"--tmpdir={folder}"],
            capture_output=True, text=True, check=False, **plain, **as_user,
        )  # fmt: skip
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"mariadb-install-db failed:\n{made.stderr}{made.stdout}")
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, "imd-my-watch", folder],
            stdin=subprocess.PIPE, start_new_session=True, cwd="/", **as_user,
        )  # fmt: skip
        self.port = free_port()
        self._process = subprocess.Popen(
            [server, "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/s",
             f"--port={self.port}", "--bind-address=127.0.0.1", f"--tmpdir={folder}",
             f"--log-error={folder}/log", "--innodb-flush-log-at-trx-commit=0",
             "--innodb-buffer-pool-size=64M", "--performance-schema=OFF",
             "--character-set-server=utf8mb4", "--default-time-zone=+03:00"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, **plain, **as_user,
        )  # fmt: skip
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{self._process.pid}\n".encode())
        self._watcher.stdin.flush()
        self._await(folder)
        return self

    def _await(self, folder: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                connection = pymysql.connect(unix_socket=f"{folder}/s", user="root")
                break
            except pymysql.Error as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (folder / "log").read_text("utf-8", "replace")[-2000:]
                    self.stop()
                    raise RuntimeError(f"MariaDB did not start:\n{said}") from error
                time.sleep(0.05)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER '{_USER}'@'%' IDENTIFIED BY '{_PASSWORD}'")
            cursor.execute(f"GRANT ALL ON *.* TO '{_USER}'@'%'")

    def create_database(self) -> str:
        """Create an empty database with a name of its own and return its SQLAlchemy URL."""
        name = f"im_{secrets.token_hex(6)}"
        with (
            pymysql.connect(
                host="127.0.0.1", port=self.port, user=_USER, password=_PASSWORD
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        """Stop it and remove all that it kept; harmless when it is not running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
