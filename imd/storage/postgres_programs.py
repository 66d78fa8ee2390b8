"""The programs of PostgreSQL that copies are made with: where they are, and how they are started.

``postgres_backup`` uses it. The password goes to them by their environment, never on a command
line, which everybody on the machine can read. It refuses to know what is copied.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from imd.storage.backups import BackupError
from imd.storage.postgres import CONNECT_SECONDS, UNREADABLE

#: seconds in which a program must say its version
_ANSWER: Final = 20
_VERSION: Final = re.compile(r"(\d+)(?:\.\d+|\w*\d*)\b")


class Programs:
    """The programs in ``folder``, else on the PATH, for the database at ``url``."""

    def __init__(self, url: str, folder: str | None = None) -> None:
        self.url, self._folder = url, folder
        parts = _parts(url)
        self._secrets = {
            variable: parts.pop(name)
            for name, variable in (("password", "PGPASSWORD"), ("sslpassword", "PGSSLPASSWORD"))
            if name in parts
        }
        self.place = make_dsn(**parts)

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment, with what must not stand on a command line."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("IMD_")}
        return {"PGCONNECT_TIMEOUT": "10", **kept, **self._secrets, "LC_ALL": "C"}

    def find(self, name: str) -> str:
        """The program's path; BackupError when it is not there."""
        found = shutil.which(name, path=self._folder)
        if found is None:
            where = f"in {self._folder}" if self._folder else "on the PATH"
            raise BackupError(
                f"there is no {name} {where}: install PostgreSQL's client programs (Debian:"
                " postgresql-client), or name their folder with --programs"
            )
        return found

    def major(self, name: str) -> int:
        """The program's version, such as 17."""
        try:
            said = subprocess.run(
                [self.find(name), "--version"], capture_output=True, text=True, timeout=_ANSWER
            ).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackupError(f"{name} does not run: {error}") from error
        found = _VERSION.search(said)
        if found is None:
            raise BackupError(f"{name} does not say its version, but {said[:80]!r}")
        return int(found[1])

    def server_major(self) -> int:
        """The version of the server, such as 17."""
        with looking(self.url) as cursor:
            return int(cursor.connection.server_version) // 10000

    def run(self, command: Sequence[str], *, want: bool = False) -> str:
        """Run a program to its end; what it said when ``want``. BackupError with its last words."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if want else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self.environment,
            )
        except OSError as error:
            raise BackupError(f"{command[0]} does not run: {error.strerror}") from error
        if done.returncode:
            raise BackupError(f"{Path(command[0]).name}: {complaint(done.stderr)}")
        return done.stdout.decode("utf-8") if want else ""

    def shown(self, name: str, *words: str) -> str:
        """A command line for people to copy; it holds no password."""
        return shlex.join([name, *words])


def complaint(stderr: bytes) -> str:
    """The first error that a program named, in one line."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (errors or lines or ["it failed without a word"])[0]


def _parts(url: str) -> dict[str, str]:
    """What the address names; BackupError when a part of a password would be taken for a host."""
    try:
        parts: dict[str, str] = parse_dsn(url)
    except psycopg2.ProgrammingError:
        raise BackupError(UNREADABLE) from None
    if "@" in parts.get("host", ""):
        raise BackupError(UNREADABLE)
    return parts


@contextmanager
def looking(url: str) -> Iterator[Any]:
    """A cursor for one who looks at the server; BackupError when it cannot."""
    _parts(url)
    try:
        opened = psycopg2.connect(url, connect_timeout=CONNECT_SECONDS, application_name="imdctl")
    except psycopg2.OperationalError as error:
        raise BackupError(f"the database cannot be reached: {_first_line(error)}") from error
    with closing(opened):
        opened.autocommit = True
        try:
            yield opened.cursor()
        except psycopg2.Error as error:
            raise BackupError(f"the database: {_first_line(error)}") from error


def _first_line(error: psycopg2.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
