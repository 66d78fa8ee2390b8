"""One transaction of the grouping writer: what gathered, judged one by one, stored together.

The writer hands over jobs in the order in which they came; each gets its own outcome, so a bad
send fails alone. A session that another transaction holds is passed over, and its jobs are tried
again: no process ever waits for another's lock while holding one (page 4.2). Runs in a thread of
the executor, knows no Deferreds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from imd.domain.session import Head, unread
from imd.storage.engine import Bulk, Connection
from imd.storage.log import Entry, Facts
from imd.storage.transaction import Transaction


class Job(NamedTuple):
    """A send, a mark or a note on its way; ``unsettled`` after a commit of unknown outcome."""

    wish: Draft | Mark | Note
    origin: object = None
    named: bool = False
    unsettled: bool = False


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
    wanted = sorted({id_ for job in jobs if (id_ := _session_id(job)) is not None})
    heads = transaction.sessions.lock_free(wanted) if wanted else {}
    missing = [session_id for session_id in wanted if session_id not in heads]
    held: set[str] = set()
    if missing and transaction.connection.row_locks:
        held = transaction.sessions.existing(missing)
    batch = _Batch(transaction, heads, now)
    outcomes = [_at_once(job, heads, held) for job in jobs]
    for job in jobs:
        if isinstance(job.wish, Note):
            transaction.audit.note(job.wish)
    open_ = [(place, job) for place, job in enumerate(jobs) if outcomes[place] is None]
    sends = [(place, job) for place, job in open_ if isinstance(job.wish, Draft)]
    if sends:
        batch.post(sends, outcomes)
    reads = [(place, job) for place, job in open_ if isinstance(job.wish, Mark)]
    if reads:
        batch.mark(reads, outcomes)
    return Result([outcome for outcome in outcomes if outcome is not None], batch.committed)


def _session_id(job: Job) -> str | None:
    return None if isinstance(job.wish, Note) else job.wish.session_id


def _at_once(job: Job, heads: Mapping[str, Head], held: Collection[str]) -> Outcome | None:
    """The outcome of a job whose session is not at hand, or that needs none."""
    if isinstance(job.wish, Note):
        return job.wish
    if job.wish.session_id in heads:
        return None
    return BUSY if job.wish.session_id in held else SessionNotFound()


Placed = Sequence[tuple[int, Job]]


class _Batch:
    """The work on the sessions that could be locked."""

    def __init__(self, transaction: Transaction, heads: dict[str, Head], now: int) -> None:
        self._transaction, self._heads, self._now = transaction, heads, now
        self.committed: list[Committed] = []

    # ---- sends

    def post(self, jobs: Placed, outcomes: list[Outcome | None]) -> None:
        log = self._transaction.log
        facts = log.facts([_draft(job) for _, job in jobs])
        settled = self._settled(jobs)
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
        new, moved = log.store(self._heads, entries, self._now)
        self._heads = {**self._heads, **moved}
        for place, stored in zip(places, new, strict=True):
            outcomes[place] = Posted(stored.message, replayed=False)
        for place, entry in repeats:
            outcomes[place] = Posted(new[entry].message, replayed=True)
        # What an earlier attempt stored has been told to nobody yet.
        self.committed = [*settled.values(), *new]

    def _judge(self, draft: Draft, facts: Facts) -> Posted | None:
        """None for a draft to be stored, Posted for one that is stored already."""
        if facts.role is None and draft.member != "none":
            raise NotAMember() if draft.member == "named" else SessionNotFound()
        if facts.former is not None:
            if facts.fingerprint != draft.fingerprint:
                raise IdempotencyConflict()
            return Posted(facts.former, replayed=True)
        live = self._heads[draft.session_id].current_topic_id
        if draft.topic_id is not None and draft.topic_id != live:
            topic = self._transaction.topics.get(draft.topic_id)
            if topic is None or topic.session_id != draft.session_id:
                raise TopicNotFound()
            raise TopicEnded()
        return None

    def _settled(self, jobs: Placed) -> dict[int, Committed]:
        """What earlier attempts with an unknown outcome did store, found by the message's id.

        The session's lock is held, so no former attempt can still be under way. The first message
        of an ad hoc group bears the session's id instead of its own.
        """
        doubtful = [(place, _draft(job), job.origin) for place, job in jobs if job.unsettled]
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

    def mark(self, jobs: Placed, outcomes: list[Outcome | None]) -> None:
        connection = self._transaction.connection
        standing = _standing(connection, [(_mark(job), self._goal(_mark(job))) for _, job in jobs])
        latest: dict[tuple[str, str], _Marks] = {}
        for (place, job), found in zip(jobs, standing, strict=True):
            mark = _mark(job)
            if found is None:
                outcomes[place] = NotAMember() if job.named else SessionNotFound()
                continue
            member, goal = found
            before = latest.get((mark.session_id, mark.user_id), member)
            after = before.moved(goal, mark.read)
            latest[(mark.session_id, mark.user_id)] = after
            counted = self._heads[mark.session_id].counted
            outcomes[place] = Marked(
                mark.session_id,
                mark.user_id,
                after.read_seq,
                after.delivered_seq,
                unread(counted, after.read_counted),
                after.read_seq > before.read_seq,
            )
        if latest:
            _move(connection, latest, self._now)
            for _, job in jobs:
                if _mark(job).seen and not _mark(job).read:
                    _see(connection, _mark(job), self._goal(_mark(job)))

    def _goal(self, mark: Mark) -> int:
        newest = self._heads[mark.session_id].last_seq
        return newest if mark.seq is None else min(mark.seq, newest)


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


_STANDING = Bulk(
    "marks_standing",
    ("integer", "text", "text", "bigint"),
    "SELECT v.column1, p.read_seq, p.delivered_seq, p.read_counted, p.last_fetch_time,"
    " m.seq, m.counted, m.timestamp FROM {rows}"
    " JOIN participants p ON p.session_id = v.column2 AND p.participant_id = v.column3"
    " LEFT JOIN messages m ON m.session_id = v.column2 AND m.seq = v.column4",
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


def _standing(
    connection: Connection, wanted: Sequence[tuple[Mark, int]]
) -> list[tuple[_Marks, _Goal] | None]:
    """Each member's marks, and the message that it wants to have read; None for no member."""
    asked = [
        (place, mark.session_id, mark.user_id, goal) for place, (mark, goal) in enumerate(wanted)
    ]
    found: list[tuple[_Marks, _Goal] | None] = [None] * len(wanted)
    for row in connection.rows_of(_STANDING, asked):
        reached = _Goal(*row[5:8]) if row[5] is not None else _Goal(0, 0, 0)
        found[row[0]] = (_Marks(*row[1:5]), reached)
    return found


def _move(connection: Connection, latest: dict[tuple[str, str], _Marks], now: int) -> None:
    connection.later_of(_MOVE, [(*place, *marks, now) for place, marks in latest.items()])
