"""What the push room needs from the others, and what the postman needs from a channel.

Storage's post office and delivery's presence stand behind these; tests stand others there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from imd.domain.push import Claim, Device, Facts, Failure, State, Token


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""


class Outbox(Protocol):
    """What waits to be pushed; times are ms, every act is durable when it fires."""

    def claim(
        self, channel: str, limit: int, lease: int, name: str, probe: bool
    ) -> Awaitable[list[Claim]]:
        """Hold due rows for ``lease``; a ``probe`` takes one that waits for the channel too."""

    def facts(self, claims: Sequence[Claim]) -> Awaitable[list[Facts]]: ...

    def next_due(self, channel: str) -> Awaitable[int | None]: ...

    def end(self, claim: Claim, state: State, code: str | None = None) -> Awaitable[None]: ...

    def put_off(self, claim: Claim, due: int) -> Awaitable[None]: ...

    def retry(self, claim: Claim, due: int, failure: Failure, code: str) -> Awaitable[None]: ...

    def hurry(self, channel: str) -> Awaitable[int]: ...

    def park(self, channel: str, until: int, code: str) -> Awaitable[None]: ...

    def refuse(self, user_id: str, code: str) -> Awaitable[None]: ...

    def spend_credit(self, user_id: str, left: int | None = None) -> Awaitable[None]: ...

    def forget_devices(self, user_id: str, devices: Sequence[Device]) -> Awaitable[None]: ...


class TokenShelf(Protocol):
    """Tokens that all processes share."""

    def take_token(self, name: str, stale: str | None, lease: int) -> Awaitable[Token]: ...

    def put_token(
        self, name: str, value: str | None, expires: int, forced: bool
    ) -> Awaitable[None]: ...


class Sent(NamedTuple):
    """The provider took it; ``forget`` are devices that it knows no more."""

    code: str = "0"
    forget: tuple[Device, ...] = ()


class Failed(NamedTuple):
    """To be tried again, not before ``after`` seconds where the provider said so."""

    failure: Failure
    code: str
    after: float | None = None


class Refused(NamedTuple):
    """Final. ``user`` when it is the user who cannot be reached, whatever is sent.

    ``forget`` are devices that the provider knows no more; ``state`` says how the push ends.
    """

    code: str
    user: bool = False
    forget: tuple[Device, ...] = ()
    state: State = State.DEAD


Outcome = Sent | Failed | Refused


class Job(NamedTuple):
    """One push on its way: to whom, what about, and the same ``id`` for each attempt."""

    id: str
    claim: Claim
    facts: Facts


class Carrier(Protocol):
    """One way to reach people; :meth:`send` never raises what the provider or network did."""

    @property
    def channel(self) -> str: ...

    def send(self, job: Job) -> Awaitable[Outcome]: ...
