"""The supervisor of ``--workers N``: opens the port once, and sees to it that N workers serve.

:mod:`imd.service.tap` makes one. It is the only one that systemd and the operator speak to: it says
when all serve, rolls the workers at SIGHUP and waits for them at SIGTERM (page 4.6). It serves
nothing itself, and refuses to know database, bus and messages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from imd.config import Settings
from imd.service import leaving
from imd.service.announcing import AT_ONCE, announce, repeat, watch
from imd.service.crew import Crew, Effort, NotServing
from imd.service.gathering import LOOK, Gathering
from imd.service.launching import Launch
from imd.service.listening import CannotServe, open_shared
from imd.service.notify import Systemd
from imd.service.ordered import Steps
from imd.service.rolling import Rolling
from imd.service.standing import LAST_RESORT, Cause

#: seconds after the drain at which a worker is killed, just before all of us end
_KILL: Final = 4.5
#: seconds; more than any drain may take
_FOREVER: Final = 100_000.0


class Supervisor:
    """The standing of the supervisor of ``count`` workers.

    ``read`` gives the settings as they stand now, or raises SettingsError. ``output`` is where the
    workers' log lines go; None when they write to our own stdout.
    """

    log = Logger()

    def __init__(
        self,
        count: int,
        settings: Settings,
        reactor: Any,
        launch: Launch,
        read: Callable[[], Settings],
        output: TextIO | None,
    ) -> None:
        self._count, self._settings, self._reactor = count, settings, reactor
        self._launch, self._read, self._output = launch, read, output
        self._rolling: Rolling | None = None

    async def serve(self, settings: Settings, reactor: Any, steps: Steps) -> None:
        """Open the port and start the workers; returns when all serve.

        The first is alone until it serves, so that one migrates the database, and one says what is
        wrong: CannotServe with its words. What fails after that passes, and is waited for, unless
        it is the settings that are wrong. A stop meanwhile is a stop like any other.
        """
        trusted = settings.auth.mode == "trusted"
        port = open_shared(settings.http, loopback_only=trusted)
        output = None if self._output is None else self._print
        crew = Crew(reactor, self._launch, port.fileno(), output)
        gathering = Gathering(crew, self._count, reactor)
        crew.heard, crew.ended = gathering.heard, gathering.ended
        crew.killTime = settings.http.drain + _KILL  # type: ignore[assignment]
        crew.startService()
        # The crew kills who is late; what the drain may be by then, a roll decides.
        steps.add("workers", crew.stop, _FOREVER)
        # Closed first: nobody new is to wait in a queue that nobody serves.
        steps.add("port", port.close, AT_ONCE)
        await self._muster(crew)
        systemd = Systemd(os.environ)
        self._rolling = Rolling(crew, self._count, lambda: self._prepare(crew), systemd)
        steps.add("roll", self._rolling.stop, AT_ONCE)
        repeat(steps, reactor, "looking at the workers", LOOK, gathering.look)
        announce(settings, port.getsockname()[1])
        watch(steps, reactor, systemd, self.last_resort)

    def hangup(self) -> None:
        """Roll the workers, once they all serve."""
        if self._rolling is None:
            self.log.info("SIGHUP is ignored: the workers are only starting")
        else:
            self._rolling.begin()

    def refuse(self, lines: Sequence[str], cause: Cause) -> None:
        """On stderr; whoever started us decides what follows."""
        for line in lines:
            leaving.say(f"imd: {line}")

    def last_resort(self) -> float:
        """A little less than page 4.6 allows."""
        return self._settings.http.drain + LAST_RESORT

    async def _muster(self, crew: Crew) -> None:
        try:
            await crew.enlist(1, Effort.UNHURRIED)
            others = range(2, self._count + 1)
            await gatherResults(
                [Deferred.fromCoroutine(crew.enlist(number, Effort.LASTING)) for number in others],
                consumeErrors=True,
            )
        except NotServing as error:
            raise CannotServe("\n".join(error.lines)) from None
        except FirstError as error:
            if error.subFailure.check(NotServing):
                raise CannotServe(str(error.subFailure.value)) from None
            error.subFailure.raiseException()

    def _prepare(self, crew: Crew) -> None:
        """Take over the settings as they stand now; SettingsError when they cannot be used."""
        settings, before = self._read(), self._settings
        for name in ("interface", "port"):
            if getattr(settings.http, name) != getattr(before.http, name):
                self.log.warn("http.{name} is looked at when the port is opened only", name=name)
        # Workers of before and of now may have to be waited for.
        crew.killTime = max(settings.http.drain, before.http.drain) + _KILL  # type: ignore[assignment]
        self._settings = settings

    def _print(self, line: bytes) -> None:
        assert self._output is not None
        self._output.write(line.decode("utf-8", "replace") + "\n")
        self._output.flush()
