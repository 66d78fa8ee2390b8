"""``badge`` to a user's outer sockets: when it changes, at most once a second (page 3.3).

The courier says whose total may have changed; the totals are read for all who are due in one
query. The last value always arrives, though it may come up to a second late. It knows nothing of
messages, and does nothing for users without an outer socket here.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Database, Transaction
from imd.delivery.outages import log_failed_read
from imd.delivery.registry import Link, Registry
from imd.wire.codec import encode
from imd.wire.frames import notification, text_frame

#: seconds between two badges of one user, and before a failed read is tried again
PAUSE = 1.0


class Shown:
    """What one user's sockets show: the last badge by token limits, and when it was checked."""

    __slots__ = ("at", "values")

    def __init__(self) -> None:
        self.at = float("-inf")
        self.values: dict[frozenset[str] | None, int] = {}


class Badges:
    log = Logger()

    def __init__(self, db: Database, registry: Registry, reactor: IReactorTime) -> None:
        self._db, self._registry, self._reactor = db, registry, reactor
        self._shown: dict[str, Shown] = {}
        self._stale: dict[str, None] = {}
        self._timer: IDelayedCall | None = None
        self._reading: Deferred[None] | None = None

    def shown(self, link: Link, total: int) -> None:
        """A login result told this socket its total; older sockets may show another."""
        shown = self._shown.setdefault(link.user_id, Shown())
        if shown.values.setdefault(link.sid, total) != total:
            self.stale(link.user_id)

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user whose last outer socket is gone."""
        if not self._registry.outer(user_id):
            self._shown.pop(user_id, None)
            self._stale.pop(user_id, None)

    def stale(self, user_id: str) -> None:
        """This user's total may have changed."""
        if user_id not in self._stale and self._registry.outer(user_id):
            self._stale[user_id] = None
            self._schedule(self._due(user_id))

    def stop(self) -> None:
        """No more reads."""
        self._stale.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.cancel()

    def _due(self, user_id: str) -> float:
        shown = self._shown.get(user_id)
        return shown.at + PAUSE if shown is not None else float("-inf")

    def _schedule(self, due: float) -> None:
        """Look at who is due at this time, or when the read that is under way has ended."""
        now = self._reactor.seconds()
        if self._reading is not None:
            return
        if self._timer is not None:
            if self._timer.getTime() <= max(due, now):
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(max(0.0, due - now), self._ripe)

    def _schedule_next(self) -> None:
        if self._stale:
            self._schedule(min(map(self._due, self._stale)))

    def _ripe(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        users = [user_id for user_id in self._stale if self._due(user_id) <= now]
        for user_id in users:
            del self._stale[user_id]
        if not users:
            self._schedule_next()
            return
        self._reading = Deferred.fromCoroutine(self._read(users))
        self._reading.addErrback(self._lost).addCallback(self._done)

    async def _read(self, users: list[str]) -> None:
        totals: Mapping[str, Mapping[str, int]] = {}
        try:
            totals = await self._db.read(_totals, users)
        except CancelledError:
            raise
        except Exception:
            log_failed_read(self.log, "badges not read; users: {users}", users=len(users))
        now = self._reactor.seconds()
        for user_id in users:
            if not self._registry.outer(user_id):
                continue
            self._shown.setdefault(user_id, Shown()).at = now
            if user_id in totals:
                self._show(user_id, totals[user_id])
            else:
                self._stale[user_id] = None

    def _show(self, user_id: str, unread: Mapping[str, int]) -> None:
        shown, frames = self._shown[user_id], {}
        for link in self._registry.outer(user_id):
            sid = link.sid
            if sid not in frames:
                number = sum(n for name, n in unread.items() if sid is None or name in sid)
                changed = shown.values.get(sid) != number
                shown.values[sid] = number
                frames[sid] = _badge(number) if changed else None
            frame = frames[sid]
            if frame is not None:
                link.write(frame)

    def _done(self, _: object) -> None:
        self._reading = None
        self._schedule_next()

    def _lost(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("badges failed", failure)


def _badge(number: int) -> bytes:
    return text_frame(notification("badge", encode({"badge_no": number})))


def _totals(tx: Transaction, users: list[str]) -> dict[str, dict[str, int]]:
    return {user_id: tx.sessions.unread(user_id) for user_id in users}
