"""What actions need from the adapters, as protocols (page 6).

Storage, delivery and the service room implement these; tests may stand others in their place.
Nothing here is implemented, and nothing here names a library.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from imd.actions.consults import Statistics
from imd.actions.queries import MessageQuery, SessionQuery, TopicQuery
from imd.domain.audit import Note
from imd.domain.caller import Caller
from imd.domain.message import Draft, Message
from imd.domain.participant import Avatar, Mark, Marked, Membership, Participant, Seat
from imd.domain.rates import Rate
from imd.domain.reply_clock import ReplyClock
from imd.domain.session import Head, OwnSession, Session
from imd.domain.topic import ListedTopic, Topic
from imd.domain.user import ConsultTime, Device, Result, User

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# ---- what a commit leaves behind


class Committed(NamedTuple):
    """A message that is durable now, and what its delivery needs to know.

    ``counted`` is the session's running total with it, ``roster`` as in its head; ``answered`` is
    the topic that it answered; ``origin`` what the sender gave, to recognise its own.
    """

    message: Message
    session_type: int
    counted: int
    roster: int
    answered: Topic | None = None
    origin: object = None


class Posted(NamedTuple):
    """The outcome of a send; ``replayed`` when the key had been used before."""

    message: Message
    replayed: bool


# ---- stores: methods of one transaction, called in its thread


class SessionStore(Protocol):
    def lock(self, session_id: str) -> Head | None:
        """The head, locked until the transaction ends; None when there is no such session."""

    def head(self, session_id: str) -> Head | None: ...

    def view(self, session_id: str) -> Session | None: ...

    def own(self, session_id: str, user_id: str) -> tuple[OwnSession, int] | None:
        """With its roster; None when there is no such session or the user is no member."""

    def rosters(self, session_ids: Collection[str]) -> dict[str, int]:
        """How often it has changed who is a member, for each of these sessions."""

    def page(
        self,
        query: SessionQuery,
        after: tuple[int, int, str] | None,
        limit: int,
        sticky_first: bool,
    ) -> list[tuple[OwnSession, tuple[int, int, str]]]:
        """Rows with their sort keys ``(sticky, time, id)``, after the key ``after``."""

    def count_by_type(self, query: SessionQuery) -> dict[int, int]: ...

    def with_members(self, type_: int, members: Sequence[str]) -> str | None:
        """A session of this type with exactly these members."""

    def insert(self, head: Head) -> Head | None:
        """Make a session; its head, None when the id is taken.

        One that retention has deleted goes on with its numbers.
        """

    def rename(self, session_id: str, name: str) -> None: ...

    def set_status(self, session_id: str, status: int) -> None: ...

    def set_topic(self, session_id: str, topic_id: str | None, status: int) -> None: ...

    def unread(self, user_id: str, only: Collection[str] | None = None) -> dict[str, int]:
        """Unread by session, only where there is any."""

    def beyond(self, known: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """``(session_id, last_seq)`` of those sessions whose log goes beyond the given seq."""

    def spoken_since(self, user_ids: Collection[str], since: int) -> list[tuple[str, int]]:
        """``(session_id, seq)`` of the last counted message where it came after ``since`` (ms),
        in sessions of these users."""


class ParticipantStore(Protocol):
    def get(self, session_id: str, user_id: str) -> Membership | None: ...

    def list(
        self, session_id: str, ids: Collection[str] | None = None
    ) -> builtins.list[Participant]:
        """Members by id, ``online`` not filled in."""

    def avatars(self, session_id: str) -> builtins.list[Avatar]: ...

    def ids(self, session_id: str) -> builtins.list[str]: ...

    def add(self, head: Head, seats: Sequence[Seat], now: int) -> builtins.list[str]:
        """Add those who are no members, everything before read; the ids that were added."""

    def set_role(self, session_id: str, user_ids: Collection[str], role: str) -> None: ...

    def remove(self, session_id: str, user_ids: Collection[str]) -> builtins.list[str]:
        """The ids that were members."""

    def set_sticky(self, session_id: str, user_id: str, sticky: bool) -> None: ...

    def set_muted(self, session_id: str, user_id: str, muted: bool) -> None:
        """Whether pushes of the session reach the member; what waits is cancelled."""

    def share_session(self, one: str, other: str, only: Collection[str] | None = None) -> bool:
        """Whether both are members of one session, of those in ``only`` where given."""

    def audience(
        self, session_ids: Collection[str], user_ids: Collection[str]
    ) -> builtins.list[tuple[str, str, int]]:
        """``(session_id, user_id, read_counted)`` for each of these users' memberships there."""

    def read_seqs(self, pairs: Sequence[tuple[str, str]]) -> builtins.list[tuple[str, str, int]]:
        """``(session_id, user_id, read_seq)`` for those of the pairs that are memberships."""

    def strangers(self, pairs: Sequence[tuple[str, str]]) -> builtins.list[tuple[str, str]]:
        """Those pairs ``(session_id, user_id)`` of which the user is no member (any more)."""


class UserStore(Protocol):
    def get(self, user_id: str) -> User | None:
        """The entry, or a bare one for a mere participant; None for an unknown user."""

    def put(self, user_id: str, fields: dict[str, Any], now: int) -> bool:
        """Set these columns; True when the entry is new."""

    def put_all(self, entries: Sequence[tuple[str, dict[str, Any]]], now: int) -> list[Result]:
        """The same for many, in their order; what became of each, in words of page 2.3."""

    def patients(self, user_ids: Collection[str]) -> set[str]:
        """Which of these the directory calls patients."""

    def touch(self, user_id: str, now: int) -> None: ...

    def consult_time(self, user_id: str) -> ConsultTime: ...

    def register_device(self, device: Device) -> None: ...

    def forget_devices(self, user_id: str, client_id: str | None) -> None: ...

    def newest_device(self, user_id: str, client_id: str | None = None) -> Device | None: ...

    def set_app_state(self, user_id: str, client_id: str, app_state: str) -> None: ...

    def revoke(self, fingerprint: str, expires_at: int) -> None: ...


class MessageStore(Protocol):
    def get(self, session_id: str, message_id: str) -> Message | None: ...

    def page(self, query: MessageQuery) -> list[Message]: ...

    def ranges(self, wanted: Sequence[tuple[str, int]], most: int) -> list[Committed]:
        """The ``most`` messages after the given seq of each session, oldest first.

        With each the topic that it answered, and its session's roster, as these are now.
        """

    def edit(self, message: Message) -> None:
        """Store the content and version of a changed card."""

    def recall(self, message: Message, by: str | None, now: int) -> Message:
        """Empty the content, keeping the original apart; the message as it is now."""


class TopicStore(Protocol):
    def get(self, topic_id: str) -> Topic | None: ...

    def last_of(self, session_id: str) -> Topic | None:
        """The topic that was started last in the session."""

    def insert(self, topic: Topic) -> bool:
        """False when the id is taken."""

    def update(self, topic: Topic) -> None: ...

    def entry_of(self, topic_id: str, user_id: str, since: int) -> Message | None:
        """The user's newest TOPIC_INTO in the topic after ``since`` (ms)."""

    def page(
        self, query: TopicQuery, after: tuple[int, str] | None, limit: int
    ) -> list[ListedTopic]:
        """Newest first, after the key ``(create_time, id)``."""

    def count(self, query: TopicQuery) -> dict[tuple[int, int], int]:
        """How many topics by ``(status, reply)``."""

    def count_by_team(self, query: TopicQuery) -> dict[str, int]: ...

    def median_reply(self, query: TopicQuery) -> float | None:
        """The median of reply time less creation, in ms, over answered topics."""


class Log(Protocol):
    def append(self, head: Head, drafts: Sequence[Draft], now: int) -> list[Committed]:
        """Store drafts at the end of a locked session's log, in this transaction (page 4.2).

        Membership and keys have been judged by the caller.
        """


class Audit(Protocol):
    def note(self, note: Note) -> None:
        """Write this act down with the transaction."""


class Transaction(Protocol):
    """One transaction: the stores share its connection."""

    @property
    def sessions(self) -> SessionStore: ...
    @property
    def participants(self) -> ParticipantStore: ...
    @property
    def users(self) -> UserStore: ...
    @property
    def messages(self) -> MessageStore: ...
    @property
    def topics(self) -> TopicStore: ...
    @property
    def log(self) -> Log: ...
    @property
    def audit(self) -> Audit: ...


# ---- adapters


class Database(Protocol):
    """Runs a function of one transaction in a thread; Unavailable when it cannot answer."""

    @property
    def epoch(self) -> str:
        """Names this life of the store (page 3.2)."""

    def read(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> Awaitable[T]:
        """``work`` sees one snapshot and changes nothing."""

    def write(
        self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kw: P.kwargs
    ) -> Awaitable[T]:
        """``work`` is committed before the answer; it may run again when a connection breaks."""


class Pending(Protocol[T_co]):
    """What comes later, as Twisted says it: to be awaited, or to call back."""

    def __await__(self) -> Generator[Any, Any, T_co]: ...

    def addCallbacks(self, callback: Callable[[T_co], Any], errback: Callable[[Any], Any]) -> Any:
        """Call one of them once, at once where it is known; a failure is handed over wrapped."""


class Writer(Protocol):
    """Groups concurrent sends and marks into transactions (page 4.2)."""

    def post(self, draft: Draft, origin: object = None) -> Pending[Posted]: ...

    def mark(self, mark: Mark, named: bool = False) -> Awaitable[Marked]:
        """``named`` when a service named the member, whose absence is then its own error."""

    def note(self, note: Note) -> Awaitable[object]:
        """Write an act down that changes nothing else, such as a service's read."""


class Courier(Protocol):
    """Tells the sockets what has been committed (pages 3.3 and 4.3); never blocks, never fails.

    ``roster`` is the session's with that commit. Who is no member then is told nothing."""

    def committed(self, entries: Sequence[Committed]) -> None: ...

    def updated(self, message: Message, roster: int) -> None: ...

    def session_changed(self, session: Session, roster: int) -> None: ...

    def topic_changed(self, topic: Topic, roster: int) -> None: ...

    def marked(self, marked: Marked) -> None: ...

    def typing(self, session_id: str, user_id: str, origin: object) -> None: ...

    def expelled(self, session_id: str, user_ids: Collection[str]) -> None: ...

    def revoked(self, fingerprint: str) -> None: ...


class Presence(Protocol):
    """Who has a socket, and of which client types."""

    def clients(self, user_ids: Collection[str]) -> Awaitable[dict[str, list[str]]]:
        """Client types by user; a user without sockets is left out."""


class Doorkeeper(Protocol):
    """Turns credentials into callers, and makes access tokens (page 2.1)."""

    @property
    def trusted(self) -> bool:
        """Whether a call without a credential is a service with all scopes."""

    def identify(self, credential: str) -> Caller:
        """The caller behind a token or key; Unauthenticated when it is not valid."""

    def issue(
        self, user_id: str, role: str, now: int, sid: Collection[str] | None = None
    ) -> tuple[str, int]:
        """A new access token, limited to the sessions ``sid`` where given, and its end in ms."""

    def revoke(self, fingerprint: str) -> None:
        """Refuse the token from now on in this process; the store tells the others."""


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that actions obey; sizes in bytes, times in ms."""

    content: int = 65536
    recall_window: int = 120_000
    extra_types: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rates:
    """The buckets of page 2.7, shared by REST and the socket; names are user ids or addresses."""

    sends: Rate
    requests: Rate
    failures: Rate


@dataclass(frozen=True, slots=True)
class House:
    """The wired object graph that every action is given."""

    db: Database
    writer: Writer
    courier: Courier
    presence: Presence
    doorkeeper: Doorkeeper
    clock: Clock
    new_id: Callable[[], str]
    rules: Rules
    rates: Rates
    statistics: Statistics | None = None
    reply_clock: ReplyClock = field(default_factory=ReplyClock)
