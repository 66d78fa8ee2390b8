"""A roll: every worker is replaced by a fresh one, one after another (page 4.6, SIGHUP).

:class:`imd.service.supervisor.Supervisor` begins one. The next worker is touched only when the
fresh one serves and the old one has gone, so the port is served all the time. It refuses to know
what may have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from imd.config import SettingsError
from imd.service.crew import Crew, NotServing
from imd.service.notify import READY, RELOADING, Systemd


class Stage(Enum):
    """Whether the workers are being replaced, and what follows."""

    RESTING = "resting"
    ROLLING = "rolling"
    ROLLING_TWICE = "rolling, and then again"
    OVER = "over"


class Rolling:
    """Rolls ``count`` workers of a crew.

    ``prepare`` makes ready for workers with new settings, or raises SettingsError. A roll asked
    for during another follows it, once: the settings may have changed since.
    """

    log = Logger()

    def __init__(
        self, crew: Crew, count: int, prepare: Callable[[], None], systemd: Systemd
    ) -> None:
        self._crew, self._count, self._prepare, self._systemd = crew, count, prepare, systemd
        self._stage = Stage.RESTING
        self._run: Deferred[None] = succeed(None)

    def begin(self) -> None:
        """SIGHUP came."""
        if self._stage is Stage.RESTING:
            self._stage = Stage.ROLLING
            self._run = Deferred.fromCoroutine(self._roll_on())
        elif self._stage is Stage.ROLLING:
            self._stage = Stage.ROLLING_TWICE
            self.log.info("the workers are being replaced: they will be once more after that")

    def stop(self) -> None:
        """Leave every worker as it stands."""
        self._stage = Stage.OVER
        self._run.cancel()

    async def _roll_on(self) -> None:
        try:
            while True:
                await self._roll()
                if self._stage is not Stage.ROLLING_TWICE:
                    break
                self._stage = Stage.ROLLING
        except CancelledError:
            return
        except Exception:
            self.log.failure("the workers could not be replaced")
        self._stage = Stage.RESTING

    async def _roll(self) -> None:
        try:
            self._prepare()
        except SettingsError as error:
            for line in error.problems:
                self.log.error("SIGHUP: {problem}; the workers stay as they are", problem=line)
            return
        self._systemd.tell(RELOADING.format(time.monotonic_ns() // 1000))
        self.log.info("SIGHUP: replacing {count} workers, one by one", count=self._count)
        try:
            for number in range(1, self._count + 1):
                await self._crew.enlist(number)
        except NotServing as error:
            for line in error.lines:
                self.log.error("a new worker cannot start: {reason}", reason=line)
            self.log.error("SIGHUP: the workers that are not replaced yet stay as they are")
        else:
            self.log.info("SIGHUP: all {count} workers are replaced", count=self._count)
        finally:
            self._systemd.tell(READY)
