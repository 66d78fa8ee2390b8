"""The worker processes of one port: started, watched, brought back, replaced, sent away (page 4.6).

Twisted's ``ProcessMonitor`` does the watching; this adds what it lacks: descriptors for its
children, a sign that a worker serves, a restart that counts from that sign, and a stop that waits.
:mod:`imd.service.supervisor` runs it. It refuses to know what a worker does.
"""

# ProcessMonitor and Service are only partly annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.runner.procmon import LoggingProtocol, ProcessMonitor

from imd.service.launching import Launch
from imd.service.lines import PORT_DESCRIPTOR, REPORT_DESCRIPTOR
from imd.service.link import Link, Stage, Told
from imd.service.standing import Cause

#: seconds that a worker has from its start until it serves
START_LIMIT: Final = 60.0


class Effort(Enum):
    """How hard it is tried to have a worker that serves."""

    ONCE = "one start, in the usual time"
    #: it may migrate the database
    UNHURRIED = "one start, however long it takes"
    LASTING = "as many starts as it takes"


class NotServing(Exception):
    """A worker ended, or was ended, before it served; ``lines`` say why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class _Expected(NamedTuple):
    serving: Deferred[None]
    effort: Effort


class Spawner:
    """ProcessMonitor's reactor: a child gets the port and two pipes, its monitor a :class:`Link`.

    ``output`` is told whole lines of the children's stdout; without it they share ours.
    """

    def __init__(self, reactor: Any, port: int, attend: Callable[[LoggingProtocol], Link]) -> None:
        self._reactor, self._port, self._attend = reactor, port, attend

    def __conform__(self, interface: Any) -> Any:
        return interface(self._reactor) if interface is IReactorTime else None

    def spawnProcess(self, monitored: LoggingProtocol, *words: Any, **more: Any) -> Any:
        """As the reactor's; stdin is a pipe, whose end tells a worker that we are gone."""
        link = self._attend(monitored)
        descriptors: dict[int, int | str] = {
            0: "w",
            1: 1 if link.output is None else "r",
            2: 2,
            PORT_DESCRIPTOR: self._port,
            REPORT_DESCRIPTOR: "r",
        }
        return self._reactor.spawnProcess(link, *words, childFDs=descriptors, **more)


class Crew(ProcessMonitor):
    """The workers by name, ``NUMBER.GENERATION``: ``2.3`` is the third process of worker 2.

    One that dies is started again at once when it had served for ``threshold`` seconds, else after
    a delay that doubles.
    """

    log = Logger()
    threshold = 5  # seconds
    minRestartDelay, maxRestartDelay = 0.1, 30  # type: ignore[assignment]

    def __init__(
        self,
        reactor: Any,
        launch: Launch,
        port: int,
        output: Callable[[bytes], object] | None = None,
    ) -> None:
        super().__init__(Spawner(reactor, port, self._attend))  # type: ignore[arg-type]
        self._launch, self._output = launch, output
        #: processes that live, by name
        self.links: dict[str, Link] = {}
        #: the present process of each worker, by its number
        self.names: dict[int, str] = {}
        #: how often a worker was started again because it had died
        self.restarts = 0
        self._generation = 0
        self._falls: Counter[str] = Counter()
        self._expected: dict[str, _Expected] = {}
        self._leaving: dict[str, list[Deferred[None]]] = {}
        #: told what a worker says that is not the crew's own business, and each that has ended
        self.heard: Told = lambda link, said: None
        self.ended: Callable[[Link], None] = lambda link: None

    # ---- verbs

    async def enlist(self, number: int, effort: Effort = Effort.ONCE) -> None:
        """Start a process of worker ``number`` and wait until it serves, beside the present one.

        NotServing when it does not; then it is gone, and the present one stays. With a LASTING
        effort only settings that cannot be used are NotServing: what else fails is tried again.
        """
        self._generation += 1
        name = f"{number}.{self._generation}"
        serving: Deferred[None] = Deferred()
        self._expected[name] = _Expected(serving, effort)
        self.addProcess(
            name, self._launch.command(number), env=dict(self._launch.environ),
            cwd=self._launch.folder,
        )  # fmt: skip
        if effort is Effort.UNHURRIED and name in self.links:
            self.links[name].wait_no_longer()
        try:
            await serving
        except BaseException:
            self._expected.pop(name, None)
            self.removeProcess(name)
            raise
        present = self.names.get(number)
        self.names[number] = name
        if present is not None:
            await self.dismiss(present)

    async def dismiss(self, name: str) -> None:
        """Let a process drain and end; returns when it has."""
        self.removeProcess(name)
        await self._gone(name)

    async def stop(self) -> None:
        """Let all drain at once; returns when none is left."""
        self.stopService()
        for name in list(self.protocols):
            await self._gone(name)

    async def _gone(self, name: str) -> None:
        if name in self.protocols:
            gone: Deferred[None] = Deferred()
            self._leaving.setdefault(name, []).append(gone)
            await gone

    def kill(self, link: Link) -> None:
        """End a process that does not do its work; it is started again like one that died."""
        with suppress(ProcessExitedAlready):
            link.transport.signalProcess("KILL")  # type: ignore[union-attr]

    @property
    def serving(self) -> list[Link]:
        """The processes that serve now."""
        return [link for link in self.links.values() if link.stage is Stage.SERVING]

    # ---- ProcessMonitor's

    def startProcess(self, name: str) -> None:
        """Start it, unless it was removed meanwhile; its life counts from when it serves."""
        if name not in self._processes:
            return
        super().startProcess(name)
        if name in self.protocols:
            self.timeStarted[name] = math.inf

    def stopProcess(self, name: str) -> None:
        """Ask it to drain and end."""
        link = self.links.get(name)
        if link is not None:
            link.leave()
        super().stopProcess(name)

    def _attend(self, monitored: LoggingProtocol) -> Link:
        name = monitored.name
        link = Link(name, monitored, self._said, self._output)
        self.links[name] = link
        link.expect(self._clock, START_LIMIT, self._overdue)
        return link

    def _overdue(self, link: Link) -> None:
        link.lines = [f"worker {link.number} did not serve within {START_LIMIT:g} s"]
        self.kill(link)

    def _said(self, link: Link, said: dict[str, Any]) -> None:
        if said["say"] == "ready":
            link.serve()
            self.timeStarted[link.name] = self._clock.seconds()
            self.log.info("worker {number} serves, pid {pid}", number=link.number, pid=link.pid)
            expected = self._expected.pop(link.name, None)
            if expected is not None:
                expected.serving.callback(None)
        elif said["say"] == "failed":
            link.lines = [str(line) for line in said["lines"]]
            link.cause = Cause(said["cause"])
        else:
            self.heard(link, said)

    def _monitoredProcessExited(self, name: str, reason: Failure | None = None) -> None:
        """A process has ended: ProcessMonitor's only door for that."""
        link = self.links.pop(name)
        lived = self._clock.seconds() - self.timeStarted[name]
        super()._monitoredProcessExited(name, reason)
        self._tell_end(link, reason, lived)
        link.leave()
        if self._is_given_up(link):
            how = f"worker {link.number} ended {_how(reason)} before it served; see the log"
            self._expected.pop(name).serving.errback(NotServing(link.lines or [how]))
        for gone in self._leaving.pop(name, []):
            gone.callback(None)
        self.ended(link)

    def _is_given_up(self, link: Link) -> bool:
        """Whether somebody waits for this process, which has ended, and for no other after it."""
        expected = self._expected.get(link.name)
        if expected is None:
            return False
        return expected.effort is not Effort.LASTING or link.cause is Cause.SETTINGS

    def _tell_end(self, link: Link, reason: Failure | None, lived: float) -> None:
        name, restart = link.name, self.restart.get(link.name)
        if link.stage is Stage.LEAVING or restart is None:
            self.log.info("worker {number} has left, pid {pid}", number=link.number, pid=link.pid)
            return
        if self._is_given_up(link):
            return  # who waits for it says so
        self.restarts += 1
        self._falls[name] = self._falls[name] + 1 if lived < self.threshold else 1
        self.log.error(
            "worker {number} (pid {pid}) ended {how}, {falls} time(s) in a row:"
            " it is started again in {delay} s{why}",
            number=link.number,
            pid=link.pid,
            how=_how(reason),
            falls=self._falls[name],
            delay=round(max(0.0, restart.getTime() - self._clock.seconds()), 1),
            why="".join(f"; {line}" for line in link.lines),
        )


def _how(reason: Failure | None) -> str:
    error = None if reason is None else reason.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"by signal {error.signal}"
    return f"with status {getattr(error, 'exitCode', None) or 0}"
