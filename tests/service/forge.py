"""Worker processes that only exist in memory: started, spoken to, killed, without a system."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from imd.service.crew import Crew
from imd.service.launching import Launch
from imd.service.lines import PORT_DESCRIPTOR, REPORT_DESCRIPTOR, line_of


class Process:
    """One process, as transport of its protocol."""

    def __init__(self, forge: Forge, protocol: Any, words: list[str], fds: dict[int, Any]) -> None:
        self.pid, self.words, self.descriptors = 100 + len(forge.made), words, fds
        self.number = int(words[-1].partition("=")[2])
        self._protocol, self.alive = protocol, True
        self.signals: list[str] = []
        self.told: list[dict[str, Any]] = []
        #: whether SIGTERM ends it at once
        self.obeys = True

    def write(self, data: bytes) -> None:
        self.told += [json.loads(line) for line in data.splitlines()]

    def signalProcess(self, name: str) -> None:
        if not self.alive:
            raise ProcessExitedAlready()
        self.signals.append(name)
        if name == "KILL":
            self.end(ProcessTerminated(None, 9, 9))
        elif self.obeys:
            self.end(ProcessDone(0))

    def say(self, say: str, **more: Any) -> None:
        self._protocol.childDataReceived(REPORT_DESCRIPTOR, line_of(say, **more))

    def print(self, text: bytes) -> None:
        self._protocol.childDataReceived(1, text)

    def die(self, status: int = 1) -> None:
        self.end(ProcessTerminated(status, None, status << 8))

    def kill(self) -> None:
        self.end(ProcessTerminated(None, 9, 9))

    def end(self, error: Exception) -> None:
        self.alive = False
        self._protocol.processEnded(Failure(error))


class Forge(Clock):
    """A clock that also makes processes; ``ready`` lets each serve as soon as it is made."""

    def __init__(self, ready: bool = True) -> None:
        super().__init__()
        self.made: list[Process] = []
        self.ready = ready

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], *, childFDs: Any, **more: Any
    ) -> Process:
        process = Process(self, protocol, args, childFDs)
        assert childFDs[PORT_DESCRIPTOR] == 99 and childFDs[0] == "w"
        self.made.append(process)
        protocol.makeConnection(process)
        if self.ready:
            self.callLater(0, process.say, "ready")
        return process

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.made if process.alive]


def crew_of(forge: Forge, output: Callable[[bytes], object] | None = None) -> Crew:
    """A running crew without workers."""
    crew = Crew(forge, Launch(("imd",), {}, "/"), 99, output)
    crew.startService()
    return crew
