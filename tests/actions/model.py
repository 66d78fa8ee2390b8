"""What a chat server is, in plain Python: the model that the store is compared with.

Deliberately naive: unread is counted by walking through the whole log, every time.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Entry:
    id: str
    seq: int
    sender: str
    type: int
    content: object
    topic: str | None
    version: int = 1
    recalled: bool = False

    @property
    def counted(self) -> bool:
        return self.type != 2105


@dataclass
class Place:
    """A member's place: read and delivered marks, pinned or not."""

    read: int
    delivered: int
    sticky: bool = False


@dataclass
class Chat:
    id: str
    log: list[Entry] = field(default_factory=list)
    members: dict[str, Place] = field(default_factory=dict)
    live: str | None = None
    keys: dict[tuple[str, str], Entry] = field(default_factory=dict)

    @property
    def last_seq(self) -> int:
        return len(self.log)

    def join(self, user: str) -> None:
        self.members.setdefault(user, Place(self.last_seq, self.last_seq))

    def add(self, entry: Entry) -> None:
        assert entry.seq == self.last_seq + 1
        self.log.append(entry)
        if entry.sender in self.members:
            place = self.members[entry.sender]
            place.read = place.delivered = entry.seq

    def mark(self, user: str, seq: int | None, read: bool = True) -> None:
        goal = self.last_seq if seq is None else min(seq, self.last_seq)
        place = self.members[user]
        place.delivered = max(place.delivered, goal)
        if read:
            place.read = max(place.read, goal)

    def unread(self, user: str) -> int:
        place = self.members[user]
        return sum(e.counted and e.sender != user for e in self.log if e.seq > place.read)

    def last_message(self) -> Entry | None:
        return next((entry for entry in reversed(self.log) if entry.counted), None)


class Model:
    """All chats, and a user's view over them."""

    def __init__(self) -> None:
        self.chats: dict[str, Chat] = {}

    def badge(self, user: str) -> int:
        return sum(chat.unread(user) for chat in self.chats.values() if user in chat.members)
