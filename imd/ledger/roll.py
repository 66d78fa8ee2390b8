"""The roll of one session: its messages numbered and counted in one pass (page 7.1).

The run calls it for each message in the order of time and id, then asks what became of marks,
topics and the log's end. Messages that imd holds already are met, new ones are added behind what
imd holds. It keeps nothing of the messages themselves but a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from imd.actions.arrivals import Record, Row, Standing, Stood
from imd.domain.message_types import UNCOUNTED_TYPES
from imd.domain.participant import DEFAULT_ROLE
from imd.domain.session import Head
from imd.domain.session_types import channel_of, holds_topics
from imd.domain.topic import ENDED, LIVE, Topic, answers
from imd.ledger.reading import MemberRow, MessageRow, PlacedTopic
from imd.ledger.spans import Findings, Span, Spans, Stop

_UNCOUNTED: Final = frozenset(int(type_) for type_ in UNCOUNTED_TYPES)


class Digest:
    """What messages were, in their order: two logs with one digest are the same."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, id_: str, sender: str, name: str | None, type_: int, content: str | None) -> None:
        self._hash.update(f"{id_}\0{sender}\0{name}\0{type_}\0{content}\n".encode())

    def __str__(self) -> str:
        return self._hash.hexdigest()


class _Place:
    """A member's mark on its way: how far it had read, and what of its own came after."""

    __slots__ = ("counted", "fetched", "member", "own", "own_seq", "seq", "stamp")

    def __init__(self, member: MemberRow, fetched: int) -> None:
        self.member, self.fetched = member, fetched
        self.seq = self.counted = self.stamp = self.own = self.own_seq = 0


class Mark(NamedTuple):
    """A member's mark as the original's ``last_fetch_time`` gives it."""

    participant_id: str
    role: str
    last_fetch_time: int
    read_seq: int
    read_counted: int
    own_beyond: int
    active_time: int | None
    reply_time: int | None


class Roll:
    """One session; ``standing`` is what imd holds of it, None for a new one."""

    def __init__(
        self,
        head: Head,
        standing: Standing | None,
        members: Sequence[MemberRow],
        topics: Sequence[PlacedTopic],
        doctors: Collection[str],
        findings: Findings,
        now: int,
    ) -> None:
        self.head, self._record = head, standing.record if standing else None
        self.spans = Spans(topics, findings)
        self._doctors, self._now = doctors, now
        self._roles = {row.participant_id: row.role or DEFAULT_ROLE for row in members}
        places = [_Place(row, row.last_fetch_time or 0) for row in members]
        self._ahead = sorted(places, key=lambda place: place.fetched, reverse=True)
        self._places = places
        self._passed: dict[str, _Place] = {}
        self._spoke: dict[str, int] = {}
        self._replied: dict[str, int] = {}
        self._held = standing.marks if standing else {}
        #: what members whom imd held before have said since: how much, and the seq of the last
        self._own: dict[str, tuple[int, int]] = {}
        self._channel = str(channel_of(head.type))
        # the end of imd's log, where new messages are added
        self._seq, self._counted, self._stamp = head.last_seq, head.counted, head.last_timestamp
        self._last = (head.last_message_seq, head.last_message_time)
        # where the pass stands
        self._at: Stop | None = None
        self._at_counted = 0
        self._time = -1
        self.equal = self.added = 0
        #: the original's time of the last counted message
        self.last_time: int | None = None
        self._digest = Digest()
        self._added_from = head.last_seq + 1
        self.ends_at: tuple[int, str] = (-1, "")

    # ---- messages

    def add(self, row: MessageRow) -> Row:
        """The next message, new to imd: its row in the order of MESSAGE."""
        _, time, id_, _, _, sender, name, type_, content = row
        head = self.head
        self._seq += 1
        self._stamp = time if time > self._stamp else self._stamp + 1
        counts = type_ not in _UNCOUNTED
        if counts:
            self._counted += 1
            self._last = (self._seq, self._stamp)
        self.added += 1
        sender = sender or ""
        if counts and sender in self._held:
            self._own[sender] = (self._own.get(sender, (0, 0))[0] + 1, self._seq)
        span = self._pass(row, sender, Stop(id_, self._seq, self._stamp, sender), self._counted)
        return (
            id_, head.id, self._seq, self._channel, span.topic.row.id if span else None, sender,
            name, type_, content, self._stamp, head.business_type, self._counted,
        )  # fmt: skip

    def meet(self, row: MessageRow, stood: Stood) -> None:
        """The next message, which imd holds."""
        sender = row.sender_id or ""
        stop = Stop(row.id, stood.seq, stood.timestamp, sender)
        self._pass(row, sender, stop, stood.counted)

    def newer(self, row: MessageRow) -> bool:
        """Whether a message that imd does not hold comes after all that it holds (page 7.1)."""
        record = self._record
        if record is None:
            return self.head.last_seq == 0 or row.time > self.head.last_timestamp
        ours = self.head.last_seq == _last_of(record)
        after = (row.time, row.id) > (record.last_time, record.last_id)
        return after and (ours or row.time > self.head.last_timestamp)

    def _pass(self, row: MessageRow, sender: str, stop: Stop, counted: int) -> Span | None:
        time, id_, type_ = row.time, row.id, row.type
        self.equal += time == self._time
        self._time = time
        while self._ahead and self._ahead[-1].fetched < time:
            self._settle(self._ahead.pop())
        spans = self.spans
        if (time, id_) >= spans.next:
            spans.at((time, id_), stop, self._at)
        span = spans.now
        self._at, self._at_counted = stop, counted
        counts = type_ not in _UNCOUNTED
        if counts:
            self.last_time = time
        place = self._passed.get(sender)
        if place is not None:
            place.own += counts
            place.own_seq = stop.seq
        self._spoke[sender] = stop.timestamp
        if span is not None and counts:
            self._replied[sender] = stop.timestamp
            if span.reply is None and span.first is not None:
                kind = "doctor" if sender in self._doctors else None
                if answers(type_, sender, kind, self._roles.get(sender), span.first.sender_id):
                    span.reply = stop
        self._digest.add(id_, sender, row.sender_name, type_, row.content)
        self.ends_at = (time, id_)
        return span

    def _settle(self, place: _Place) -> None:
        """The mark stands at the last message that has passed."""
        if self._at is not None:
            place.seq, place.stamp = self._at.seq, self._at.timestamp
            place.counted = self._at_counted
        self._passed[place.member.participant_id] = place

    def take_own(self) -> Iterator[Row]:
        """What was added of members' own since this was asked last: it is not unread to them."""
        own, self._own = self._own, {}
        for member, (number, seq) in own.items():
            yield number, seq, self.head.id, member

    # ---- what it came to

    def close(self) -> None:
        """All messages have passed."""
        while self._ahead:
            self._settle(self._ahead.pop())
        self.spans.close(self._at)

    def marks(self) -> Iterator[Mark]:
        """The members' marks."""
        for place in self._places:
            member = place.member.participant_id
            yield Mark(
                member,
                self._roles[member],
                # What lies ahead of the clock would hide the next messages from queries by time.
                place.stamp if place.seq else min(place.fetched, self._now),
                place.seq,
                place.counted + place.own,
                place.own_seq if place.own else 0,
                self._spoke.get(member),
                self._replied.get(member),
            )

    def record(self) -> Record:
        """What is remembered of the original's log."""
        spans: list[list[int]] = json.loads(self._record.spans) if self._record else []
        if self.added:
            if spans and spans[-1][1] == self._added_from - 1:
                spans[-1][1] = self._seq
            else:
                spans.append([self._added_from, self._seq])
        last = self.ends_at
        former = 0
        if self._record is not None:
            former = self._record.messages
            last = max(last, (self._record.last_time, self._record.last_id))
        number = former + self.added
        return Record(self.head.id, *last, json.dumps(spans), number, str(self._digest))

    def topics(self, known: Mapping[str, Topic]) -> list[Topic]:
        """The topics as imd shall hold them; ``known`` are those that it holds."""
        live = self.head.current_topic_id
        ours = {span.topic.row.id for span in self.spans.all}
        found = [self._topic(span) for span in self.spans.all]
        if live is not None and live not in ours:
            # A topic that was begun with imd is live: it stays, and the original's ends.
            found = [_ended(topic, self._at) if topic.status == LIVE else topic for topic in found]
        return [_grown(known[t.id], t) if t.id in known else t for t in found]

    def _topic(self, span: Span) -> Topic:
        row, first, last, reply = span.topic.row, span.first, span.last, span.reply
        live = span.live
        if not row.reply:
            reply = None
        end_time = None if live else row.end_time
        end_by = None if live or span.overtaken else row.end_by
        if last is not None and not live:
            end_time = last.timestamp if end_time is None or span.overtaken else end_time
            end_by = end_by if end_by or span.overtaken else last.sender_id
        made = row.create_time if row.create_time is not None else first.timestamp if first else 0
        return Topic(
            id=row.id,
            session_id=self.head.id,
            session_type=self.head.type,
            name=row.name,
            description=row.description,
            type=row.type,
            status=LIVE if live else ENDED,
            reply=row.reply,
            team_code=None,
            create_time=made,
            start_by=first.sender_id if first else "",
            start_message_id=first.id if first else None,
            start_seq=first.seq if first else None,
            reply_by=reply.sender_id if reply else None,
            reply_time=reply.timestamp if reply else None,
            reply_message_id=reply.id if reply else None,
            end_by=end_by,
            end_time=end_time,
            end_message_id=last.id if last else None,
            end_seq=last.seq if last else None,
        )

    def so_far(self) -> Head:
        """The session's head when the messages that have passed are stored."""
        return self.head._replace(
            last_seq=self._seq,
            counted=self._counted,
            last_timestamp=self._stamp,
            last_message_seq=self._last[0],
            last_message_time=self._last[1],
        )

    def end(self, topics: Sequence[Topic]) -> Head:
        """The session's head when its messages and topics are stored."""
        head = self.so_far()
        live = [topic.id for topic in topics if topic.status == LIVE]
        current = live[-1] if live else None
        if head.current_topic_id not in {None, *(topic.id for topic in topics)}:
            current = head.current_topic_id
        if topics or holds_topics(head.type):
            head = head._replace(status=int(current is not None), current_topic_id=current)
        if not self._seq:  # the first message is to be later than every joining (page 1.2)
            joined = [min(place.fetched, self._now) for place in self._places]
            head = head._replace(last_timestamp=max([head.last_timestamp, *joined]))
        return head


def _last_of(record: Record) -> int:
    spans = json.loads(record.spans)
    return int(spans[-1][1]) if spans else 0


def _ended(topic: Topic, last: Stop | None) -> Topic:
    stop: dict[str, Any] = {"status": ENDED}
    if last is not None and topic.start_seq is not None:
        stop |= {"end_message_id": last.id, "end_seq": last.seq, "end_time": last.timestamp}
    return replace(topic, **stop)


def _grown(held: Topic, told: Topic) -> Topic:
    """What imd holds, with the answer and the end that the original has meanwhile."""
    if held.session_id != told.session_id:
        return held
    if told.reply and not held.reply:
        held = replace(
            held,
            reply=1,
            reply_by=told.reply_by,
            reply_time=told.reply_time,
            reply_message_id=told.reply_message_id,
        )
    if told.status == ENDED and held.status == LIVE:
        held = replace(
            held,
            status=ENDED,
            end_by=told.end_by,
            end_time=told.end_time,
            end_message_id=told.end_message_id,
            end_seq=told.end_seq,
        )
    return held
