"""What retention reads and deletes: the beginning of a log, its topics, at last a whole session.

One transaction deletes a part of one session under its lock, with its note; what is left is right
after each (marks, totals, last message, push). Seqs are never given out anew: a log begins later,
and a session that is made again goes on where it was. The command line opens it through
:func:`open_retention`, beside a running server. How long what is kept, the domain knows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final, NamedTuple, TypeVar

from imd.domain.audit import OPERATOR, Act, Note
from imd.domain.retention import Consult, Hold, HoldKind, Limit, Portion, part, portion
from imd.domain.session import Head
from imd.domain.topic import LIVE
from imd.storage.engine import Collided, Refused, connector, marks
from imd.storage.messages import UNCOUNTED
from imd.storage.transaction import Transaction, transact

T = TypeVar("T")

#: how often a transaction is tried that others stood in the way of, and seconds in between
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.2
#: whoever deletes, and whoever holds, has this row first: a hold is never too late by a moment
_GUARD = "SELECT value FROM store WHERE name = 'retention'"
_CANDIDATES = (
    "SELECT s.id, s.type, s.create_time, f.timestamp,"
    " (SELECT min(t.create_time) FROM topics t WHERE t.session_id = s.id)"
    " FROM (SELECT * FROM sessions z WHERE z.id > %s ORDER BY z.id LIMIT %s) s"
    " LEFT JOIN messages f ON f.session_id = s.id"
    " AND f.seq = (SELECT min(m.seq) FROM messages m WHERE m.session_id = s.id)"
    " ORDER BY s.id"
)
_CONSULTS = (
    "SELECT t.id, t.status, t.start_seq, t.end_seq, t.end_time, t.create_time,"
    " (SELECT min(m.seq) FROM messages m WHERE m.topic_id = t.id),"
    " (SELECT max(m.seq) FROM messages m WHERE m.topic_id = t.id)"
    " FROM topics t WHERE t.session_id = %s ORDER BY t.create_time, t.id"
)
_VISITED = (
    "SELECT 1 FROM participants p LEFT JOIN users u ON u.id = p.participant_id"
    " WHERE p.session_id = %s AND (u.kind = 'patient' OR p.role = 'patient') AND ("
    "EXISTS (SELECT 1 FROM participants q JOIN sessions s ON s.id = q.session_id"
    # Not last_message_time, which goes with the message.
    " WHERE q.participant_id = p.participant_id AND s.last_seq > 0 AND s.last_timestamp >= %s)"
    " OR EXISTS (SELECT 1 FROM participant_topics t"
    " WHERE t.participant_id = p.participant_id AND t.create_time >= %s)"
    " OR EXISTS (SELECT 1 FROM retention_visits v"
    " WHERE v.user_id = p.participant_id AND v.time >= %s)) LIMIT 1"
)
_HELD = (
    "SELECT 1 FROM retention_holds h WHERE h.kind = 'user' AND ("
    "EXISTS (SELECT 1 FROM participants p WHERE p.session_id = %s AND p.participant_id = h.id)"
    " OR EXISTS (SELECT 1 FROM topics t WHERE t.session_id = %s"
    " AND h.id IN (t.start_by, t.reply_by, t.end_by))"
    " OR EXISTS (SELECT 1 FROM messages m WHERE m.session_id = %s AND m.sender_id = h.id)) LIMIT 1"
)
#: what was not read goes all the same: it counts as read, or the totals would promise it for ever
_MARKS = (
    "UPDATE participants SET read_seq = %s, last_fetch_time = %s,"
    " delivered_seq = CASE WHEN delivered_seq < %s THEN %s ELSE delivered_seq END,"
    " read_counted = %s + (SELECT count(*) FROM messages m"
    " WHERE m.session_id = participants.session_id AND m.seq > %s"
    " AND m.seq <= participants.own_beyond AND m.sender_id = participants.participant_id"
    f" AND m.type NOT IN {UNCOUNTED}) WHERE session_id = %s AND read_seq < %s"
)
_REMEMBER = (
    "INSERT INTO retention_sessions (session_id, last_seq, counted, last_timestamp, roster)"
    " SELECT s.id, s.last_seq, s.counted, s.last_timestamp, s.roster FROM sessions s"
    " WHERE s.id = %s ON CONFLICT (session_id) DO UPDATE SET last_seq = excluded.last_seq,"
    " counted = excluded.counted, last_timestamp = excluded.last_timestamp,"
    " roster = excluded.roster"
)
#: the time of a patient's medical record runs from it, though what was said then is gone
_VISIT = (
    "INSERT INTO retention_visits (user_id, time) SELECT p.participant_id, %s"
    " FROM participants p LEFT JOIN users u ON u.id = p.participant_id"
    " WHERE p.session_id = %s AND (u.kind = 'patient' OR p.role = 'patient')"
    " ON CONFLICT (user_id) DO UPDATE SET time = excluded.time"
    " WHERE retention_visits.time < excluded.time"
)
#: tables with rows of a session, in the order in which they let go of each other
_OF_SESSION = ("participants", "topic_tallies", "legacy_sessions", "outbox", "pushes")


class Moving(Exception):
    """A run of moving over is not at its end: what looks old enough may be half of a session."""


class Unknown(Exception):
    """There is no such session, or no such user: a hold on it would hold nothing."""


class Candidate(NamedTuple):
    """A session of which something may be old enough; times in ms."""

    session_id: str
    type: int
    create_time: int
    #: of the oldest message, None where there is none
    oldest: int | None
    #: when the oldest topic was made
    oldest_topic: int | None

    def reaches(self, cutoff: int) -> bool:
        """Whether a closer look is worth it."""
        times = (self.create_time if self.oldest is None else self.oldest, self.oldest_topic)
        return any(time is not None and time < cutoff for time in times)


class Measured(NamedTuple):
    """What may go of a session, and whether the session may go with it; ``held``: nothing may."""

    portion: Portion
    consults: list[Consult]
    whole: bool
    held: bool

    def __bool__(self) -> bool:
        return bool(self.portion) or self.whole


class Done(NamedTuple):
    """What one transaction deleted; ``more`` when there is more of this session to delete."""

    messages: int
    topics: int
    deleted: bool
    more: bool


class Retention:
    """SQL of one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx, self._db = transaction, transaction.connection

    # ---- looking

    def candidates(self, after: str, limit: int) -> list[Candidate]:
        """The next sessions by id, whatever is in them."""
        return [Candidate(*row) for row in self._db.rows(_CANDIDATES, (after, limit))]

    def measure(self, session_id: str, limit: Limit) -> Measured | None:
        """What may go of a session at this moment; None when it is gone."""
        head = self._tx.sessions.head(session_id)
        return None if head is None else self._measured(head, limit)

    def _measured(self, head: Head, limit: Limit) -> Measured:
        cutoff, consults = limit.before, self._consults(head.id)
        if limit.by_patient and self._visited(head, cutoff):
            return Measured(Portion(1, 0, ()), consults, False, False)
        first, boundary = self._old(head, cutoff)
        going = portion(first, boundary, consults, cutoff)
        whole = (
            going.upto == head.last_seq
            and len(going.topics) == len(consults)
            and head.current_topic_id is None
            and max(head.create_time, head.last_timestamp) < cutoff
            and self._idle(head.id, cutoff)
        )
        held = (bool(going) or whole) and self._held(head.id)
        return Measured(going, consults, whole, held)

    def _old(self, head: Head, cutoff: int) -> tuple[int, int]:
        """The oldest message that is there, and the newest that is older than the cutoff.

        Times rise with seqs, so it is found by halving, whatever the length of the log.
        """
        sql = "SELECT min(m.seq) FROM messages m WHERE m.session_id = %s"
        (first,) = self._db.rows(sql, (head.id,))[0]
        if first is None:
            return head.last_seq + 1, head.last_seq
        low, high = first - 1, head.last_seq
        if head.last_timestamp < cutoff:
            return first, high
        while low < high:
            middle = (low + high + 1) // 2
            sql = "SELECT m.timestamp FROM messages m WHERE m.session_id = %s AND m.seq = %s"
            found = self._db.row(sql, (head.id, middle))
            if found is not None and found[0] < cutoff:
                low = middle
            else:
                high = middle - 1
        return first, low

    def _consults(self, session_id: str) -> list[Consult]:
        found = []
        for row in self._db.rows(_CONSULTS, (session_id,)):
            id_, status, start, end, end_time, create_time, least, most = row
            first = min((seq for seq in (start, least) if seq is not None), default=None)
            last = max((seq for seq in (start, end, most) if seq is not None), default=None)
            time = create_time if end_time is None else max(create_time, end_time)
            found.append(Consult(id_, status == LIVE, first, last, time))
        return found

    def _idle(self, session_id: str, cutoff: int) -> bool:
        """Whether nobody came in or did anything there since the cutoff."""
        sql = (
            "SELECT 1 FROM participants p WHERE p.session_id = %s"
            " AND (p.create_time >= %s OR p.active_time >= %s) LIMIT 1"
        )
        return self._db.row(sql, (session_id, cutoff, cutoff)) is None

    def _visited(self, head: Head, cutoff: int) -> bool:
        """Whether this session, or any other of its patients, was used since the cutoff."""
        if head.last_timestamp >= cutoff:
            return True
        return self._db.row(_VISITED, (head.id, cutoff, cutoff, cutoff)) is not None

    def _held(self, session_id: str) -> bool:
        sql = "SELECT 1 FROM retention_holds h WHERE h.kind = 'session' AND h.id = %s"
        if self._db.row(sql, (session_id,)) is not None:
            return True
        return self._db.row(_HELD, (session_id,) * 3) is not None

    def moving(self) -> bool:
        """Whether a run of moving over from the original is not at its end."""
        return self._db.row("SELECT 1 FROM legacy_runs WHERE running = 1 LIMIT 1") is not None

    # ---- deleting

    def cut(self, session_id: str, limit: Limit, most: int, now: int) -> Done | None:
        """Delete a part of what may go, at most about ``most`` messages; None where nothing may.

        Raises Moving.
        """
        cuts = self._db.rows(_GUARD + self._db.lock)[0][0]
        head = self._tx.sessions.lock(session_id)
        # Asked behind the lock: whoever stores a session in parts has said so before the first.
        if self.moving():
            raise Moving
        if head is None:
            return None
        measured = self._measured(head, limit)
        if not measured or measured.held:
            return None
        going = part(measured.portion, measured.consults, most)
        messages = self._messages(session_id, going) if going.messages else 0
        self._topics(going.topics)
        more = going != measured.portion
        deleted = measured.whole and not more
        if going:
            self._note(now, Act.RETENTION_CUT, session_id, _detail(head, going, messages))
        if deleted:
            self._session(head)
            self._note(now, Act.RETENTION_DELETED, session_id, {"type": head.type})
        sql = "UPDATE store SET value = %s WHERE name = 'retention'"
        self._db.later(sql, (str(int(cuts) + 1),))
        return Done(messages, len(going.topics), deleted, more)

    def _messages(self, session_id: str, going: Portion) -> int:
        upto, span = going.upto, (session_id, going.first, going.upto)
        sql = "SELECT m.counted, m.timestamp FROM messages m WHERE m.session_id = %s AND m.seq = %s"
        counted, time = self._db.rows(sql, (session_id, upto))[0]
        self._db.later(_MARKS, (upto, time, upto, upto, counted, upto, session_id, upto))
        inside = "m.session_id = %s AND m.seq >= %s AND m.seq <= %s"
        recalled = f"SELECT m.id FROM messages m WHERE {inside} AND m.recalled = 1"
        self._db.later(f"DELETE FROM recalls WHERE message_id IN ({recalled})", span)
        for table in ("outbox", "pushes"):
            sql = f"DELETE FROM {table} WHERE session_id = %s AND upto_seq <= %s"
            self._db.later(sql, (session_id, upto))
        self._db.later(
            "UPDATE sessions SET last_message_seq = NULL, last_message_time = NULL"
            " WHERE id = %s AND last_message_seq <= %s",
            (session_id, upto),
        )
        sql = "DELETE FROM messages WHERE session_id = %s AND seq >= %s AND seq <= %s"
        return self._db.run(sql, span)

    def _topics(self, ids: tuple[str, ...]) -> None:
        if not ids:
            return
        self._db.later(f"DELETE FROM topics_overdue WHERE topic_id IN {marks(len(ids))}", ids)
        self._db.later(f"DELETE FROM topics WHERE id IN {marks(len(ids))}", ids)
        places = ", ".join(["(%s)"] * len(ids))
        self._db.later(
            f"INSERT INTO retention_topics (topic_id) VALUES {places}"
            " ON CONFLICT (topic_id) DO NOTHING",
            ids,
        )

    def _session(self, head: Head) -> None:
        """Nothing is left in it: it goes; its numbers and its patients' visit are remembered."""
        if head.last_seq:
            self._db.run(_VISIT, (head.last_timestamp, head.id))
        for table in _OF_SESSION:
            self._db.run(f"DELETE FROM {table} WHERE session_id = %s", (head.id,))
        self._db.run(_REMEMBER, (head.id,))
        self._db.run("DELETE FROM sessions WHERE id = %s", (head.id,))

    def events(self, before: int, most: int) -> int:
        """Delete events from before (ms) that were never taken: they hold what messages said."""
        return self._db.run(
            "DELETE FROM webhook_outbox WHERE position IN"
            " (SELECT position FROM webhook_outbox WHERE time < %s LIMIT %s)",
            (before, most),
        )

    # ---- holds

    def hold(self, hold: Hold) -> Hold | None:
        """Put a hold on; the one that is there already, None when it is new. Raises Unknown."""
        self._db.rows(_GUARD + self._db.lock)
        # Asked behind the lock: a run may have deleted it just now.
        if not self._is_known(hold.kind, hold.id):
            raise Unknown
        former = self._db.row(
            "SELECT kind, id, reason, time FROM retention_holds WHERE kind = %s AND id = %s",
            (hold.kind, hold.id),
        )
        if former is not None:
            return Hold(HoldKind(former[0]), *former[1:])
        sql = f"INSERT INTO retention_holds (kind, id, reason, time) VALUES {marks(4)}"
        self._db.run(sql, (str(hold.kind), *hold[1:]))
        self._note(hold.time, Act.RETENTION_HELD, hold.id, _words(hold.kind, hold.reason))
        return None

    def lift(self, kind: HoldKind, id_: str, reason: str, now: int) -> bool:
        """Take a hold away; False when there is none."""
        self._db.rows(_GUARD + self._db.lock)
        sql = "DELETE FROM retention_holds WHERE kind = %s AND id = %s"
        if not self._db.run(sql, (str(kind), id_)):
            return False
        self._note(now, Act.RETENTION_LIFTED, id_, _words(kind, reason))
        return True

    def holds(self) -> list[Hold]:
        """Every hold, the oldest first."""
        sql = "SELECT kind, id, reason, time FROM retention_holds ORDER BY time, kind, id"
        return [Hold(HoldKind(row[0]), *row[1:]) for row in self._db.rows(sql)]

    def _is_known(self, kind: HoldKind, id_: str) -> bool:
        if kind is HoldKind.USER:
            return self._tx.users.get(id_) is not None
        return self._tx.sessions.head(id_) is not None

    def _note(self, now: int, act: Act, target: str, detail: dict[str, object]) -> None:
        self._tx.audit.note(Note(now, OPERATOR, act, target, detail))

    def note(self, now: int, detail: dict[str, object]) -> None:
        """A run of deletions has come to its end."""
        self._note(now, Act.RETENTION_APPLIED, "retention", detail)


def deletions(transaction: Transaction) -> str:
    """Changes whenever anything was deleted."""
    return str(transaction.connection.rows(_GUARD)[0][0])


def _detail(head: Head, going: Portion, messages: int) -> dict[str, object]:
    detail: dict[str, object] = {"type": head.type, "messages": messages}
    if going.messages:
        detail |= {"first_seq": going.first, "last_seq": going.upto}
    return detail | {"topics": list(going.topics)}


def _words(kind: HoldKind, reason: str) -> dict[str, object]:
    return {"kind": str(kind), "reason": reason}


class Retainer:
    """Transactions of :class:`Retention`, one a call, on a connection of its own.

    ``pause`` waits some seconds. Raises StorageError when the database cannot.
    """

    def __init__(self, url: str, pause: Callable[[float], None]) -> None:
        self._connection, self._pause = connector(url)(), pause
        if not self._connection.row_locks:  # what is deleted is overwritten in SQLite's file
            self._connection.row("PRAGMA secure_delete = ON")

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def look(self, work: Callable[[Retention], T]) -> T:
        """On one snapshot."""
        return transact(self._connection, lambda tx: work(Retention(tx)), write=False)

    def do(self, work: Callable[[Retention], T]) -> T:
        """Tried again where others were in the way; nothing was done then."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return transact(self._connection, lambda tx: work(Retention(tx)), write=True)
            except (Collided, Refused):
                if attempt == _ATTEMPTS:
                    raise
                self._pause(_PAUSE * attempt)
        raise AssertionError("unreachable")


def open_retention(url: str, pause: Callable[[float], None]) -> closing[Retainer]:
    """Closed at the end of a ``with`` block; the schema must be up to date."""
    return closing(Retainer(url, pause))
