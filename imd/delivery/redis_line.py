"""One connection to Redis that is watched, and made anew whenever it is lost.

The bus has two, one to listen and one to speak; presence shares the second. txredisapi speaks the
protocol, and no more: its own reconnecting lets commands wait for ever, forgets subscriptions,
gives up after a refused AUTH, and takes a frozen server for a good one. So everything here has a
deadline, and :attr:`Line.connection` is there only while Redis answers. It knows no key and no
channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import txredisapi
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.logger import Logger

#: seconds until a connection must be usable, and in which an answer must come
CONNECT, ANSWER = 2.0, 2.0
#: seconds between two looks whether Redis still answers
PING = 1.0
#: seconds before it is tried again: at first, and at most
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0

#: Redis or this program said something that cannot be; the text holds nothing secret
RedisError: type[Exception] = txredisapi.RedisError


@dataclass(frozen=True, slots=True)
class Place:
    """Where Redis is, and as whom one talks to it."""

    endpoint: IStreamClientEndpoint
    user: str | None
    password: str | None
    database: int


def place_of(url: str, password: str | None, reactor: Any) -> Place:
    """The place that ``bus.url`` names (page 5.2); it has been checked."""
    parts = urlsplit(url)
    endpoint: IStreamClientEndpoint
    if parts.scheme == "unix":
        endpoint = UNIXClientEndpoint(reactor, unquote(parts.path), timeout=CONNECT)
        database = parts.query.removeprefix("db=")
    else:
        assert parts.hostname is not None
        endpoint = HostnameEndpoint(reactor, parts.hostname, parts.port or 6379, timeout=CONNECT)
        if parts.scheme == "rediss":
            endpoint = wrapClientTLS(optionsForClientTLS(parts.hostname), endpoint)
        database = parts.path.strip("/")
    user = unquote(parts.username) if parts.username else None
    if password is None and parts.password is not None:
        password = unquote(parts.password)
    return Place(endpoint, user, password, int(database or 0))


class Connection(txredisapi.SubscriberProtocol):  # type: ignore[misc]
    """Bytes in, bytes out; ``heard(payload)`` gets what a subscribed channel carries."""

    log = Logger()

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._heard = heard

    def replyReceived(self, reply: Any) -> None:
        """A message of a channel, or an answer, whole: the library keeps three parts of a list."""
        if isinstance(reply, list) and reply[:1] == [b"message"]:
            self.messageReceived(None, *reply[1:])
        else:
            self.replyQueue.put(reply)

    def messageReceived(self, pattern: object, channel: object, message: bytes) -> None:
        self._heard(message)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        try:
            super().dataReceived(data, unpause)
        except txredisapi.RedisError:
            self.log.warn("Redis sent what is not its protocol; the connection is dropped")
            self.abort()

    def tryConvertData(self, data: Any) -> Any:
        """Everything stays as it is; the library looks at each part to find that out."""
        return data

    def abort(self) -> None:
        """Drop the connection; all that waits for an answer fails."""
        self.transport.abortConnection()

    def ask(self, *command: object) -> Deferred[Any]:
        """Redis' answer to a command; fails with a RedisError. The caller sets the deadline."""
        if not self.connected:
            raise txredisapi.ConnectionError("Not connected")
        # As execute_command, without its pipelines and its own time-out.
        self.transport.write(_written(command))
        answer: Deferred[Any] = self.replyQueue.get().addCallback(self.handle_reply)
        return answer


def _written(command: Sequence[object]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        text = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


def _deaf(payload: bytes) -> None:
    """Nothing was subscribed to."""


class Line:
    """Keeps one connection to a place; ``prepare`` is carried out on each before it is used.

    ``changed`` is called when it has come or gone. ``heard`` gets messages of channels that
    ``prepare`` subscribed to.
    """

    log = Logger()

    def __init__(
        self,
        place: Place,
        reactor: Any,
        random: Random,
        prepare: Callable[[Connection], Awaitable[object]] | None = None,
        heard: Callable[[bytes], None] = _deaf,
    ) -> None:
        self._place, self.reactor, self._random = place, reactor, random
        self._prepare, self._heard = prepare, heard
        #: usable now; None while Redis is away
        self.connection: Connection | None = None
        #: called after the connection has come or gone
        self.changed: list[Callable[[], None]] = []
        #: why the last attempt failed
        self.trouble = ""
        self._life: Deferred[None] | None = None
        self._pinging: IDelayedCall | None = None

    def start(self) -> None:
        """Connect, and go on doing so."""
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(self._ended)

    def stop(self) -> None:
        """Drop the connection, and make no other."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()

    def _ended(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self.log.failure("the connection to Redis is given up", failure)

    async def _live(self) -> None:
        failed = 0
        while True:
            try:
                connection = await self._connect()
            except CancelledError:
                raise
            except Exception as error:
                # Any: a name that does not resolve, a refused port or password, silence, garbage.
                self.trouble = f"{type(error).__name__}: {error}"
                failed += 1
            else:
                failed = 0
                await self._serve(connection)
            pause = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(failed, 10))
            await deferLater(self.reactor, pause * self._random.uniform(0.5, 1.0))

    async def _connect(self) -> Connection:
        factory = Factory.forProtocol(lambda: Connection(self._heard))
        factory.noisy = False
        connecting: Deferred[Any] = self._place.endpoint.connect(factory)
        connecting.addTimeout(CONNECT, self.reactor)
        connection: Connection = await connecting
        preparing = Deferred.fromCoroutine(self._introduce(connection))
        preparing.addTimeout(CONNECT, self.reactor)
        try:
            await preparing
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _introduce(self, connection: Connection) -> None:
        place = self._place
        if place.password is not None:
            names = (place.user, place.password) if place.user else (place.password,)
            await connection.ask("AUTH", *names)
        if place.database:
            await connection.ask("SELECT", place.database)
        if self._prepare is not None:
            await self._prepare(connection)
        # A frozen server's port still takes connections: only an answer shows that it lives.
        await connection.ask("PING")

    async def _serve(self, connection: Connection) -> None:
        """Until the connection is gone."""
        gone: Deferred[object] = connection.whenDisconnected()
        if not connection.connected:
            return
        self.connection = connection
        self._ping(connection)
        self._tell()
        try:
            await gone
        finally:
            if self._pinging is not None:
                self._pinging.cancel()
                self._pinging = None
            connection.abort()
            self.connection = None
            self.trouble = "the connection was lost"
            self._tell()

    def _ping(self, connection: Connection) -> None:
        """Ask for a sign of life; answers come in order, so it speaks for all before it."""

        def silent() -> None:
            self._pinging = None
            connection.abort()

        def answered(_: object) -> None:
            if self._pinging is not None and self.connection is connection:
                self._pinging.cancel()
                self._pinging = self.reactor.callLater(PING, self._ping, connection)

        self._pinging = self.reactor.callLater(ANSWER, silent)
        connection.ask("PING").addCallbacks(answered, lambda _: None)

    def _tell(self) -> None:
        for changed in self.changed:
            changed()
