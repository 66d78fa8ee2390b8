"""A worker: serves on its supervisor's port, and lives no longer than its supervisor (page 4.6).

:mod:`imd.service.tap` makes one for ``--worker``, which the supervisor sets. It says through a pipe
when it serves or why it cannot; the end of the pipe that is its stdin means that the supervisor is
gone. It refuses to know the other workers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.config import Settings
from imd.domain.errors import Unavailable
from imd.service import leaving
from imd.service.announcing import AT_ONCE
from imd.service.lines import PORT_DESCRIPTOR, REPORT_DESCRIPTOR, Lines, Said, line_of
from imd.service.listening import CannotServe, adopt_port, is_listening
from imd.service.ordered import Steps
from imd.service.standing import Cause, Gathered

#: seconds after the drain at which a worker ends in any case: before its supervisor kills it
LAST_RESORT: Final = 4.3
#: the same without a supervisor, and what of it a drain may take (page 4.6 allows 5)
ORPHAN_LAST_RESORT, ORPHAN_DRAIN = 4.5, 1.0
#: seconds in which the supervisor must have asked all others
PATIENCE: Final = 2.0


class Line(Protocol):
    """The two pipes between a worker and its supervisor."""

    def __init__(self, heard: Callable[[Said], None], cut: Callable[[], None]) -> None:
        self._cut = cut
        self._lines = Lines(lambda line: heard(json.loads(line)))

    def dataReceived(self, data: bytes) -> None:
        self._lines.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cut()

    def let_go(self) -> Deferred[None]:
        """End it, which means nothing now; fires when everything has been written."""
        ended: Deferred[None] = Deferred()
        self._cut = partial(ended.callback, None)
        if self.transport is None or self.transport.disconnected:  # type: ignore[attr-defined]
            ended.callback(None)
        else:
            self.transport.loseConnection()
        return ended

    def tell(self, say: str, **more: Any) -> None:
        """Say something to the supervisor; nothing when it is gone."""
        if self.transport is not None:
            self.transport.write(line_of(say, **more))


class Worker:
    """The standing and the place of worker ``number``."""

    log = Logger()

    def __init__(self, number: int, settings: Settings, reactor: Any) -> None:
        self.number, self._drain, self._reactor = number, settings.http.drain, reactor
        self._orphaned = False
        self._line = Line(self._heard, self._cut_off)
        self._figures: Mapping[str, Callable[[], Any]] = {}
        self._wanted: dict[int, Deferred[Said]] = {}
        self._asked = 0
        #: how many workers serve, and should, when the supervisor last asked
        self._crew = {"serving": 1, "wanted": 1}

    async def serve(self, settings: Settings, reactor: Any, steps: Steps) -> None:
        """All of :func:`imd.service.wiring.serve`, with a line to the supervisor."""
        if not is_listening(PORT_DESCRIPTOR):
            raise CannotServe("--worker is the supervisor's own option: use --workers")
        StandardIO(self._line, 0, REPORT_DESCRIPTOR, reactor)  # type: ignore[call-arg]
        steps.add("line", self._part, AT_ONCE)
        from imd.service.wiring import serve

        await serve(settings, reactor, steps, self)

    def hangup(self) -> None:
        """A terminal that hangs up tells everybody; what follows is the supervisor's to say."""

    def refuse(self, lines: Sequence[str], cause: Cause) -> None:
        """Let the supervisor say it, which knows whether it was said before."""
        if self._line.transport is None:
            for line in lines:
                leaving.say(f"imd: {line}")
        else:
            _report(lines, cause)

    def last_resort(self) -> float:
        """Less when nobody is there any more to kill us."""
        return ORPHAN_LAST_RESORT if self._orphaned else self._drain + LAST_RESORT

    async def open_port(self, settings: Settings, site: IProtocolFactory) -> IListeningPort:
        """Accept beside the others on the supervisor's socket."""
        return await adopt_port(self._reactor, settings.http, site, PORT_DESCRIPTOR)

    def ready(self, settings: Settings, port: IListeningPort, steps: Steps) -> None:
        """Tell the supervisor."""
        self._line.tell("ready")

    def patience(self, drain: float) -> float:
        """Little when the supervisor is gone."""
        return min(drain, ORPHAN_DRAIN) if self._orphaned else drain

    def share(self, figures: Mapping[str, Callable[[], Any]]) -> None:
        """What the supervisor may ask for."""
        self._figures = figures

    async def gather(self, kind: str) -> Gathered:
        """The supervisor asks all; Unavailable when it does not answer in time."""
        ask = self._asked = self._asked + 1
        told: Deferred[Said] = Deferred()
        self._wanted[ask] = told
        self._line.tell("want", ask=ask, kind=kind)
        told.addTimeout(PATIENCE, self._reactor)
        try:
            said = await told
        except GivenUp:
            raise Unavailable("The other workers cannot be asked at the moment.") from None
        finally:
            del self._wanted[ask]
        return Gathered(said["found"], said["past"], said["crew"])

    def degraded(self) -> list[str]:
        """Whether some worker is missing; no reason to send callers elsewhere."""
        return ["workers"] if self._crew["serving"] < self._crew["wanted"] else []

    def _heard(self, said: Said) -> None:
        if said["say"] == "tell":
            self._crew = said["crew"]
            self._tell_figures(said["kind"], said["ask"])
        elif said["say"] == "told" and said["ask"] in self._wanted:
            self._wanted[said["ask"]].callback(said)

    def _tell_figures(self, kind: str, ask: int = 0) -> None:
        if kind in self._figures:
            self._line.tell("figures", ask=ask, kind=kind, found=self._figures[kind]())

    async def _part(self) -> None:
        """Leave behind what was counted, for the sums of the others."""
        self._tell_figures("metrics")
        await self._line.let_go()

    def _cut_off(self) -> None:
        self._orphaned = True
        self.log.warn("the supervisor is gone: this worker ends")
        leaving.leave_within(ORPHAN_LAST_RESORT)
        leaving.stop(self._reactor)


def refuse_settings(problems: Sequence[str]) -> bool:
    """Say to the supervisor that there can be no worker with these settings; False without one."""
    if not is_listening(PORT_DESCRIPTOR):
        return False
    _report(problems, Cause.SETTINGS)
    return True


def _report(lines: Sequence[str], cause: Cause) -> None:
    # At once: the reactor, which writes later, is about to stop or never ran.
    with suppress(OSError):
        os.write(REPORT_DESCRIPTOR, line_of("failed", lines=list(lines), cause=cause.value))
