"""Who came and who is gone, said once of a user and not of each socket (page 4.4, ``user.*``).

Wiring starts it when somebody wants to know. The registry tells it of first and last sockets here;
a judge knows what was said before: :class:`LocalJudge` of one process,
:class:`imd.delivery.redis_attendance.RedisJudge` of all. A user who only changes pages was never
gone. It knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from imd.delivery.outages import log_failed_read
from imd.delivery.registry import Registry, unwatched

#: seconds without a socket after which a user is gone
PATIENCE: Final = 5.0
#: seconds until what could not be said is tried again
RETRY: Final = 2.0
#: users that are judged, and told of, at once
MOST: Final = 100

#: by user: True for one who came, False for one who is gone
Words = Mapping[str, bool]


class Judge(Protocol):
    """Knows what has been said of whom."""

    def start(self, attendance: Attendance) -> None:
        """It will be asked; it may make the attendance look at users by itself."""

    def stop(self) -> None:
        """It is asked no more."""

    async def judge(self, here: Words, told: Words) -> Words:
        """What the asker is to say now, if anything: until it was, nobody else is given the word.

        ``here`` are the users in question, and whether they are in this process; ``told``, of
        some of them, what has been said.
        """


class LocalJudge:
    """Judges while there is one process."""

    def __init__(self) -> None:
        #: who was last said to have come
        self.said: set[str] = set()

    def start(self, attendance: Attendance) -> None:
        """It waits to be asked."""

    def stop(self) -> None:
        """There is nothing to end."""

    async def judge(self, here: Words, told: Words) -> Words:
        for user_id, came in told.items():
            self.note(user_id, came)
        return {user_id: is_ for user_id, is_ in here.items() if is_ != (user_id in self.said)}

    def note(self, user_id: str, came: bool) -> None:
        """This has been said."""
        if came:
            self.said.add(user_id)
        else:
            self.said.discard(user_id)


class Attendance:
    """Looks at whoever came or went here, asks the judge, and says what is to be said."""

    log = Logger()

    def __init__(self, reactor: Any, registry: Registry, judge: Judge) -> None:
        self.reactor, self._registry, self._judge = reactor, registry, judge
        self._tell: Callable[[Words], Awaitable[None]] | None = None
        #: whose last socket here went, until that is believed; None: as long as this process lives
        self._going: dict[str, IDelayedCall | None] = {}
        self._wait: Callable[[str], IDelayedCall | None] = self._wait_for
        self._unjudged: dict[str, None] = {}
        self._timer: IDelayedCall | None = None
        self._round: Deferred[None] | None = None

    def watch(self, tell: Callable[[Words], Awaitable[None]]) -> None:
        """From now on ``tell`` is told; what it fails to take is said again."""
        self._tell = tell
        self._registry.watch = self._changed
        self._judge.start(self)

    def hold(self) -> None:
        """Whoever goes from now on is not gone: the server is, and asks them to come back."""
        self._wait = _for_ever
        for user_id in self._going:
            self._cease(user_id)

    def stop(self) -> None:
        """Say nothing more."""
        self.hold()
        self._registry.watch, self._tell = unwatched, None
        self._judge.stop()
        if self._round is not None:
            self._round.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- facts

    @property
    def users(self) -> set[str]:
        """Whoever is here, or is not yet believed to be gone."""
        return {*self._registry.users, *self._going}

    def lingers(self, user_id: str) -> bool:
        """Whether the user has no socket here any more and is not yet believed to be gone."""
        return user_id in self._going

    def _is_here(self, user_id: str) -> bool:
        return user_id in self._going or user_id in self._registry.users

    def _changed(self, user_id: str, online: bool) -> None:
        if not online:
            self._going[user_id] = self._wait(user_id)
        elif user_id in self._going:
            self._cease(user_id)
            del self._going[user_id]
        else:
            self.look([user_id])

    def _wait_for(self, user_id: str) -> IDelayedCall | None:
        call: IDelayedCall = self.reactor.callLater(PATIENCE, self._gone, user_id)
        return call

    def _cease(self, user_id: str) -> None:
        call, self._going[user_id] = self._going[user_id], None
        if call is not None:
            call.cancel()

    def _gone(self, user_id: str) -> None:
        del self._going[user_id]
        self.look([user_id])

    # ---- judging and telling

    def look(self, users: Iterable[str]) -> None:
        """What was said of these users may not be so any more."""
        self._unjudged.update(dict.fromkeys(users))
        self._go_on(0.0)

    def _go_on(self, delay: float) -> None:
        if self._unjudged and self._round is None and self._timer is None and self._tell:
            self._timer = self.reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._round = Deferred.fromCoroutine(self._work())
        self._round.addErrback(lambda failure: failure.trap(CancelledError)).addCallback(self._done)

    def _done(self, _: object) -> None:
        self._round = None
        self._go_on(RETRY)

    async def _work(self) -> None:
        """Until nothing is left; what fails is tried again later."""
        told: Words = {}
        while (told or self._unjudged) and self._tell is not None:
            users = [*told, *islice(self._unjudged, MOST)]
            for user_id in users:
                self._unjudged.pop(user_id, None)
            try:
                told = await self._judge.judge({name: self._is_here(name) for name in users}, told)
                if told:
                    await self._tell(told)
            except CancelledError:
                raise
            except Exception:
                self._unjudged.update(dict.fromkeys(users))
                said = "who came and went could not be said of {count} users; it is tried again"
                log_failed_read(self.log, said, count=len(users))
                return


def _for_ever(user_id: str) -> IDelayedCall | None:
    return None
