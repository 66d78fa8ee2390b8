"""Where the tests put files that need not outlive the machine.

:mod:`tests.servers` asks for the data of a database, ``tests/conftest.py`` for pytest's folders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_DISK: Final = Path("/tmp")
#: how many bytes must be free in memory before it is used
_LEAST: Final = 4 << 30


def fast_folder() -> Path:
    """A folder in memory when there is plenty, else ``/tmp``.

    A new database is three hundred files; to make those on a disk can take most of a test's time.
    """
    try:
        about = os.statvfs(_MEMORY)
    except OSError:
        return _DISK
    roomy = about.f_bavail * about.f_frsize >= _LEAST
    # Tests put programs into their folders, too.
    usable = os.access(_MEMORY, os.W_OK) and not about.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return _MEMORY if roomy and usable else _DISK
