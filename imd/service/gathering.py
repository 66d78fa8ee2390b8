"""Asks all workers for their figures when one of them is asked for everybody's (page 5.4).

The supervisor hands it what workers say. A worker that does not answer within a second is left out
of that answer, and killed when it is silent for long: its reactor hangs. What a worker had counted
when it ended stays in the sum. It refuses to know what the figures mean, save that those called
``metrics`` are families.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imd.service.crew import Crew
from imd.service.lines import Said
from imd.service.link import Link, Stage
from imd.service.sums import METRICS, Together, told

#: seconds within which a worker must answer to be counted
DEADLINE: Final = 1.0
#: seconds between two looks at everybody, and the unanswered looks that a worker does not survive
LOOK, PATIENCE = 5.0, 6

#: takes the figures of those who answered, by number, and those who did not
Over = Callable[[list[Any], list[Link]], None]


class Gathering:
    """All figures of the crew's workers."""

    log = Logger()

    def __init__(self, crew: Crew, count: int, clock: IReactorTime) -> None:
        self._crew, self._count, self._clock = crew, count, clock
        self._rounds: dict[int, _Round] = {}
        self._next = 1
        #: the last metrics of each living process, by its name
        self._last: dict[str, Any] = {}
        self._past = Together()

    # ---- what workers say

    def heard(self, link: Link, said: Said) -> None:
        """A worker wants all figures, or tells its own."""
        if said["say"] == "want":
            self._begin(said["kind"], partial(self._reply, link, said))
        elif said["say"] == "figures":
            if said["kind"] == METRICS:
                self._last[link.name] = said["found"]
            round_ = self._rounds.get(said["ask"])
            if round_ is not None:
                round_.add(link, said["found"])

    def ended(self, link: Link) -> None:
        """A worker process is gone."""
        last = self._last.pop(link.name, None)
        if last is not None:
            self._past.add_lasting(last)
        for round_ in list(self._rounds.values()):
            round_.forget(link)

    def look(self) -> Deferred[None]:
        """Ask everybody for its metrics, as a sign of life and to know them when it dies."""
        done: Deferred[None] = Deferred()
        self._begin(METRICS, lambda found, missing: done.callback(None))
        return done

    # ---- a round

    def _begin(self, kind: str, over: Over) -> None:
        ask, self._next = self._next, self._next + 1
        # One that drains still counts: without it the sums would fall, and rise again at its end.
        asked = [link for link in self._crew.links.values() if link.stage is not Stage.STARTING]

        def end(round_: _Round) -> None:
            del self._rounds[ask]
            for link in asked:
                self._judge(link, link in round_.missing)
            over(round_.found, round_.missing)

        self._rounds[ask] = round_ = _Round(asked, self._clock, end)
        for link in asked:
            link.tell("tell", ask=ask, kind=kind, crew=self._state())
        round_.end_if_whole()

    def _judge(self, link: Link, silent: bool) -> None:
        link.silent = link.silent + 1 if silent else 0
        if link.silent >= PATIENCE and link.stage is Stage.SERVING:
            self.log.error(
                "worker {number} (pid {pid}) does not answer: it is killed",
                number=link.number,
                pid=link.pid,
            )
            self._crew.kill(link)

    def _reply(self, link: Link, said: Said, found: list[Any], missing: list[Link]) -> None:
        past: list[Any] = []
        if said["kind"] == METRICS:
            last = [(one.number, self._last[one.name]) for one in missing if one.name in self._last]
            found, past = [*found, *last], told(self._past.collect())
        link.tell("told", ask=said["ask"], found=found, past=past, crew=self._state())

    def _state(self) -> dict[str, int]:
        serving = len({link.number for link in self._crew.serving})
        return {"serving": serving, "wanted": self._count, "restarts": self._crew.restarts}


class _Round:
    """One question to all who serve, until all have answered or the time is over."""

    def __init__(
        self, asked: list[Link], clock: IReactorTime, over: Callable[[_Round], None]
    ) -> None:
        self.missing, self._over = list(asked), over
        #: number and figures of each that answered
        self.found: list[tuple[int, Any]] = []
        self._timer = clock.callLater(DEADLINE, self._end)

    def add(self, link: Link, found: Any) -> None:
        """An answer."""
        if link in self.missing:
            self.missing.remove(link)
            self.found.append((link.number, found))
            self.end_if_whole()

    def forget(self, link: Link) -> None:
        """It will not answer any more."""
        if link in self.missing:
            self.missing.remove(link)
            self.end_if_whole()

    def end_if_whole(self) -> None:
        """Nobody else is waited for."""
        if not self.missing and self._timer.active():
            self._timer.cancel()
            self._end()

    def _end(self) -> None:
        self._over(self)
