"""What is looked at now and then for ``/metrics``: the database's answer, the room on the disk.

Wiring repeats the look, so that who watches a server learns the same from its figures as from
``/readyz``, also when nobody asks that. It decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from imd.domain.errors import ImError

#: seconds between two looks
VITALS_SECONDS: Final = 5.0
Check = Callable[[], Awaitable[bool]]


class Vitals:
    """``checks`` are those of ``/readyz``, by name."""

    def __init__(self, checks: Mapping[str, Check], state_dir: Path) -> None:
        self._checks, self._state_dir = checks, state_dir
        #: by check, whether it was good when it was last looked at
        self.ready = dict.fromkeys(checks, True)

    async def look(self) -> None:
        """Ask each check; one that fails or does not answer in time is not ready."""
        for name, check in self._checks.items():
            try:
                self.ready[name] = await check()
            except ImError:
                self.ready[name] = False

    def free_bytes(self) -> int | None:
        """What the state directory's disk has left for this user; None where there is none."""
        try:
            disk = os.statvfs(self._state_dir)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize
