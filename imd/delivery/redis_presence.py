"""Presence across processes: who has a socket, of which client type, in which session (page 4.3).

Each process keeps one hash in Redis: its users, and for each what sockets it has here. The hash
lives :data:`TTL` seconds unless its process prolongs it, so a dead process's users are gone with
it, and an idle socket costs nothing. Whoever asks reads the hashes of all processes in one command,
and never waits long: while Redis is away the answer is what this process knows by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from imd.delivery.presence import LocalPresence
from imd.delivery.redis_line import Connection, Line
from imd.delivery.registry import Registry, unmoved

#: seconds that a process's entries outlive its last sign of life, and between two of these
TTL, BEAT = 10.0, 3.0
#: seconds that an answer may take before the local one has to do
DEADLINE = 0.2
#: users in one command
MOST = 500

#: KEYS: the set of processes, and what their hashes' names begin with; ARGV: who asks, and whom for
_LOOK = """
local found = {}
for _, process in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if process ~= ARGV[1] then
    local hash = KEYS[2] .. process
    if redis.call('EXISTS', hash) == 0 then
      redis.call('SREM', KEYS[1], process)
    else
      found[#found + 1] = redis.call('HMGET', hash, unpack(ARGV, 2))
    end
  end
end
return found
"""


class RedisPresence:
    """Implements :class:`imd.actions.ports.Presence` over a line to Redis that others use too.

    ``registry`` knows the sockets of this process, and says whose change.
    """

    log = Logger()

    def __init__(self, line: Line, registry: Registry, *, epoch: str, origin: str) -> None:
        self._line, self._reactor, self._registry = line, line.reactor, registry
        self._local = LocalPresence(registry)
        self._origin = origin
        self._processes = f"imd:{epoch}:processes"
        self._hashes = f"imd:{epoch}:presence:"
        self._hash = self._hashes + origin
        self._stale: dict[str, None] = {}
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        #: whether all has to be written, and when the next heartbeat is due (reactor seconds)
        self._anew, self._beat = True, 0.0
        #: a question that Redis has not answered in time; until then nobody else waits for it
        self._late: Deferred[Any] | None = None

    def start(self) -> None:
        """Write down who is here whenever Redis is there."""
        self._registry.moved = self.changed
        self._line.changed.append(self._line_changed)
        self._line_changed()

    async def stop(self) -> None:
        """Take this process's entries away."""
        self._line.changed.remove(self._line_changed)
        self._registry.moved = unmoved
        if self._working is not None:
            self._working.cancel()
        if self._timer is not None:  # after the work, whose end sets it
            self._timer.cancel()
            self._timer = None
        connection = self._line.connection
        if connection is not None:
            connection.ask("SREM", self._processes, self._origin).addErrback(lambda _: None)
            leaving = connection.ask("DEL", self._hash)
            leaving.addTimeout(DEADLINE, self._reactor).addErrback(lambda _: None)
            await leaving

    # ---- asking

    async def clients(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        """Client types by user, each once, sorted; a user without sockets is left out."""
        found = {name: set(kinds) for name, kinds in (await self._local.clients(user_ids)).items()}
        names = list(dict.fromkeys(user_ids))
        while names and self._line.connection is not None and self._late is None:
            some, names = names[:MOST], names[MOST:]
            for name, value in await self._elsewhere(self._line.connection, some):
                found.setdefault(name, set()).update(kinds_of(value))
        return {name: sorted(kinds) for name, kinds in found.items()}

    async def _elsewhere(self, connection: Connection, names: list[str]) -> list[tuple[str, bytes]]:
        asking = connection.ask(
            "EVAL", _LOOK, 2, self._processes, self._hashes, self._origin, *names
        )
        answer: Deferred[Any] = Deferred()
        answer.addTimeout(DEADLINE, self._reactor)

        def answered(value: object) -> None:
            if self._late is asking:
                self._late = None
            if not answer.called:
                answer.callback(value)

        asking.addBoth(answered)
        try:
            hashes = await answer
        except CancelledError:
            raise
        except Exception as error:
            if not asking.called:
                self._late = asking
            self.log.debug("presence is not known elsewhere: {kind}", kind=type(error).__name__)
            return []
        return [
            (name, value)
            for values in hashes
            for name, value in zip(names, values, strict=True)
            if value is not None
        ]

    # ---- telling

    def changed(self, user_id: str) -> None:
        """This user's sockets here came, moved or went."""
        self._stale[user_id] = None
        self._go_on(0.0)

    def _line_changed(self) -> None:
        """Write everything anew: nobody knows what Redis has kept of it."""
        self._anew = True
        if self._working is not None:
            self._working.cancel()
        self._go_on(0.0)

    def _go_on(self, delay: float) -> None:
        """Write after ``delay`` seconds what has to be, unless that is under way."""
        if self._working is not None or self._line.connection is None:
            return
        if self._timer is not None:
            if self._timer.getTime() <= self._reactor.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._working = Deferred.fromCoroutine(self._work())
        self._working.addErrback(self._failed).addCallback(self._done)

    def _failed(self, failure: Any) -> None:
        """Redis went away, after which all is written anew; or it refuses, as at the next beat."""
        self._anew = True
        if not failure.check(CancelledError):
            self.log.debug("presence was not written: {kind}", kind=failure.type.__name__)

    def _done(self, _: object) -> None:
        self._working = None
        waits = self._anew or not self._stale
        self._go_on(max(0.0, self._beat - self._reactor.seconds()) if waits else 0.0)

    async def _work(self) -> None:
        while (connection := self._line.connection) is not None:
            if self._anew:
                self._anew = False
                self._stale.clear()
                self._beat = self._reactor.seconds() + BEAT
                await connection.ask("DEL", self._hash)
                await self._put(connection, self._registry.users)
            elif self._stale:
                users = list(self._stale)
                self._stale.clear()
                await self._put(connection, users)
            elif self._reactor.seconds() >= self._beat:
                self._beat = self._reactor.seconds() + BEAT
                await self._prolong(connection)
            else:
                return

    async def _prolong(self, connection: Connection) -> None:
        """The heartbeat, one command for all sockets; and all anew when Redis forgot them."""
        kept = await connection.ask("PEXPIRE", self._hash, round(TTL * 1000))
        if not kept:
            await self._put(connection, self._registry.users)

    async def _put(self, connection: Connection, users: Iterable[str]) -> None:
        rest = iter(list(users))
        while some := list(islice(rest, MOST)):
            here = {name: value for name in some if (value := self._value(name))}
            gone = [name for name in some if name not in here]
            answers = []
            if gone:
                answers.append(connection.ask("HDEL", self._hash, *gone))
            if here:
                pairs = [part for pair in here.items() for part in pair]
                answers.append(connection.ask("HSET", self._hash, *pairs))
                answers.append(connection.ask("PEXPIRE", self._hash, round(TTL * 1000)))
                answers.append(connection.ask("SADD", self._processes, self._origin))
            await gatherResults(answers, consumeErrors=True)

    def _value(self, user_id: str) -> str:
        """``type`` or ``type@session`` for each socket; empty for none."""
        links = self._registry.of_user(user_id)
        places = {(link.client.value, self._registry.session_of(link) or "") for link in links}
        return " ".join(f"{kind}@{place}" if place else kind for kind, place in sorted(places))


def kinds_of(value: bytes) -> list[str]:
    """The client types in what a process wrote of a user."""
    return [word.partition("@")[0] for word in value.decode("utf-8", "replace").split()]
