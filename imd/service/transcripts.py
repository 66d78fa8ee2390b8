"""A consult as a document: its messages by their interval of seq, and what one has to know of them.

``imdctl transcript export`` gathers here what the three forms show: JSON (below), a page to print
(:mod:`imd.service.transcript_page`), a sealed file (:mod:`imd.service.sealing`). It shows what a
reader of the session sees, no more: a recalled message is there without its content. It writes no
file and no note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from imd import __version__
from imd.actions.ports import Transaction
from imd.actions.queries import MessageQuery
from imd.domain.message import Message
from imd.domain.session import Session
from imd.domain.session_types import SESSION_TYPES
from imd.domain.topic import LIVE, Topic
from imd.wire.codec import encode, raw

FORMAT: Final = "imd-transcript"
VERSION: Final = 1
_STRIDE: Final = 500
#: what stands in every transcript about what is not in it
REMARKS: Final = {
    "en": "A recalled message stands in its place without its content, as every reader sees it. A"
    " card that was changed (version above 1) shows its last content. participants are the members"
    " at the time of the export.",
    "zh": "已撤回的消息保留位置,不显示内容,与任何读者所见相同。修改过的卡片(version 大于 1)"
    "显示最后的内容。participants 为导出时的成员。",
}


class NoTranscript(Exception):
    """There is nothing to export; the sentence says why."""


class Wanted(NamedTuple):
    """A topic, or messages of a session from one seq to another (both included, None: open)."""

    topic_id: str | None
    session_id: str | None
    from_seq: int | None = None
    to_seq: int | None = None


class Transcript(NamedTuple):
    """``header`` is what stands above the messages, as plain values; the messages come by seq."""

    header: dict[str, Any]
    messages: Iterator[Message]

    @property
    def session_id(self) -> str:
        return str(self.header["session"]["id"])

    @property
    def topic_id(self) -> str | None:
        topic: Topic | None = self.header["topic"]
        return None if topic is None else topic.id


def gather(transaction: Transaction, wanted: Wanted, now: int) -> Transcript:
    """Read what is wanted; messages are read on while they are taken, in the same snapshot.

    ``now`` is in ms. Raises NoTranscript.
    """
    topic = _topic(transaction, wanted.topic_id) if wanted.topic_id is not None else None
    session_id = topic.session_id if topic is not None else str(wanted.session_id)
    session = transaction.sessions.view(session_id)
    if session is None:
        raise NoTranscript(f"there is no session {session_id!r}")
    first, last = wanted.from_seq or 1, min(wanted.to_seq or session.last_seq, session.last_seq)
    if topic is not None:
        first, last = _interval(transaction, topic, session)
    begins = next(_messages(transaction, session_id, first, last, 1), None)
    if begins is None:
        raise NoTranscript(f"no message of session {session_id!r} is left between these seqs")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": now,
        "program": f"imd {__version__}",
        "session": _session(session),
        "topic": topic,
        "participants": [
            {"participant_id": p.participant_id, "role": p.role, "name": p.name, "kind": p.kind}
            for p in transaction.participants.list(session_id)
        ],
        "first_seq": begins.seq,
        "last_seq": last,
        "messages": last - begins.seq + 1,
        #: what was asked for and is deleted by now: a log only loses its beginning
        "deleted_before": begins.seq if begins.seq > first else None,
        "remarks": REMARKS,
    }
    return Transcript(header, _messages(transaction, session_id, begins.seq, last, _STRIDE))


def _topic(transaction: Transaction, topic_id: str) -> Topic:
    topic = transaction.topics.get(topic_id)
    if topic is None:
        raise NoTranscript(f"there is no topic {topic_id!r}")
    return topic


def _interval(transaction: Transaction, topic: Topic, session: Session) -> tuple[int, int]:
    """From TOPIC_START to TOPIC_END, or to the newest message while it is live.

    Where no place is known, as when the platform began or ended it, it is where its messages are.
    """
    start, end = topic.start_seq, topic.end_seq
    if start is None:
        start = _outermost(transaction, topic, first=True)
    if end is None:
        live = topic.status == LIVE
        end = session.last_seq if live else _outermost(transaction, topic, first=False)
    return start, end


def _outermost(transaction: Transaction, topic: Topic, *, first: bool) -> int:
    query = MessageQuery(topic.session_id, topic_id=topic.id, ascending=first, limit=1)
    found = transaction.messages.page(query)
    if not found:
        raise NoTranscript(f"topic {topic.id!r} has no messages")
    return found[0].seq


def _session(session: Session) -> dict[str, Any]:
    row = SESSION_TYPES.get(session.type)
    return {
        "id": session.id,
        "name": session.name,
        "type": session.type,
        "type_name": row.type.name if row else None,
        "business_type": session.business_type,
        "create_time": session.create_time,
    }


def _messages(
    transaction: Transaction, session_id: str, first: int, last: int, stride: int
) -> Iterator[Message]:
    above = first - 1
    while above < last:
        query = MessageQuery(session_id, above=above, below=last + 1, ascending=True, limit=stride)
        found = transaction.messages.page(query)
        yield from found
        if len(found) < stride:
            return
        above = found[-1].seq


def as_json(transcript: Transcript) -> Iterator[bytes]:
    """One JSON object: the header's fields, then ``items``, a message a line."""
    yield encode(transcript.header)[:-1] + b',"items":[\n'
    comma = b""
    for message in transcript.messages:
        yield comma + one_line(message)
        comma = b",\n"
    yield b"\n]}\n"


def one_line(value: object) -> bytes:
    """JSON without a line feed: a card comes as it was sent, white space between its parts too."""
    return encode(value).replace(b"\r", b" ").replace(b"\n", b" ")


def named(name: str, value: object) -> bytes:
    """The inside of an object with one field."""
    return one_line({name: raw(encode(value))})[1:]
