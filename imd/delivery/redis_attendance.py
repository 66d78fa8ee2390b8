"""Who came and who is gone, judged for all processes at once in Redis (page 4.4, ``user.*``).

One hash holds whom the platform was last told to be there. What it should have been told stands in
the hashes of presence, and one script compares the two, so of all processes one is given the word,
and the claim stays written down until it has been said: should that process die, another says it.
While Redis is away each process goes by what it said itself; then it makes that known. It says
nothing itself; :class:`imd.delivery.attendance.Attendance` does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from imd.delivery import redis_presence
from imd.delivery.attendance import Attendance, LocalJudge, Words
from imd.delivery.redis_line import Connection
from imd.delivery.redis_presence import LIFE, RedisPresence

#: ms for which it stays known who was there when no process is left
MEMORY: Final = 86_400_000
#: users in one step over the whole hash
STEP: Final = 200

#: KEYS: who was told to be there, the set of processes, what their hashes' names begin with.
#: ARGV: who asks; then users, each with what was said of it: +, - or nothing.
#: A user's field is "=" when all has been said, else +PROCESS or -PROCESS: that one is to say it.
_JUDGE = """
local processes, words = redis.call('SMEMBERS', KEYS[2]), {}
local function there(user)
  for _, process in ipairs(processes) do
    if redis.call('HEXISTS', KEYS[3] .. process, user) == 1 then return true end
  end
  return false
end
for i = 2, #ARGV, 2 do
  local user, told = ARGV[i], ARGV[i + 1]
  local field = redis.call('HGET', KEYS[1], user)
  local teller = field and field ~= '=' and string.sub(field, 2)
  local word = ''
  if told ~= '' or not teller or teller == ARGV[1]
      or redis.call('HEXISTS', KEYS[3] .. teller, '') == 0 then
    local said = field == '='
    if told ~= '' then said = told == '+'
    elseif teller then said = string.sub(field, 1, 1) == '-' end
    local is = there(user)
    if is ~= said then
      word = is and '+' or '-'
      redis.call('HSET', KEYS[1], user, word .. ARGV[1])
    elseif is then
      redis.call('HSET', KEYS[1], user, '=')
    else
      redis.call('HDEL', KEYS[1], user)
    end
  end
  words[#words + 1] = word
end
return words
"""
#: KEYS: who was told to be there; ARGV: a name for its life if it begins now, ms. Its name.
_OPEN = """
redis.call('HSETNX', KEYS[1], '', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], '')
"""


class RedisJudge:
    """Implements :class:`imd.delivery.attendance.Judge` beside this process's presence."""

    log = Logger()

    def __init__(self, presence: RedisPresence, reactor: Any, *, epoch: str, origin: str) -> None:
        self._presence, self._reactor, self._origin = presence, reactor, origin
        self._known = f"imd:{epoch}:attendance"
        self._names = count()
        self._attendance: Attendance | None = None
        #: what is gone by without Redis: whom this process knows to have been told of
        self._local = LocalJudge()
        #: words said that Redis does not know yet
        self._said: dict[str, bool] = {}
        #: the life of the hash that was last seen, and the connection on which all was caught up
        self._life: object = None
        self._connection: Connection | None = None
        #: set until others had time to come back after Redis did; after an outage, whoever seems to
        #: be gone waits for it
        self._settling: IDelayedCall | None = None
        self._later: set[str] | None = None
        self._beside: set[Deferred[None]] = set()

    def start(self, attendance: Attendance) -> None:
        """Presence keeps who lingers, and tells of its heart and of each new beginning."""
        self._attendance = attendance
        presence = self._presence
        presence.lingers, presence.renewed = attendance.lingers, self._return
        presence.beaten = self._beaten
        if presence.connection is not None:
            self._return()

    def stop(self) -> None:
        """Whoever is here stays written down for a while; the others see to them."""
        self._presence.renewed = lambda: None
        self._presence.beaten = lambda lost: None
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        for work in list(self._beside):
            work.cancel()

    # ---- judging

    async def judge(self, here: Words, told: Words) -> Words:
        """As the port says; without Redis by what this process knows."""
        for user_id, came in told.items():
            self._local.note(user_id, came)
            self._said[user_id] = came
        connection = self._presence.connection
        if connection is not None and connection is self._connection:
            if self._later is not None:
                self._later.update(user_id for user_id, is_here in here.items() if not is_here)
                here = {user_id: True for user_id, is_here in here.items() if is_here}
            try:
                return await self._ask(connection, here) if here else {}
            except CancelledError:
                raise
            except Exception as error:
                self.log.debug("attendance is not known: {kind}", kind=type(error).__name__)
        return await self._local.judge(here, {})

    async def _ask(self, connection: Connection, here: Words) -> Words:
        signs = {None: "", True: "+", False: "-"}
        said = {user_id: self._said[user_id] for user_id in here if user_id in self._said}
        users = [part for user_id in here for part in (user_id, signs[said.get(user_id)])]

        keys = (self._known, self._presence.processes, self._presence.hashes)

        async def judged() -> Any:
            return await connection.ask("EVAL", _JUDGE, 3, *keys, self._origin, *users)

        # Presence is written first, by the same connection: whoever came or went is so for all.
        both: list[Any] = [self._presence.put(connection, here), judged()]
        _, words = await gatherResults(map(Deferred.fromCoroutine, both), consumeErrors=True)
        given = {user_id: word == b"+" for user_id, word in zip(here, words, strict=True) if word}
        for user_id in said:
            del self._said[user_id]
        for user_id, is_here in here.items():
            if user_id not in given:
                self._local.note(user_id, is_here)
        return given

    # ---- Redis comes back, and others die

    def _return(self) -> None:
        """Presence is written: what was said meanwhile follows."""
        self._go(self._catch_up)

    async def _catch_up(self) -> None:
        connection, attendance = self._presence.connection, self._attendance
        if connection is None or attendance is None:
            return
        name = f"{self._origin}:{next(self._names)}"
        life = await connection.ask("EVAL", _OPEN, 1, self._known, name, MEMORY)
        # Of one who came it may say so again; of one who is gone it has to know that it did.
        self._said = {user_id: came for user_id, came in self._said.items() if not came}
        if life != self._life:  # it knows nothing of what was said before
            self._said.update(dict.fromkeys(self._local.said, True))
        self._later = {*self._said, *(self._later or ())} if self._life or self._said else None
        self._life, self._connection = life, connection
        if self._settling is not None:
            self._settling.cancel()
        self._settling = self._reactor.callLater(redis_presence.TTL, self._settle)
        attendance.look(attendance.users)

    def _settle(self) -> None:
        """Whoever was to come back with Redis has: who is missing now is gone."""
        self._settling, later, self._later = None, self._later, None
        if self._attendance is not None:
            self._attendance.look(later or ())

    def _beaten(self, lost: list[bytes]) -> None:
        """A heartbeat; who was told to be there and was in a process that is lost is looked at."""

        async def look() -> None:
            connection = self._presence.connection
            if connection is None or connection is not self._connection:
                return
            await connection.ask("PEXPIRE", self._known, MEMORY)
            await connection.ask("PEXPIRE", self._presence.processes, MEMORY)
            if lost and self._settling is None:
                await self._look_at_all(connection)
                await connection.ask("SREM", self._presence.processes, *lost)

        if not self._beside:
            self._go(look)

    async def _look_at_all(self, connection: Connection) -> None:
        cursor: bytes = b"0"
        while self._attendance is not None:
            cursor, found = await connection.ask("HSCAN", self._known, cursor, "COUNT", STEP)
            users = [name.decode("utf-8", "replace") for name in found[::2]]
            self._attendance.look(name for name in users if name != LIFE)
            if cursor == b"0":
                return

    def _go(self, work: Callable[[], Any]) -> None:
        going: Deferred[None] = Deferred.fromCoroutine(work())
        self._beside.add(going)
        going.addErrback(self._failed)
        going.addBoth(lambda _: self._beside.discard(going))

    def _failed(self, failure: Any) -> None:
        """Redis went away, and comes back with a new beginning; or the next heartbeat does it."""
        if not failure.check(CancelledError):
            self.log.debug("attendance is not looked at: {kind}", kind=failure.type.__name__)
