"""One session moves over: its head, members, log and topics (page 7.1).

The run hands it a session of the original with what imd holds of it; the rows that are new go to
the desk. A long log is stored slice by slice, so that memory does not grow with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from itertools import islice
from typing import Final

from imd.actions.arrivals import Stood
from imd.domain.ids import UserId
from imd.domain.participant import DEFAULT_ROLE, Seat
from imd.domain.session import WITH_PATIENT, WITHOUT_PATIENT, Head
from imd.domain.session_types import SESSION_TYPES, names_a_patient
from imd.domain.topic import Topic
from imd.ledger.desk import Desk, Left, flaw
from imd.ledger.grouping import Family
from imd.ledger.names import CHANNELS
from imd.ledger.reading import MemberRow, MessageRow, PlacedTopic, SessionRow
from imd.ledger.roll import Roll
from imd.ledger.spans import Findings

#: messages of a session that are stored before it is complete, and that are looked up at a time
SLICE: Final = 24_000
_LOOK: Final = 1_000
#: the type of a session that the original gave none
_NO_TYPE: Final = -1


class SessionMove:
    """One session on its way."""

    def __init__(
        self,
        desk: Desk,
        family: Family,
        members: Sequence[MemberRow],
        topics: Sequence[PlacedTopic],
        twins: dict[str, tuple[int, int, str]],
        left: Left,
    ) -> None:
        self._desk, self._family, self._members = desk, family, members
        self._standing, self._twins = family.standing, twins
        self._findings = Findings()
        self._left = left
        self._used: set[str] = set()
        self._known: dict[str, Topic] = {}
        self._looks = self._standing is not None or desk.order.merge
        self._topics = self._free_topics(topics)
        #: the session's head as imd's database holds it now
        self._stored = self._standing.head if self._standing else None
        self._roll = Roll(
            self._stored or self._head(family.sessions[0]),
            self._standing,
            members,
            self._topics,
            desk.doctors,
            self._findings,
            desk.order.now,
        )

    def run(self) -> None:
        """Move it; the desk's chunk then holds the rest of it."""
        desk, roll = self._desk, self._roll
        while part := list(islice(self._family.messages, _LOOK)):
            self._pass(part)
            desk.order.tick(len(part))
            if len(desk.chunk.messages) >= SLICE and not desk.order.dry_run:
                self._slice()
        roll.close()
        topics = roll.topics(self._known)
        self._put_head(roll.end(topics))
        self._put_members()
        self._put_topics(topics)
        self._report()

    # ---- messages

    def _pass(self, part: Sequence[MessageRow]) -> None:
        roll, left, looks, twins = self._roll, self._left, self._looks, self._twins
        new, tables = self._desk.chunk.messages, Counter[int]()
        stood = self._desk.target.stood([row.id for row in part]) if looks else {}
        for row in part:
            id_, rank = row.id, row.rank
            reason, there = flaw(id_), stood.get(id_) if looks else None
            if reason is None and (there is not None or id_ in twins):
                reason = self._repeated(row, there)
            if reason is not None:
                left.out(CHANNELS[rank], id_, reason)
            elif there is not None:
                roll.meet(row, there)
            elif looks and not roll.newer(row):
                left.out(CHANNELS[rank], id_, "late")
            else:
                new.append(roll.add(row))
                tables[rank] += 1
        for rank, number in tables.items():
            self._desk.report.imported[CHANNELS[rank]] += number
        for rank, number in Counter([row.rank for row in part]).items():
            left.met[CHANNELS[rank]] += number

    def _repeated(self, row: MessageRow, there: Stood | None) -> str | None:
        """Whether another row has the same id and comes first."""
        twin = self._twins.get(row.id)
        if twin is not None:
            if twin != (row.time, row.rank, row.session_id) or row.id in self._used:
                return "duplicate"
            self._used.add(row.id)
        if there is not None and there.session_id != row.session_id:
            return "duplicate"
        return None

    def _slice(self) -> None:
        """Store what has passed so far; a run that is killed now meets it again."""
        self._put_head(self._roll.so_far())
        self._desk.store()

    # ---- the rest

    def _put_head(self, head: Head) -> None:
        chunk = self._desk.chunk
        chunk.records.append(self._roll.record())
        chunk.own += self._roll.take_own()
        if self._stored is None:
            self._desk.report.imported["sessions"] += 1
            chunk.sessions.append(
                (
                    head.id, head.name, head.type, head.business_type, head.status,
                    head.create_time, head.last_seq, head.counted, head.last_timestamp,
                    head.last_message_seq, head.last_message_time, head.current_topic_id,
                )
            )  # fmt: skip
        elif head != self._stored:
            chunk.moved.append((self._stored, head))
        self._stored = head

    def _put_members(self) -> None:
        """New members, and marks that rise."""
        held = self._standing.marks if self._standing else {}
        head, chunk = self._roll.head, self._desk.chunk
        for mark in self._roll.marks():
            member = mark.participant_id
            if member not in held:
                chunk.members.append(
                    (
                        head.id, member, mark.role, head.create_time, mark.last_fetch_time,
                        mark.read_seq, mark.read_seq, mark.read_counted, mark.own_beyond,
                        mark.active_time, mark.reply_time,
                    )
                )  # fmt: skip
                self._desk.report.imported["participants"] += 1
            elif mark.read_seq > held[member][0]:
                chunk.marks.append(
                    (head.id, member, mark.last_fetch_time, mark.read_seq, mark.read_counted,
                     mark.own_beyond)
                )  # fmt: skip

    def _put_topics(self, topics: Sequence[Topic]) -> None:
        chunk = self._desk.chunk
        for topic in topics:
            held = self._known.get(topic.id)
            if held is None:
                chunk.topics.append(astuple(topic))
                self._desk.report.imported["topics"] += 1
            elif held != topic:
                chunk.changed.append(topic)

    def _free_topics(self, topics: Sequence[PlacedTopic]) -> list[PlacedTopic]:
        """Those whose ids are not taken by another session's; what imd holds of them is noted."""
        doubtful = [t.row.id for t in topics if self._looks or t.row.id in self._desk.topic_twins]
        held = self._desk.target.topics(doubtful) if doubtful else {}
        session_id = self._family.key
        self._known = {id_: topic for id_, topic in held.items() if topic.session_id == session_id}
        free = []
        for topic in topics:
            id_ = topic.row.id
            twin = id_ in self._desk.topic_twins and id_ in self._desk.used_topics
            if twin or (id_ in held and id_ not in self._known):
                self._left.out("topics", id_, "duplicate")
                continue
            if id_ in self._desk.topic_twins:
                self._desk.used_topics.add(id_)
            free.append(topic)
        return free

    def _report(self) -> None:
        desk, roll, row = self._desk, self._roll, self._family.sessions[0]
        report = desk.report
        report.equal_timestamps += roll.equal
        report.null_marks += sum(member.last_fetch_time is None for member in self._members)
        report.topics.add(self._findings)
        if row.last_message_time is not None and roll.last_time not in (
            None,
            row.last_message_time,
        ):
            report.last_messages_different += 1

    def _head(self, row: SessionRow) -> Head:
        """The head of a session that is new to imd, before its first message."""
        type_ = _NO_TYPE if row.type is None else row.type
        return Head(
            id=row.session_id,
            name=row.name,
            type=type_,
            business_type=self._business_type(row, type_),
            status=0,
            create_time=row.create_time or 0,
            last_seq=0,
            counted=0,
            last_timestamp=0,
            last_message_seq=None,
            last_message_time=None,
            current_topic_id=None,
            first_message_id=None,
            roster=0,
        )

    def _business_type(self, row: SessionRow, type_: int) -> int:
        """The original's, else what page 1.2 says of the members."""
        if row.business_type in (WITHOUT_PATIENT, WITH_PATIENT):
            return row.business_type
        seats = [Seat(UserId(m.participant_id), m.role or DEFAULT_ROLE) for m in self._members]
        named = type_ in SESSION_TYPES and names_a_patient(type_)
        if named or any(seat.role == "patient" for seat in seats):
            return WITH_PATIENT
        # Nobody is both, and the doctors are known.
        doubtful = [seat.user_id for seat in seats if seat.user_id not in self._desk.doctors]
        return WITH_PATIENT if self._desk.target.patients(doubtful) else WITHOUT_PATIENT
