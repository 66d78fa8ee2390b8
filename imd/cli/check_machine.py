"""Looks at this machine: limits, versions of what imd runs on, who may read its secrets.

:mod:`imd.cli.doctor_check` calls them. They open no connection.
"""

from __future__ import annotations

import os
import platform
import resource
import ssl
import stat
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import imd
from imd.cli.findings import Examined, Finding, fail, ok, warn

#: descriptors beside sockets: databases, Redis, logs, and the sockets of REST
_BESIDE: Final = 512
_LIBRARIES: Final = (
    "twisted", "klein", "autobahn", "msgspec", "cryptography", "treq", "psycopg2-binary",
    "txredisapi", "sqlalchemy",
)  # fmt: skip
#: the driver's other name, as Debian and source builds have it
_ALSO: Final = {"psycopg2-binary": "psycopg2"}


def limits(examined: Examined) -> Iterator[Finding]:
    """Open files, as far as a shell can tell: the unit of systemd has limits of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = examined.sockets + _BESIDE
    seen = f"{'unlimited' if soft == resource.RLIM_INFINITY else soft} open files here"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield ok("limits", f"{seen}, enough for {examined.sockets:,} sockets a process")
        return
    how = f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else "root"
    todo = (
        f"{examined.sockets:,} sockets a process need {needed:,}: LimitNOFILE= in the unit (the"
        f" package has 65536), in a shell {how}"
    )
    yield warn("limits", seen, todo)


def versions(examined: Examined) -> Iterator[Finding]:
    """For a report to whoever is asked for help."""
    yield ok("imd", f"{imd.__version__}, profile {examined.settings.profile}")
    yield ok("python", f"{platform.python_version()} on {platform.platform()}")
    openssl = ssl.OPENSSL_VERSION
    if ssl.OPENSSL_VERSION_INFO < (3,):
        yield warn("openssl", openssl, "upgrade: it gets no fixes any more")
    else:
        yield ok("openssl", openssl)
    found = [f"{name} {_version(name)}" for name in _LIBRARIES if _version(name)]
    yield ok("libraries", ", ".join(found))
    settings = examined.settings
    wanted = {
        "psycopg2-binary": settings.database.url.startswith("postgres"),
        "txredisapi": bool(settings.bus.url),
    }
    for name, used in wanted.items():
        if used and not _version(name):
            yield fail("libraries", f"{name} is missing", f"pip install {name}")


def _version(name: str) -> str:
    for called in (name, _ALSO.get(name, name)):
        try:
            return version(called)
        except PackageNotFoundError:
            continue
    return ""


def secrets(examined: Examined) -> Iterator[Finding]:
    """Who may read the files that hold secrets, and the database where it is a file."""
    from imd.config.secret_files import secret_files

    found = secret_files(examined.settings.profile, examined.line.config_file, os.environ)
    url = examined.settings.database.url
    if url.startswith("sqlite:///"):
        found.append(Path(url.removeprefix("sqlite:///")))
    judge = fail if examined.settings.profile == "prod" else warn
    bad = [finding for path in found if path.exists() for finding in _mode(path, judge)]
    yield from bad
    if not bad:
        yield ok("secrets", f"{len(found)} files, none for everybody to read")


def _mode(path: Path, judge: Callable[[str, str, str], Finding]) -> Iterator[Finding]:
    mode = path.stat().st_mode
    seen = f"{path} is {stat.filemode(mode)}"
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        if _reachable(path.parent):
            yield judge("secrets", seen, f"chmod 640 {path}, and give it to imd's group")
    elif mode & stat.S_IWGRP:
        yield warn("secrets", seen, f"chmod g-w {path}")


def _reachable(folder: Path) -> bool:
    """Whether everybody may go into the folder and those above it."""
    folders = (folder.absolute(), *folder.absolute().parents)
    return all(one.stat().st_mode & stat.S_IXOTH for one in folders)
