"""What moves over from the original's database (page 7.1), as it passes from ledger to storage.

The ledger room reads the original and decides; it fills a :class:`Chunk` and hands it to a
:class:`Target`, which storage implements: one chunk is one transaction, together with how far the
run has come. Rows are plain tuples in the order of the columns named here, because there are
millions of them. Neither room knows more of the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

from imd.domain.session import Head
from imd.domain.topic import Topic

Row = tuple[Any, ...]

USER = ("id", "kind", "name", "sex", "birthdate", "avatar", "openid", "create_time")
DEVICE = ("user_id", "client_id", "platform", "token", "app_state", "login_time")
SESSION = (
    "id", "name", "type", "business_type", "status", "create_time", "last_seq", "counted",
    "last_timestamp", "last_message_seq", "last_message_time", "current_topic_id",
)  # fmt: skip
MEMBER = (
    "session_id", "participant_id", "role", "create_time", "last_fetch_time", "read_seq",
    "delivered_seq", "read_counted", "own_beyond", "active_time", "reply_time",
)  # fmt: skip
MESSAGE = (
    "id", "session_id", "seq", "channel", "topic_id", "sender_id", "sender_name", "type",
    "content", "timestamp", "business_type", "counted",
)  # fmt: skip
TOPIC = tuple(field.name for field in fields(Topic))
#: where the original's log of a session ended, by its own times; which seqs are its messages, as
#: JSON; how many they are, and the digest of all of them in their order
RECORD = ("session_id", "last_time", "last_id", "spans", "messages", "checksum")
REJECT = ("n", "table_name", "key", "session_id", "reason")


class Record(NamedTuple):
    """A row of RECORD."""

    session_id: str
    last_time: int
    last_id: str
    spans: str
    messages: int
    checksum: str


class Stood(NamedTuple):
    """Where a message of the original stands in imd already."""

    session_id: str
    seq: int
    counted: int
    timestamp: int


class Standing(NamedTuple):
    """A session that imd holds already; ``record`` is None for one that was not moved over."""

    head: Head
    record: Record | None
    #: member -> (read_seq, read_counted)
    marks: dict[str, tuple[int, int]]


class Progress(NamedTuple):
    """How far a run has come: after which session, and its figures so far as JSON."""

    running: bool
    after: str | None
    report: str


@dataclass(slots=True)
class Chunk:
    """What one transaction moves over."""

    users: list[Row] = field(default_factory=list)
    devices: list[Row] = field(default_factory=list)
    sessions: list[Row] = field(default_factory=list)
    members: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    topics: list[Row] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    #: sessions that imd held before: their heads as the ledger saw them, and as they shall be
    moved: list[tuple[Head, Head]] = field(default_factory=list)
    #: marks of members whom imd held before: MEMBER without ``role`` and ``create_time``
    marks: list[Row] = field(default_factory=list)
    #: of members whom imd held before, counted messages of their own that are new: how many they
    #: are, the seq of the last, the session and the member
    own: list[Row] = field(default_factory=list)
    #: topics that imd held before, as they shall be
    changed: list[Topic] = field(default_factory=list)

    @property
    def size(self) -> int:
        """A rough number of rows."""
        return len(self.messages) + len(self.members) + len(self.topics) + len(self.sessions)


class Page(NamedTuple):
    """A message as the comparison reads it back."""

    session_id: str
    seq: int
    id: str
    sender_id: str
    sender_name: str | None
    type: int
    content: str | None


class Target(Protocol):
    """imd's own database as one who moves over sees it; every call waits for the database."""

    def progress(self, source: str) -> Progress | None: ...

    def has_deleted(self) -> bool:
        """Whether retention has deleted anything: what it did must not come back."""

    def holds_own_sessions(self) -> bool:
        """Whether there are sessions that were not moved over."""

    def begin(self, source: str, report: str) -> None:
        """A run begins; the rejects of former ones are forgotten."""

    def put(self, chunk: Chunk, source: str, progress: Progress) -> tuple[int, int]:
        """Store a chunk and the progress in one transaction; new users and devices counted.

        Raises Moved when a session went on since the ledger looked at it.
        """

    def standing(self, session_ids: Collection[str]) -> dict[str, Standing]: ...

    def stood(self, message_ids: Collection[str]) -> dict[str, Stood]: ...

    def topics(self, topic_ids: Collection[str]) -> dict[str, Topic]: ...

    def doctors(self) -> set[str]: ...

    def patients(self, user_ids: Collection[str]) -> set[str]: ...

    def records(self, session_ids: Collection[str]) -> dict[str, Record]: ...

    def recorded(self) -> tuple[int, int]:
        """How many sessions have a record, and how many of them a message of the original."""

    def log(self) -> Iterator[Sequence[Page]]:
        """All messages, by session and seq, some thousand at a time."""

    def rejects(self) -> Iterator[Row]:
        """Rows of REJECT."""


class Moved(Exception):
    """A session went on while it was being moved over; the run may be tried again."""
