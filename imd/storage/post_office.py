"""The outbox as the push room sees it: every act one transaction in a thread.

Implements :class:`imd.push.ports.Outbox` over the store's database port; wiring hands it to the
postman. It holds no rule of push.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from imd.actions.ports import Clock
from imd.domain.events import EventType, HookClaim
from imd.domain.push import Claim, Device, Facts, Failure, State, Token
from imd.storage.overdue import count_overdue, note_overdue, waits
from imd.storage.store import Database
from imd.storage.transaction import Transaction
from imd.storage.webhooks import id_in


class PostOffice:
    """Implements the push room's ports; times are ms."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db, self._clock = database, clock

    # ---- the outbox

    def claim(
        self, channel: str, limit: int, lease: int, name: str, probe: bool
    ) -> Deferred[list[Claim]]:
        """Hold due rows for ``lease`` ms."""
        now = self._clock.now()

        def work(tx: Transaction) -> list[Claim]:
            return tx.outbox.claim(channel, limit, now, lease, name, probe)

        return self._write(work)

    def facts(self, claims: Sequence[Claim]) -> Deferred[list[Facts]]:
        """What is known about each claim at this moment."""

        def look(tx: Transaction) -> list[Facts]:
            return [tx.outbox.facts(claim) for claim in claims]

        return self._read(look)

    def next_due(self, channel: str) -> Deferred[int | None]:
        """When the next row comes due."""
        now = self._clock.now()
        return self._read(lambda tx: tx.outbox.next_due(channel, now))

    def end(self, claim: Claim, state: State, code: str | None = None) -> Deferred[None]:
        """The push is over."""
        now = self._clock.now()
        return self._write(lambda tx: tx.outbox.end(claim, state, code, now))

    def put_off(self, claim: Claim, due: int) -> Deferred[None]:
        """Nothing was tried; the row is due at ``due``."""
        return self._write(lambda tx: tx.outbox.put_off(claim, due))

    def retry(self, claim: Claim, due: int, failure: Failure, code: str) -> Deferred[None]:
        """An attempt failed; the row is due at ``due``."""
        return self._write(lambda tx: tx.outbox.retry(claim, due, failure, code))

    def hurry(self, channel: str) -> Deferred[int]:
        """The channel is back; what waited for that is due at once."""
        now = self._clock.now()
        return self._write(lambda tx: tx.outbox.hurry(channel, now))

    def park(self, channel: str, until: int, code: str) -> Deferred[None]:
        """The channel sends nothing before ``until``, in no process."""
        return self._write(lambda tx: tx.outbox.park(channel, until, code))

    # ---- webhooks

    def claim_hooks(
        self, endpoint: str, limit: int, lease: int, name: str, probe: bool
    ) -> Deferred[list[HookClaim]]:
        """Hold the next event of each key that is due."""
        now = self._clock.now()

        def work(tx: Transaction) -> list[HookClaim]:
            return tx.webhooks.claim(endpoint, limit, now, lease, name, probe)

        return self._write(work)

    def next_hook(self, endpoint: str) -> Deferred[int | None]:
        """When the next event comes due."""
        return self._read(lambda tx: tx.webhooks.next_due(endpoint))

    def hook_delivered(self, endpoint: str, claim: HookClaim) -> Deferred[None]:
        """The endpoint took it."""
        return self._write(lambda tx: tx.webhooks.delivered(endpoint, claim))

    def hook_failed(
        self, endpoint: str, claim: HookClaim, due: int | None, code: str, patience: int
    ) -> Deferred[bool]:
        """An attempt failed; True when the endpoint is given up now."""
        now = self._clock.now()
        return self._write(lambda tx: tx.webhooks.failed(endpoint, claim, due, code, now, patience))

    def hook_outdated(self, endpoint: str, claim: HookClaim) -> Deferred[bool]:
        """Whether an event is not true any more, and is dropped: its topic does not wait now."""

        def work(tx: Transaction) -> bool:
            if claim.type != EventType.TOPIC_OVERDUE or waits(tx.connection, id_in(claim.data)):
                return False
            tx.webhooks.dropped(claim)
            return True

        return self._write(work)

    def note_overdue(self, latest: Mapping[int, int]) -> Deferred[int]:
        """Events for topics that wait since ``latest`` (ms by session type) or longer."""
        return self._write(lambda tx: note_overdue(tx, latest))

    def count_overdue(self, latest: Mapping[int, int]) -> Deferred[int]:
        """How many topics wait since ``latest`` or longer."""
        return self._read(lambda tx: count_overdue(tx.connection, latest))

    def note_presence(self, words: Mapping[str, bool]) -> Deferred[None]:
        """An event for each user who came (True) or is gone."""

        def work(tx: Transaction) -> None:
            for user_id, came in words.items():
                type_ = EventType.USER_ONLINE if came else EventType.USER_OFFLINE
                tx.events.note(type_, user_id, user_id, partial(tx.users.get, user_id))

        return self._write(work)

    def hurry_hooks(self, endpoint: str) -> Deferred[int]:
        """The endpoint is back; what waited for that is due at once."""
        now = self._clock.now()
        return self._write(lambda tx: tx.webhooks.hurry(endpoint, now))

    # ---- figures and old rows

    def figures(self) -> Deferred[tuple[dict[tuple[str, str], int], int | None]]:
        """How many pushes by channel and state, and when the oldest came due."""

        def look(tx: Transaction) -> tuple[dict[tuple[str, str], int], int | None]:
            return tx.pushes.totals(), tx.pushes.oldest_due()

        return self._read(look)

    def purge(self, before: int, stale: int, endpoints: Collection[str]) -> Deferred[int]:
        """Forget what ended before ``before``, and what nobody sends since ``stale``.

        Events for others than these endpoints become dead letters then.
        """

        def work(tx: Transaction) -> int:
            left = tx.webhooks.abandon(endpoints, stale)
            return left + tx.pushes.purge(before, stale) + tx.webhooks.purge(before)

        return self._write(work)

    # ---- users and their addresses

    def refuse(self, user_id: str, code: str) -> Deferred[None]:
        """The provider refused this user for good."""
        return self._write(lambda tx: tx.outbox.refuse(user_id, code))

    def spend_credit(self, user_id: str, left: int | None = None) -> Deferred[None]:
        """A subscribe message was used up."""
        return self._write(lambda tx: tx.outbox.spend_credit(user_id, left))

    def forget_devices(self, user_id: str, devices: Sequence[Device]) -> Deferred[None]:
        """The provider knows these devices no more."""

        def work(tx: Transaction) -> None:
            for device in devices:
                tx.outbox.forget_device(user_id, device.client_id)

        return self._write(work)

    # ---- tokens of providers

    def take_token(self, name: str, stale: str | None, lease: int) -> Deferred[Token]:
        """The token that all processes share, or the leave to fetch one (for ``lease`` ms).

        ``stale`` is a token that the provider has refused.
        """
        now = self._clock.now()
        return self._write(lambda tx: tx.tokens.take(name, stale, now, lease))

    def put_token(self, name: str, value: str | None, expires: int, forced: bool) -> Deferred[None]:
        """What was fetched, or nothing; either way the lease is given back."""
        at = self._clock.now() if forced else None
        return self._write(lambda tx: tx.tokens.put(name, value, expires, at))

    def _write(self, work: Any) -> Deferred[Any]:
        return self._db.write(work)

    def _read(self, work: Any) -> Deferred[Any]:
        return self._db.read(work)
