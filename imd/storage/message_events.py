"""What webhooks are told of messages and topics: derived from what the log stored (page 4.4).

The log calls it with each batch; a topic starts and ends with its messages. Knows nothing of
endpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from imd.actions.ports import Committed
from imd.domain.events import EventType
from imd.domain.message import Message
from imd.domain.message_types import MessageType
from imd.storage.events import Events
from imd.storage.topics import Topics

_OF_TOPIC = {
    MessageType.TOPIC_START: EventType.TOPIC_STARTED,
    MessageType.TOPIC_END: EventType.TOPIC_ENDED,
}


def _itself(message: Message) -> Message:
    return message


class MessageEvents:
    """Turns stored messages into events."""

    def __init__(self, events: Events, topics: Topics) -> None:
        self._events, self._topics = events, topics

    def stored(self, entries: Sequence[Committed]) -> None:
        """These messages are new."""
        if not self._events.on:
            return
        for entry in entries:
            message, note = entry.message, self._events.note
            session_id, time = message.session_id, message.timestamp
            note(EventType.MESSAGE_CREATED, session_id, message.id, partial(_itself, message), time)
            of_topic = (
                _OF_TOPIC.get(MessageType(message.type)) if message.type in _OF_TOPIC else None
            )
            topic_id = message.topic_id
            if of_topic is not None and topic_id is not None:
                note(of_topic, session_id, topic_id, partial(self._topics.get, topic_id), time)
            if entry.answered is not None:
                topic_id = entry.answered.id
                now = partial(self._topics.get, topic_id)
                note(EventType.TOPIC_REPLIED, session_id, topic_id, now, time)
