"""What follows the commit of anything that happens to a topic: messages, then the news of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from imd.actions.ports import Committed, House
from imd.domain.message import Card
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.wire.codec import encode


class Effects(NamedTuple):
    """What to tell after the commit; ``roster`` is the session's then."""

    topic: Topic | None
    committed: Sequence[Committed]
    session: Session | None
    roster: int


def tell(house: House, effects: Effects) -> None:
    """Tell the sockets, the messages first."""
    if effects.committed:
        house.courier.committed(effects.committed)
    if effects.topic is not None:
        house.courier.topic_changed(effects.topic, effects.roster)
    if effects.session is not None:
        house.courier.session_changed(effects.session, effects.roster)


def about(topic: Topic) -> Card:
    """What TOPIC_START and TOPIC_END say: which topic, and its name."""
    return Card(encode({"topic_id": topic.id, "name": topic.name}).decode())
