"""Presence across processes: who has a socket, of which client type, in which session (page 4.3).

Each process keeps one hash in Redis: its users, and for each what sockets it has here. The hash
lives :data:`TTL` seconds unless its process prolongs it, so a dead process's users are gone with
it, and an idle socket costs nothing. Whoever asks reads the hashes of all processes in one command,
and never waits long: while Redis is away the answer is what this process knows by itself. Who is
said to come and go it does not know; :mod:`imd.delivery.redis_attendance` reads the same hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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
    found[#found + 1] = redis.call('HMGET', KEYS[2] .. process, unpack(ARGV, 2))
  end
end
return found
"""
#: KEYS: the same; the processes that are dead
_LOST = """
local lost = {}
for _, process in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', KEYS[2] .. process) == 0 then
    lost[#lost + 1] = process
  end
end
return lost
"""
#: a field of each hash that is no user: without it the hash is not whole, and its process is dead
LIFE = ""


def _nobody(user_id: str) -> bool:
    return False


def _nothing() -> None:
    """Nobody wants to know."""


class RedisPresence:
    """Implements :class:`imd.actions.ports.Presence` over a line to Redis that others use too.

    ``registry`` knows the sockets of this process, and says whose change.
    """

    log = Logger()

    def __init__(self, line: Line, registry: Registry, *, epoch: str, origin: str) -> None:
        self._line, self._reactor, self._registry = line, line.reactor, registry
        self._local = LocalPresence(registry)
        self._origin = origin
        #: keys: the set of processes, and what their hashes' names begin with
        self.processes, self.hashes = f"imd:{epoch}:processes", f"imd:{epoch}:presence:"
        self._hash = self.hashes + origin
        #: whose entry stays, without a socket (page 4.4: not yet believed to be gone)
        self.lingers: Callable[[str], bool] = _nobody
        #: called when all has been written to a Redis that did not know it
        self.renewed: Callable[[], None] = _nothing
        #: told at each heartbeat which processes are dead, and forgets them; else it is done here
        self.beaten: Callable[[list[bytes]], None] | None = None
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
        connection = self.connection
        if connection is not None:
            parting = Deferred.fromCoroutine(self._part(connection))
            parting.addTimeout(DEADLINE, self._reactor).addErrback(lambda _: None)
            await parting

    async def _part(self, connection: Connection) -> None:
        if self.beaten is None:
            gone = connection.ask("SREM", self.processes, self._origin)
            await gatherResults([gone, connection.ask("DEL", self._hash)], consumeErrors=True)
            return
        # Who was here has a while to come back elsewhere; then the others miss this process.
        await self.put(connection, self._stale)
        await connection.ask("PEXPIRE", self._hash, round(TTL * 1000))

    # ---- asking

    async def clients(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        """Client types by user, each once, sorted; a user without sockets is left out."""
        found = {name: set(kinds) for name, kinds in (await self._local.clients(user_ids)).items()}
        names = list(dict.fromkeys(user_ids))
        while names and self._line.connection is not None and self._late is None:
            some, names = names[:MOST], names[MOST:]
            for name, value in await self._elsewhere(self._line.connection, some):
                if kinds := kinds_of(value):
                    found.setdefault(name, set()).update(kinds)
        return {name: sorted(kinds) for name, kinds in found.items()}

    async def _elsewhere(self, connection: Connection, names: list[str]) -> list[tuple[str, bytes]]:
        asking = connection.ask("EVAL", _LOOK, 2, self.processes, self.hashes, self._origin, *names)
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
                self._stale.clear()
                self._beat = self._reactor.seconds() + BEAT
                await self._renew(connection)
                self._anew = False
                self.renewed()
            elif self._stale:
                users = list(self._stale)
                self._stale.clear()
                await self.put(connection, users)
            elif self._reactor.seconds() >= self._beat:
                self._beat = self._reactor.seconds() + BEAT
                await self._prolong(connection)
            else:
                return

    async def _renew(self, connection: Connection) -> None:
        """All in one step, so that nobody seems to be gone meanwhile."""
        fresh = f"{self._hash}:fresh"
        begun = [connection.ask("DEL", fresh), connection.ask("HSET", fresh, LIFE, LIFE)]
        await gatherResults(begun, consumeErrors=True)
        await self.put(connection, self._registry.users, fresh)
        done = [
            connection.ask("PEXPIRE", fresh, round(TTL * 1000)),
            connection.ask("RENAME", fresh, self._hash),
            connection.ask("SADD", self.processes, self._origin),
        ]
        await gatherResults(done, consumeErrors=True)

    async def _prolong(self, connection: Connection) -> None:
        """The heartbeat, for all sockets; and all anew when Redis forgot them."""
        alive, _, lost = await gatherResults(
            [
                connection.ask("HEXISTS", self._hash, LIFE),
                connection.ask("PEXPIRE", self._hash, round(TTL * 1000)),
                connection.ask("EVAL", _LOST, 2, self.processes, self.hashes),
            ],
            consumeErrors=True,
        )
        if not alive:
            self._anew = True
        elif self.beaten is not None:
            self.beaten(lost)
        elif lost:
            await connection.ask("SREM", self.processes, *lost)

    @property
    def connection(self) -> Connection | None:
        """A connection to a Redis that knows all who are here; None while it does not."""
        return None if self._anew else self._line.connection

    async def put(
        self, connection: Connection, users: Iterable[str], key: str | None = None
    ) -> None:
        """Write down what sockets these users have here, if any."""
        key, rest = key or self._hash, iter(list(users))
        while some := list(islice(rest, MOST)):
            values = {name: self._value(name) for name in some}
            here = [part for name, value in values.items() if value is not None
                    for part in (name, value)]  # fmt: skip
            gone = [name for name, value in values.items() if value is None]
            answers = []
            if gone:
                answers.append(connection.ask("HDEL", key, *gone))
            if here:
                answers.append(connection.ask("HSET", key, *here))
                answers.append(connection.ask("PEXPIRE", key, round(TTL * 1000)))
            await gatherResults(answers, consumeErrors=True)

    def _value(self, user_id: str) -> str | None:
        """``type`` or ``type@session`` for each socket; empty for who lingers, None for none."""
        links = self._registry.of_user(user_id)
        if not links:
            return "" if self.lingers(user_id) else None
        places = {(link.client.value, self._registry.session_of(link) or "") for link in links}
        return " ".join(f"{kind}@{place}" if place else kind for kind, place in sorted(places))


def kinds_of(value: bytes) -> list[str]:
    """The client types in what a process wrote of a user."""
    return [word.partition("@")[0] for word in value.decode("utf-8", "replace").split()]
