"""The bus on Redis: one channel on which every process of a store speaks and listens (page 4.3).

:mod:`imd.service.wiring` makes it when ``bus.url`` is set. Hints of one reactor turn go out in one
PUBLISH; when Redis does not keep up they wait, up to a bound, and what is lost is told as such when
it is back. It knows no feed and no database.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.delivery.bus import Gathered, Listener
from imd.delivery.redis_line import Connection, Line
from imd.wire.hints import MOST_HINTS, AnyHint, Bundle, Missed, encode_bundle, parse_bundle

#: bundles that Redis has not answered yet
MOST_UNANSWERED = 32
#: seconds that a start waits for Redis
PATIENCE = 1.0
#: ms before the loss of a connection of which it is not known what arrived
DOUBT = 5000


def channel_of(epoch: str) -> str:
    """Where the processes of one store meet; Redis' channels know no database numbers."""
    return f"imd:{epoch}:hints"


def _unmeasured(seconds: float) -> None:
    """Where there are no metrics."""


class RedisBus:
    """Implements :class:`imd.delivery.bus.Bus`.

    ``speaking`` is a line to Redis that others may use too; ``listening`` makes one of the bus's
    own from what is done with each new connection and what takes its messages. ``now`` gives ms.
    """

    log = Logger()

    def __init__(
        self,
        speaking: Line,
        listening: Callable[..., Line],
        *,
        epoch: str,
        origin: str,
        now: Callable[[], int],
    ) -> None:
        self.epoch, self.origin, self._now = epoch, origin, now
        #: told how many seconds each bundle was under way
        self.took: Callable[[float], None] = _unmeasured
        #: how each bundle of this process begins, which comes back to it too
        self._own = encode_bundle(Bundle(epoch, origin, 0, [])).partition(b',"time"')[0]
        self.sent = self.received = self.dropped = 0
        self._channel = channel_of(epoch)
        self._speaking, self._reactor = speaking, speaking.reactor
        self._listening = listening(self._subscribe, self._take)
        self._gathered = Gathered()
        self._flushing: IDelayedCall | None = None
        self._unanswered = 0
        #: since when (ms) hints were lost that the others must be told of; None: none were
        self._missed: int | None = None
        self._was_up = False
        self._listener: Listener | None = None
        self._starting: Deferred[None] | None = None

    @property
    def up(self) -> bool:
        return self._listening.connection is not None and self._speaking.connection is not None

    async def start(self, listener: Listener) -> None:
        """Subscribe; waits for it a short while, and then goes on without."""
        self._listener = listener
        self._speaking.changed.append(self._speaking_changed)
        self._listening.changed.append(self._listening_changed)
        self._listening.start()
        if not self.up:
            self._starting = Deferred()
            self._starting.addTimeout(PATIENCE, self._reactor, lambda *_: None)
            await self._starting
            self._starting = None
        if not self.up:
            self.log.warn(
                "the bus is away, and imd starts without it: {trouble}", trouble=self._trouble()
            )

    async def stop(self) -> None:
        """Send what waits, as far as Redis takes it at once, and leave."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flush()
        self._listener = None
        self._speaking.changed.remove(self._speaking_changed)
        self._listening.changed.remove(self._listening_changed)
        self._listening.stop()

    # ---- out

    def tell(self, hint: AnyHint) -> None:
        if self._listener is None:
            return
        if not self._gathered.add(hint):
            self._lose(1)
        if self._flushing is None:
            self._flushing = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        connection = self._speaking.connection
        if connection is None:
            self._lose(self._gathered.clear())
            return
        if self._missed is not None and self._gathered.add(Missed(max(0, self._missed))):
            self._missed = None
        while self._gathered and self._unanswered < MOST_UNANSWERED:
            hints = self._gathered.take(MOST_HINTS)
            bundle = encode_bundle(Bundle(self.epoch, self.origin, self._now(), hints))
            self._unanswered += 1
            connection.ask("PUBLISH", self._channel, bundle).addCallbacks(
                self._published, self._failed, callbackArgs=(len(hints),), errbackArgs=(len(hints),)
            )

    def _published(self, _: object, number: int) -> None:
        self.sent += number
        self._answered(bool(self._gathered) or self._missed is not None)

    def _failed(self, failure: Failure, number: int) -> None:
        """The connection was lost, which is told elsewhere; or Redis refuses, and will again."""
        self._lose(number)
        self._answered(bool(self._gathered))

    def _answered(self, more: bool) -> None:
        self._unanswered -= 1
        if more and self._flushing is None and self._listener is not None:
            self._flushing = self._reactor.callLater(0, self._flush)

    def _lose(self, number: int) -> None:
        if number:
            self.dropped += number
            self._doubt(self._now())

    def _doubt(self, since: int) -> None:
        """Hints told since then may not have arrived."""
        self._missed = since if self._missed is None else min(self._missed, since)

    # ---- in

    async def _subscribe(self, connection: Connection) -> None:
        # Its answer is the confirmation: what is published from then on arrives.
        await connection.ask("SUBSCRIBE", self._channel)

    def _take(self, payload: bytes) -> None:
        if payload.startswith(self._own):
            return
        bundle = parse_bundle(payload)
        if bundle is None:
            self.dropped += 1
            self.log.warn("what came over the bus is no hint; bytes: {bytes}", bytes=len(payload))
        elif bundle.epoch == self.epoch and bundle.origin != self.origin:
            self.received += len(bundle.hints)
            self.took(max(0, self._now() - bundle.time) / 1000)
            if self._listener is not None:
                try:
                    self._listener.hear(bundle)
                except Exception:
                    self.log.failure("hints were not taken; a sweep mends it")

    # ---- the lines

    def _speaking_changed(self) -> None:
        if self._speaking.connection is None:
            self._doubt(self._now() - DOUBT)
        elif self._missed is not None and self._flushing is None:
            self._flushing = self._reactor.callLater(0, self._flush)
        self._changed()

    def _listening_changed(self) -> None:
        if self._listening.connection is not None and self._listener is not None:
            self._listener.regained()
        self._changed()

    def _changed(self) -> None:
        if self.up == self._was_up:
            return
        self._was_up = self.up
        if self.up:
            self.log.info("the bus is there")
        else:
            self.log.warn("the bus is away: {trouble}", trouble=self._trouble())
        if self._starting is not None and self.up:
            self._starting.callback(None)

    def _trouble(self) -> str:
        return self._speaking.trouble or self._listening.trouble or "no answer"
