"""Who is told what outside the sockets, and when: the values and decisions of push (page 4.4).

The outbox writes and claims by these values, the postman decides with :func:`judge`. It knows no
provider and no database.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import NamedTuple


class Channel(StrEnum):
    """How a member is reached; one channel for each message and member."""

    WECHAT = "wechat"  # an official account's template message, to a patient's openid
    SUBSCRIBE = "subscribe"  # a mini-program's subscribe message, while the user has credit
    APP = "app"  # Getui, to the devices that logged in


class State(StrEnum):
    """What became of a push. Of these only ``dead`` waits for an operator."""

    SENT = "sent"  # the provider took it
    SEEN = "seen"  # everything had been seen when its time came
    RECALLED = "recalled"  # what was unseen had been taken back
    CANCELLED = "cancelled"  # no member any more
    MUTED = "muted"  # the member wants no pushes of this session
    FOREGROUND = "foreground"  # the app showed itself and had a socket
    UNREACHABLE = "unreachable"  # no address any more
    DEAD = "dead"  # refused for good, or too old


class Failure(StrEnum):
    """Why a push is tried again; the channel is only down in the first case."""

    OUTAGE = "outage"
    BUSY = "busy"
    QUOTA = "quota"


#: columns of ``code`` that imd gives itself
EXPIRED = "expired"


class Outbound(NamedTuple):
    """What a message leaves in the outbox; nothing where no channel is configured.

    ``grace`` is in ms. ``endpoints`` are names of webhooks with the events that each
    wants, ``now`` tells the ms at which these happen.
    """

    channels: frozenset[Channel] = frozenset()
    grace: int = 3000
    endpoints: tuple[tuple[str, frozenset[str]], ...] = ()
    now: Callable[[], int] = lambda: 0


#: for a store that pushes nothing
NOTHING = Outbound()


class Debt(NamedTuple):
    """What a batch stored in one session: all but the ``last_sender`` may have to be told.

    ``first_seq`` and ``upto_seq`` bound the counted messages; times are ms.
    """

    session_id: str
    last_sender: str
    first_seq: int
    upto_seq: int
    due: int
    time: int


class Claim(NamedTuple):
    """A row of the outbox that this process holds until its lease ends."""

    session_id: str
    user_id: str
    channel: str
    first_seq: int
    upto_seq: int
    create_time: int
    attempts: int
    name: str

    @property
    def push_id(self) -> str:
        """Names this push among all that ever were; 32 hex digits."""
        return _digest(*self[:4], self.create_time)

    @property
    def send_id(self) -> str:
        """The same for each attempt to tell of the same messages; 32 hex digits.

        A provider that gets it twice tells the user once, which mends an unknown outcome.
        """
        return _digest(*self[:5], self.create_time)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class Device(NamedTuple):
    """Where the app can be reached; ``platform`` 0 is iOS, 1 Android."""

    client_id: str
    platform: int | None
    app_state: str


class Facts(NamedTuple):
    """What the store says about a claim at the moment of judging; times are ms.

    ``oldest`` is when the first unseen message was sent, None where there is none;
    ``newest_seq`` and the fields after it belong to the newest of them. ``address`` is an openid.
    """

    member: bool
    muted: bool
    refused: str | None
    address: str | None
    devices: tuple[Device, ...]
    unseen: int
    oldest: int | None
    recalled: bool
    session_name: str | None
    session_type: int
    newest_seq: int
    message_id: str | None
    sender_name: str | None
    type: int
    time: int
    text: str | None
    badge: int


class Token(NamedTuple):
    """What a process may do about a provider's token.

    ``value`` is good until ``expires`` (ms); without one, ``fetch`` says whether this process is
    the one to get it, and ``force`` whether it may ask for a wholly new one.
    """

    value: str | None
    expires: int
    fetch: bool
    force: bool


class Send(NamedTuple):
    """Send it now."""


class Close(NamedTuple):
    """Nothing is to be sent."""

    state: State
    code: str | None = None


class PutOff(NamedTuple):
    """Not before ``due`` (ms)."""

    due: int


class Hours(NamedTuple):
    """Quiet hours in minutes of the local day, ``start`` inclusive; they may span midnight."""

    start: int
    end: int


_DAY, _MINUTE = 1440, 60_000


class Quiet(NamedTuple):
    """Quiet hours by channel and, before these, by channel and user.

    None means that this user has none. ``offset`` is the local time less UTC, in ms (China has one
    time and no summer time).
    """

    hours: tuple[tuple[str, str | None, Hours | None], ...] = ()
    offset: int = 8 * 3_600_000

    def ends(self, channel: str, user_id: str, now: int) -> int | None:
        """When the quiet hours that hold ``now`` end (ms); None outside them."""
        hours = self._of(channel, user_id)
        if hours is None or hours.start == hours.end:
            return None
        minute = (now + self.offset) // _MINUTE % _DAY
        if (minute - hours.start) % _DAY >= (hours.end - hours.start) % _DAY:
            return None
        left = (hours.end - minute) % _DAY
        return (now // _MINUTE + left) * _MINUTE

    def _of(self, channel: str, user_id: str) -> Hours | None:
        found: Hours | None = None
        for of_channel, of_user, hours in self.hours:
            if of_channel == channel and of_user == user_id:
                return hours
            if of_channel == channel and of_user is None:
                found = hours
        return found


_QUIET = re.compile(r"(\w+)(?:@(\S+))? (?:off|([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d))")


def quiet_hours(lines: Iterable[str]) -> Quiet:
    """Quiet hours as settings write them (page 5.6, ``push.quiet``).

    ``"wechat 22:00-07:00"`` for a channel, ``"app@D1 off"`` for one user of it. Raises ValueError.
    """
    hours = []
    for line in lines:
        found = _QUIET.fullmatch(line.strip())
        if found is None or found[1] not in set(Channel):
            raise ValueError(line)
        day = found.groups()[2:]
        start, end, *_ = [int(h) * 60 + int(m) for h, m in (day[:2], day[2:]) if h] or [0, 0]
        hours.append((found[1], found[2], Hours(start, end) if day[0] else None))
    return Quiet(tuple(hours))


#: the names that a template's format strings may use; ``text`` too where the operator allows it
NOTICE_FIELDS = (
    "session_id", "session_name", "message_id", "seq", "sender_name", "type", "type_name", "time",
    "unread", "session_type", "session_kind",
)  # fmt: skip


def unknown_names(pattern: str, allowed: Collection[str]) -> list[str]:
    """What a format string names beyond ``allowed``; ValueError when it is none at all."""
    return [
        name
        for _, name, spec, conversion in string.Formatter().parse(pattern)
        if name is not None and (spec or conversion or name not in allowed)
    ]


class Terms(NamedTuple):
    """The times that push obeys, in ms; ``base`` and ``most`` bound the waits between attempts."""

    grace: int = 3_000
    base: int = 2_000
    most: int = 600_000
    ttl: int = 86_400_000
    quiet: Quiet = Quiet()

    def wait(self, attempts: int, chance: float) -> int:
        """Ms until the next attempt: exponential, with full jitter (page 4.4).

        ``chance`` is in [0, 1). Never so short that failing is a hot loop.
        """
        most = min(self.most, self.base << min(max(attempts - 1, 0), 30))
        return max(min(250, most), round(most * chance))


def judge(claim: Claim, facts: Facts, now: int, terms: Terms) -> Send | Close | PutOff:
    """Whether this push is still wanted at ``now`` (page 4.1, I7)."""
    if not facts.member:
        return Close(State.CANCELLED)
    if facts.muted:
        return Close(State.MUTED)
    if facts.oldest is None:
        return Close(State.RECALLED if facts.recalled else State.SEEN)
    if facts.refused is not None:
        return Close(State.DEAD, facts.refused)
    if facts.address is None and not facts.devices:
        return Close(State.UNREACHABLE)
    if claim.create_time + terms.ttl <= now:
        return Close(State.DEAD, EXPIRED)
    if facts.oldest + terms.grace > now:
        return PutOff(facts.oldest + terms.grace)
    quiet = terms.quiet.ends(claim.channel, claim.user_id, now)
    return Send() if quiet is None else PutOff(quiet)
