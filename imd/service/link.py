"""One worker process as its supervisor sees it: where it stands, what it says, what it is asked.

:mod:`imd.service.crew` makes one for each process and puts it between the reactor and
``ProcessMonitor``. It refuses to know other workers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.runner.procmon import LoggingProtocol

from imd.service.lines import REPORT_DESCRIPTOR, Lines, Said, line_of
from imd.service.standing import Cause

#: what a worker says that is not its supervisor's own business
Told = Callable[["Link", Said], None]


class Stage(Enum):
    """Where a worker process stands."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"


class Link(ProcessProtocol):
    """The process ``name`` from its start to its end."""

    log = Logger()

    def __init__(
        self,
        name: str,
        monitored: LoggingProtocol,
        told: Told,
        output: Callable[[bytes], object] | None,
    ) -> None:
        self.name, self.number = name, int(name.partition(".")[0])
        self.stage = Stage.STARTING
        self.pid: int | None = None
        #: why it did not start, as it says itself
        self.lines: list[str] = []
        #: what it failed on, unless it says otherwise
        self.cause = Cause.WORLD
        #: takes whole lines of its stdout; None when it shares ours
        self.output = output
        #: how many questions in a row it has not answered
        self.silent = 0
        self._monitored, self._told = monitored, told
        self._reports = Lines(self._report)
        self._printed = Lines(self._print)
        self._limit: IDelayedCall | None = None

    # ---- where it stands

    def expect(self, clock: IReactorTime, limit: float, overdue: Callable[[Link], None]) -> None:
        """It has ``limit`` seconds until it serves, else ``overdue`` is called."""
        self._limit = clock.callLater(limit, overdue, self)

    def wait_no_longer(self) -> None:
        """Nothing happens any more when it takes long to serve."""
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None

    def serve(self) -> None:
        """It says that it serves."""
        self.wait_no_longer()
        if self.stage is Stage.STARTING:
            self.stage = Stage.SERVING

    def leave(self) -> None:
        """It was asked to end, or has ended."""
        self.wait_no_longer()
        self.stage = Stage.LEAVING

    def tell(self, say: str, **more: Any) -> None:
        """Say something to it; to one that is gone, nothing."""
        if self.transport is not None:
            self.transport.write(line_of(say, **more))

    # ---- the reactor's

    def connectionMade(self) -> None:
        self.pid = getattr(self.transport, "pid", None)
        self._monitored.makeConnection(self.transport)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        (self._reports if childFD == REPORT_DESCRIPTOR else self._printed).feed(data)

    def processEnded(self, reason: Failure) -> None:
        self._printed.end()
        self._monitored.processEnded(reason)

    def _report(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            self._told(self, said)
        except Exception:
            # Whatever a worker says, the others go on.
            self.log.failure("worker {number} said what cannot be understood", number=self.number)

    def _print(self, line: bytes) -> None:
        if self.output is not None:
            self.output(line)
