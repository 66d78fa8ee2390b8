"""A provider's access token, fetched once for all processes and asked for by all channels.

In a process at most one asks the shelf at a time; between processes the shelf's lease decides
who fetches (page 4.4). It refuses to know how a provider hands tokens out: ``fetch`` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from imd.push.http import Unreachable
from imd.push.ports import Clock, TokenShelf

#: ms for which a process that fetches keeps the others waiting
LEASE: Final = 15_000
#: seconds between two looks at the shelf while another process fetches, and how often
WAIT: Final = 0.25
LOOKS: Final = 40
#: a token is not used in the last tenth of its life, five minutes at most
_TENTH, _MARGIN = 0.1, 300.0


class Fresh(NamedTuple):
    """A token from the provider, and its life in seconds."""

    value: str
    seconds: float


class NoToken(Exception):
    """The provider gives none; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


#: asks the provider; True for a wholly new token. Raises NoToken or Unreachable
Fetch = Callable[[bool], Awaitable[Fresh]]


class TokenKeeper:
    """One provider account's token, named ``name`` on the shelf."""

    def __init__(
        self, reactor: Any, clock: Clock, shelf: TokenShelf, name: str, fetch: Fetch
    ) -> None:
        self._reactor, self._clock, self._shelf = reactor, clock, shelf
        self._name, self._fetch = name, fetch
        self._value, self._expires = "", 0
        self._asking: list[Deferred[str]] | None = None

    async def get(self, stale: str | None = None) -> str:
        """A token other than ``stale``, which the provider has refused.

        Raises NoToken or Unreachable when none is to be had now.
        """
        if self._value and self._value != stale and self._clock.now() < self._expires:
            return self._value
        waiting: Deferred[str] = Deferred()
        if self._asking is not None:
            self._asking.append(waiting)
            return await waiting
        self._asking = [waiting]
        asked: Deferred[str] = Deferred.fromCoroutine(self._ask(stale))
        asked.addBoth(self._tell)
        return await waiting

    def _tell(self, result: str | Failure) -> None:
        asking, self._asking = self._asking or [], None
        for waiting in asking:
            if not waiting.called:
                waiting.callback(result)

    async def _ask(self, stale: str | None) -> str:
        for _ in range(LOOKS):
            token = await self._shelf.take_token(self._name, stale, LEASE)
            if token.value is not None:
                self._value, self._expires = token.value, token.expires
                return token.value
            if token.fetch:
                return await self._refresh(stale, token.force)
            await deferLater(self._reactor, WAIT, lambda: None)
        raise NoToken("token_timeout")

    async def _refresh(self, stale: str | None, may_force: bool) -> str:
        forced = False
        try:
            fresh = await self._fetch(False)
            if fresh.value == stale and may_force:
                forced = True
                fresh = await self._fetch(True)
        except (NoToken, Unreachable):
            await self._shelf.put_token(self._name, None, 0, forced)
            raise
        margin = min(_MARGIN, fresh.seconds * _TENTH)
        expires = self._clock.now() + round((fresh.seconds - margin) * 1000)
        await self._shelf.put_token(self._name, fresh.value, expires, forced)
        self._value, self._expires = fresh.value, expires
        return fresh.value
