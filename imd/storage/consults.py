"""imd's side of the two ledgers: topics read by page and by code, and repaired (page 7.2).

The command line and the service's timer open it for the ledger room, beside a running server.
Each repair is one transaction with its note in the audit trail. It knows nothing of the platform.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from imd.actions.consults import Consult, NewConsult
from imd.domain.audit import Note
from imd.domain.consult_days import Summed, day_of
from imd.domain.ids import UserId
from imd.domain.participant import DEFAULT_ROLE, Seat
from imd.domain.session import ACTIVE, IDLE
from imd.domain.topic import ENDED, LIVE
from imd.domain.user import PATIENT
from imd.storage.consult_days import ConsultDays
from imd.storage.engine import Connection, connector, marks
from imd.storage.transaction import Transaction, transact

T = TypeVar("T")

_STRIDE = 400
#: days that one transaction sums up: on SQLite senders wait for it
_DAYS = 2
_TURN = "reconcile"
_TOPIC = (
    "t.id, t.session_id, t.type, t.status, t.reply, t.team_code, t.create_time, t.end_time,"
    " t.reply_by, t.reply_time"
)
#: the columns that a repair may set
_SETTABLE = frozenset({"type", "team_code", "create_time", "end_time"})


class _Taken(Exception):
    """Something else is in the place of what is to be made; nothing of it stays."""


class Consults:
    """Implements the port ``ConsultBook`` on one connection, closed by close."""

    def __init__(self, url: str) -> None:
        self._connection = connector(url)()

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _look(self, work: Callable[[Connection], T]) -> T:
        return transact(self._connection, lambda tx: work(tx.connection), write=False)

    def _do(self, work: Callable[[Transaction], T]) -> T:
        return transact(self._connection, work, write=True)

    # ---- looking

    def named(self, codes: Collection[str]) -> dict[str, Consult]:
        def look(db: Connection) -> dict[str, Consult]:
            found: list[Consult] = []
            for part in _strides(codes):
                sql = f"SELECT {_TOPIC} FROM topics t WHERE t.id IN {marks(len(part))}"
                found += [Consult(*row) for row in db.rows(sql, part)]
            return {consult.code: consult for consult in _with_patients(db, found)}

        return self._look(look)

    def deleted(self, codes: Collection[str]) -> set[str]:
        def look(db: Connection) -> set[str]:
            found: set[str] = set()
            for part in _strides(codes):
                sql = f"SELECT topic_id FROM retention_topics WHERE topic_id IN {marks(len(part))}"
                found |= {row[0] for row in db.rows(sql, part)}
            return found

        return self._look(look)

    def page(
        self, since: int, until: int, after: tuple[int, str] | None, limit: int
    ) -> list[Consult]:
        sql = (
            f"SELECT {_TOPIC} FROM topics t WHERE t.create_time >= %s AND t.create_time < %s"
            " AND (t.create_time, t.id) > (%s, %s) ORDER BY t.create_time, t.id LIMIT %s"
        )
        time, code = after or (since, "")

        def look(db: Connection) -> list[Consult]:
            rows = db.rows(sql, (max(since, time), until, time, code, limit))
            return _with_patients(db, [Consult(*row) for row in rows])

        return self._look(look)

    def summed(self, first: int, last: int) -> Summed:
        return self._look(lambda db: ConsultDays(db).summed(first, last))

    def doctors_of(self, codes: Collection[str]) -> dict[str, str]:
        def look(db: Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for part in _strides(codes):
                sql = (
                    "SELECT t.id, min(p.participant_id) FROM topics t"
                    " JOIN participants p ON p.session_id = t.session_id"
                    " LEFT JOIN users u ON u.id = p.participant_id"
                    f" WHERE t.id IN {marks(len(part))}"
                    " AND (u.kind = 'doctor' OR p.role = 'doctor') GROUP BY t.id"
                )
                found |= {row[0]: row[1] for row in db.rows(sql, part)}
            return found

        return self._look(look)

    # ---- summing up

    def sum_up(self, now: int) -> bool:
        """Bring the sums of days nearer to ``now`` (ms); False when they have come up."""
        today = day_of(now)
        return self._do(lambda tx: ConsultDays(tx.connection).sum_up(today, _DAYS))

    def begin_again(self) -> None:
        """Forget all sums of days."""
        self._do(lambda tx: ConsultDays(tx.connection).begin_again())

    # ---- repairing

    def make(self, new: NewConsult, note: Note) -> bool:
        def work(transaction: Transaction) -> bool:
            topic = new.topic
            transaction.sessions.insert(new.head)
            head = transaction.sessions.lock(new.head.id)
            if head is None or head.type != new.head.type:
                raise _Taken
            if topic.status == LIVE and head.current_topic_id is not None:
                raise _Taken
            if not transaction.topics.insert(topic):
                raise _Taken
            seats = [Seat(UserId(user_id), role) for user_id, role in new.members]
            added = transaction.participants.add(head, seats, note.time)
            for seat in seats:
                if seat.role == PATIENT and seat.user_id not in added:
                    _is_patient(transaction, head.id, seat.user_id)
            if topic.status == LIVE:
                transaction.sessions.set_topic(head.id, topic.id, ACTIVE)
            transaction.audit.note(note)
            return True

        try:
            return self._do(work)
        except _Taken:
            return False

    def end(self, code: str, time: int, note: Note) -> bool:
        def work(transaction: Transaction) -> bool:
            topic = transaction.topics.get(code)
            head = transaction.sessions.lock(topic.session_id) if topic is not None else None
            topic = transaction.topics.get(code)
            if topic is None or head is None or topic.status != LIVE:
                return False
            sql = "UPDATE topics SET status = %s, end_time = %s WHERE id = %s"
            transaction.connection.later(sql, (ENDED, time, code))
            last = "UPDATE topics SET end_seq = %s WHERE id = %s AND start_seq <= %s"
            transaction.connection.later(last, (head.last_seq, code, head.last_seq))
            if head.current_topic_id == code:
                transaction.sessions.set_topic(head.id, None, IDLE)
            transaction.audit.note(note)
            return True

        return self._do(work)

    def change(self, code: str, fields: Mapping[str, Any], patient: str | None, note: Note) -> bool:
        def work(transaction: Transaction) -> bool:
            topic = transaction.topics.get(code)
            head = transaction.sessions.lock(topic.session_id) if topic is not None else None
            if head is None:
                return False
            names = [name for name in fields if name in _SETTABLE]
            if names:
                sets = ", ".join(f"{name} = %s" for name in names)
                params = [*(fields[name] for name in names), code]
                transaction.connection.later(f"UPDATE topics SET {sets} WHERE id = %s", params)
            seated = patient is None
            if patient is not None:
                seats = [Seat(UserId(patient), PATIENT)]
                seated = bool(transaction.participants.add(head, seats, note.time)) or _is_patient(
                    transaction, head.id, patient
                )
            if names or seated:
                transaction.audit.note(note)
            return seated

        return self._do(work)

    # ---- the clock's turn

    def turn(self, now: int, every: int) -> tuple[bool, Mapping[str, int]]:
        def work(transaction: Transaction) -> tuple[bool, Mapping[str, int]]:
            db = transaction.connection
            db.run(
                "INSERT INTO ledger_turns (name, begun, found) VALUES (%s, 0, '{}')"
                " ON CONFLICT (name) DO NOTHING",
                (_TURN,),
            )
            # A clock that was set back is not to stop the comparison until it is there again.
            sql = (
                "UPDATE ledger_turns SET begun = %s WHERE name = %s AND (begun <= %s OR begun > %s)"
            )
            ours = db.run(sql, (now, _TURN, now - every, now)) == 1
            found = db.row("SELECT found FROM ledger_turns WHERE name = %s", (_TURN,))
            return ours, json.loads(found[0]) if found else {}

        return self._do(work)

    def end_turn(self, found: Mapping[str, int]) -> None:
        sql = "UPDATE ledger_turns SET found = %s WHERE name = %s"
        text = json.dumps(dict(found))
        self._do(lambda transaction: transaction.connection.run(sql, (text, _TURN)))

    def note(self, note: Note, work: Callable[[], None]) -> None:
        def both(transaction: Transaction) -> None:
            transaction.audit.note(note)
            work()

        self._do(both)


def open_consults(url: str) -> closing[Consults]:
    """imd's side, closed at the end of a ``with`` block; the schema must be up to date."""
    return closing(Consults(url))


def _is_patient(transaction: Transaction, session_id: str, member: str) -> bool:
    """Let a member of whom nothing is known be the patient; False for one with another role."""
    sql = (
        "UPDATE participants SET role = %s WHERE session_id = %s AND participant_id = %s"
        " AND role = %s"
    )
    return transaction.connection.run(sql, (PATIENT, session_id, member, DEFAULT_ROLE)) == 1


def _with_patients(db: Connection, consults: Sequence[Consult]) -> list[Consult]:
    patients: dict[str, list[str]] = {}
    for part in _strides({consult.session_id for consult in consults}):
        sql = (
            "SELECT p.session_id, p.participant_id FROM participants p"
            " LEFT JOIN users u ON u.id = p.participant_id"
            f" WHERE p.session_id IN {marks(len(part))}"
            " AND (u.kind = 'patient' OR p.role = 'patient') ORDER BY p.participant_id"
        )
        for session_id, member in db.rows(sql, part):
            patients.setdefault(session_id, []).append(member)
    return [c._replace(patients=tuple(patients.get(c.session_id, ()))) for c in consults]


def _strides(ids: Collection[str]) -> Iterator[list[str]]:
    listed = sorted(ids)
    for start in range(0, len(listed), _STRIDE):
        yield listed[start : start + _STRIDE]
