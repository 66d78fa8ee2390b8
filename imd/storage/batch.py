"""One transaction of the grouping writer: what gathered, judged one by one, stored together.

The writer hands over jobs in the order in which they came; each gets its own outcome, so a bad
send fails alone. A session that another transaction holds is passed over, and its jobs are tried
again: no process ever waits for another's lock while holding one (page 4.2). Runs in a thread of
the executor, knows no Deferreds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

from imd.actions.ports import Committed, Posted
from imd.domain.audit import Note
from imd.domain.errors import (
    IdempotencyConflict,
    ImError,
    NotAMember,
    SessionNotFound,
    TopicEnded,
    TopicNotFound,
)
from imd.domain.message import Draft, fingerprint
from imd.domain.participant import Mark, Marked
from imd.domain.session import unread
from imd.storage.engine import Bulk, Connection
from imd.storage.log import Entry, Facts
from imd.storage.messages import UNCOUNTED
from imd.storage.transaction import Transaction


class Job(NamedTuple):
    """A send, a mark or a note on its way; ``unsettled`` after a commit of unknown outcome."""

    wish: Draft | Mark | Note
    origin: object = None
    named: bool = False
    unsettled: bool = False

    @property
    def session_id(self) -> str | None:
        """The session that it concerns; None for a note."""
        return None if isinstance(self.wish, Note) else self.wish.session_id


class Busy:
    """The outcome of a job whose session another transaction holds."""


BUSY = Busy()
Outcome = Posted | Marked | Note | ImError | Busy


class Result(NamedTuple):
    """One outcome a job, in the jobs' order, and the messages that are new."""

    outcomes: list[Outcome]
    committed: list[Committed]


def carry_out(transaction: Transaction, jobs: Sequence[Job], now: int) -> Result:
    """Judge and store; the caller commits. ``now`` is in ms."""
    wanted = {id_ for job in jobs if (id_ := job.session_id) is not None}
    if wanted:
        transaction.sessions.lock_free(sorted(wanted))
    batch = _Batch(transaction, len(jobs), now)
    placed = list(enumerate(jobs))
    batch.note([(place, job) for place, job in placed if isinstance(job.wish, Note)])
    batch.post([(place, job) for place, job in placed if isinstance(job.wish, Draft)])
    batch.mark([(place, job) for place, job in placed if isinstance(job.wish, Mark)])
    return Result([outcome for outcome in batch.outcomes if outcome is not None], batch.committed)


Placed = Sequence[tuple[int, Job]]


class _Batch:
    """The outcomes by the jobs' places, and what is new."""

    def __init__(self, transaction: Transaction, jobs: int, now: int) -> None:
        self._transaction, self._now = transaction, now
        self.outcomes: list[Outcome | None] = [None] * jobs
        self.committed: list[Committed] = []

    def note(self, jobs: Placed) -> None:
        for place, job in jobs:
            assert isinstance(job.wish, Note)
            self._transaction.audit.note(job.wish)
            self.outcomes[place] = job.wish

    # ---- sends

    def post(self, jobs: Placed) -> None:
        if not jobs:
            return
        log, outcomes = self._transaction.log, self.outcomes
        facts = log.facts([_draft(job) for _, job in jobs])
        heads = {known.head.id: known.head for known in facts if known.head and known.held}
        settled = self._settled(jobs, heads)
        entries: list[Entry] = []
        places: list[int] = []
        # A key used twice in one batch: the later job repeats the earlier one's outcome.
        first_use: dict[tuple[str, str, str], int] = {}
        repeats: list[tuple[int, int]] = []
        for (place, job), known in zip(jobs, facts, strict=True):
            draft = _draft(job)
            key = (draft.session_id, draft.sender_id, draft.client_msg_id or "")
            try:
                if place in settled:
                    outcomes[place] = Posted(settled[place].message, replayed=False)
                elif (found := self._judge(draft, known)) is not None:
                    outcomes[place] = found
                elif draft.client_msg_id is not None and key in first_use:
                    earlier = entries[first_use[key]]
                    if earlier.draft.fingerprint != draft.fingerprint:
                        raise IdempotencyConflict()
                    repeats.append((place, first_use[key]))
                else:
                    first_use[key] = len(entries)
                    entries.append(Entry(draft, known, job.origin))
                    places.append(place)
            except ImError as refusal:
                outcomes[place] = refusal
        new = log.store(heads, entries, self._now)
        for place, stored in zip(places, new, strict=True):
            outcomes[place] = Posted(stored.message, replayed=False)
        for place, entry in repeats:
            outcomes[place] = Posted(new[entry].message, replayed=True)
        # What an earlier attempt stored has been told to nobody yet.
        self.committed = [*settled.values(), *new]

    def _judge(self, draft: Draft, facts: Facts) -> Posted | Busy | None:
        """None for a draft to be stored, Posted for one that is stored already."""
        if facts.head is None:
            raise SessionNotFound()
        if not facts.held:
            return BUSY
        if facts.role is None and draft.member != "none":
            raise NotAMember() if draft.member == "named" else SessionNotFound()
        if facts.former_seq is not None:
            if facts.fingerprint != draft.fingerprint:
                raise IdempotencyConflict()
            former = self._transaction.log.at(draft.session_id, facts.former_seq)
            return Posted(former, replayed=True)
        live = facts.head.current_topic_id
        if draft.topic_id is not None and draft.topic_id != live:
            topic = self._transaction.topics.get(draft.topic_id)
            if topic is None or topic.session_id != draft.session_id:
                raise TopicNotFound()
            raise TopicEnded()
        return None

    def _settled(self, jobs: Placed, held: Collection[str]) -> dict[int, Committed]:
        """What earlier attempts with an unknown outcome did store, found by the message's id.

        The session's lock is held, so no former attempt can still be under way. The first message
        of an ad hoc group bears the session's id instead of its own.
        """
        doubtful = [
            (place, draft, job.origin)
            for place, job in jobs
            if job.unsettled and (draft := _draft(job)).session_id in held
        ]
        if not doubtful:
            return {}
        ids = {id_ for _, draft, _ in doubtful for id_ in (draft.id, draft.session_id)}
        stored = self._transaction.log.by_ids(sorted(ids))
        found: dict[int, Committed] = {}
        for place, draft, origin in doubtful:
            entry = stored.get(draft.id) or _same(stored.get(draft.session_id), draft)
            if entry is not None:
                found[place] = entry._replace(origin=origin)
        return found

    # ---- marks

    def mark(self, jobs: Placed) -> None:
        if not jobs:
            return
        connection = self._transaction.connection
        standing = _standing(connection, [_mark(job) for _, job in jobs])
        latest: dict[tuple[str, str], _Marks] = {}
        seen: list[tuple[Mark, int]] = []
        for (place, job), found in zip(jobs, standing, strict=True):
            mark = _mark(job)
            if isinstance(found, Busy):
                self.outcomes[place] = found
                continue
            if found is None or found.marks is None:
                named = job.named and found is not None
                self.outcomes[place] = NotAMember() if named else SessionNotFound()
                continue
            before = latest.get((mark.session_id, mark.user_id), found.marks)
            after = before.moved(found.goal, mark.read)
            if before.read_seq < after.read_seq < found.own_beyond:
                own = _own_between(connection, mark, after.read_seq, found.own_beyond)
                after = after._replace(read_counted=after.read_counted + own)
            latest[(mark.session_id, mark.user_id)] = after
            if mark.seen and not mark.read:
                seen.append((mark, found.goal.seq))
            self.outcomes[place] = Marked(
                mark.session_id,
                mark.user_id,
                after.read_seq,
                after.delivered_seq,
                unread(found.counted, after.read_counted),
                after.read_seq > before.read_seq,
                found.roster,
            )
        if latest:
            _move(connection, latest, self._now)
            for mark, seq in seen:
                _see(connection, mark, seq)


def _draft(job: Job) -> Draft:
    assert isinstance(job.wish, Draft)
    return job.wish


def _mark(job: Job) -> Mark:
    assert isinstance(job.wish, Mark)
    return job.wish


def _same(entry: Committed | None, draft: Draft) -> Committed | None:
    if entry is None or entry.message.sender_id != draft.sender_id:
        return None
    made_of = fingerprint(entry.message.type, entry.message.content)
    return entry if made_of == draft.fingerprint else None


class _Goal(NamedTuple):
    seq: int
    counted: int
    timestamp: int


class _Marks(NamedTuple):
    read_seq: int
    delivered_seq: int
    read_counted: int
    last_fetch_time: int

    def moved(self, goal: _Goal, read: bool) -> _Marks:
        """Marks only rise (page 1.2)."""
        delivered = max(self.delivered_seq, goal.seq)
        if not read or goal.seq <= self.read_seq:
            return self._replace(delivered_seq=delivered)
        return _Marks(goal.seq, delivered, goal.counted, goal.timestamp)


class _Standing(NamedTuple):
    """A session's running total, a member's marks there (None for no member), and its goal.

    ``own_beyond`` is the last message of one's own that moving over left beyond one's mark.
    """

    counted: int
    marks: _Marks | None
    goal: _Goal
    roster: int
    own_beyond: int


#: the goal is the message that is to be marked, the newest where none is named or none so late
_STANDING = (
    "SELECT v.column1, {held}, s.counted,"
    " p.read_seq, p.delivered_seq, p.read_counted, p.last_fetch_time,"
    " m.seq, m.counted, m.timestamp, s.roster, p.own_beyond"
    " FROM {{rows}} JOIN sessions s ON s.id = v.column2"
    " LEFT JOIN participants p ON p.session_id = s.id AND p.participant_id = v.column3"
    " LEFT JOIN messages m ON m.session_id = s.id AND m.seq ="
    " CASE WHEN v.column4 < s.last_seq THEN v.column4 ELSE s.last_seq END"
)
_MOVE = Bulk(
    "marks_move",
    ("text", "text", "bigint", "bigint", "bigint", "bigint", "bigint"),
    "UPDATE participants SET read_seq = v.column3, delivered_seq = v.column4,"
    " read_counted = v.column5, last_fetch_time = v.column6, active_time = v.column7"
    " FROM {rows} WHERE participants.session_id = v.column1"
    " AND participants.participant_id = v.column2",
)


def _see(connection: Connection, mark: Mark, goal: int) -> None:
    """Taken in without being read: rare, so a statement of its own."""
    connection.later(
        "UPDATE participants SET seen_seq = %s"
        " WHERE session_id = %s AND participant_id = %s AND seen_seq < %s",
        (goal, mark.session_id, mark.user_id, goal),
    )


@cache
def _standing_as(held: str) -> Bulk:
    """The statement of :func:`_standing` on a kind of connection."""
    kinds = ("integer", "text", "text", "bigint")
    return Bulk("marks_standing", kinds, _STANDING.format(held=held))


def _standing(connection: Connection, wanted: Sequence[Mark]) -> list[_Standing | Busy | None]:
    """How each mark stands; None for no session, Busy for one that another transaction holds."""
    asked = [(place, mark.session_id, mark.user_id, mark.seq) for place, mark in enumerate(wanted)]
    found: list[_Standing | Busy | None] = [None] * len(wanted)
    for row in connection.rows_of(_standing_as(connection.held), asked):
        marks = _Marks(*row[3:7]) if row[3] is not None else None
        reached = _Goal(*row[7:10]) if row[7] is not None else _Goal(0, 0, 0)
        standing = _Standing(row[2], marks, reached, row[10], row[11] or 0)
        found[row[0]] = standing if row[1] else BUSY
    return found


def _own_between(connection: Connection, mark: Mark, after: int, last: int) -> int:
    """How many counted messages of the member's own lie beyond a mark that ends in what was moved.

    Only there is this asked: who sends with imd has read up to what it sends.
    """
    found = connection.row(
        "SELECT count(*) FROM messages m WHERE m.session_id = %s AND m.seq > %s AND m.seq <= %s"
        f" AND m.sender_id = %s AND m.type NOT IN {UNCOUNTED}",
        (mark.session_id, after, last, mark.user_id),
    )
    return int(found[0]) if found else 0


def _move(connection: Connection, latest: dict[tuple[str, str], _Marks], now: int) -> None:
    connection.later_of(_MOVE, [(*place, *marks, now) for place, marks in latest.items()])
