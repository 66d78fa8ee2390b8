"""Small histories made by hand: a good one, which tests of checkers spoil.

A :class:`Script` writes events as a run does, with times that it is told; ``truth`` is built from
the messages that were stored.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.faults.checks.everything import CHECKERS
from tests.faults.history import Event
from tests.faults.story import Story, Violation

S = "s1"


def message(seq: int, sender: str = "D1", **more: Any) -> dict[str, Any]:
    """A message as it is answered, shown and stored."""
    return {
        "id": f"m{seq}",
        "session_id": S,
        "seq": seq,
        "topic_id": None,
        "sender_id": sender,
        "type": 1,
        "content": f"c{seq}",
        "timestamp": 1000 + seq,
        "client_msg_id": f"k{seq}",
        "version": 1,
        "recalled": False,
        **more,
    }


class Script:
    """Events, one after another; each ``at`` a time or 0.1 s after the one before."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.at, self._ids = 0.0, 0
        self.stored: list[dict[str, Any]] = []
        self.marks: dict[str, tuple[int, int]] = {}
        self.topics: list[dict[str, Any]] = []
        self.add("meta", seed=0, nodes=1, services=["hospital"])
        self.call("hospital", "open", session=S, users=["D1", "p1"])

    def add(self, kind: str, **what: Any) -> None:
        self.at = round(self.at + 0.1, 3)
        self.events.append({"t": self.at, "kind": kind, **what})

    def call(self, who: str, op: str, ok: bool | None = True, got: Any = None, **args: Any) -> None:
        """Something that is asked and answered at once."""
        self.ask(who, op, **args)
        self.got(ok, **(got or {}))

    def ask(self, who: str, op: str, **args: Any) -> int:
        self._ids += 1
        self.add("ask", id=self._ids, who=who, op=op, **args)
        return self._ids

    def got(self, ok: bool | None = True, id_: int | None = None, **what: Any) -> None:
        self.add("got", id=id_ or self._ids, ok=ok, **what)

    def send(self, seq: int, sender: str = "D1", *, ok: bool = True, **more: Any) -> dict[str, Any]:
        """A message that is sent, stored and acknowledged."""
        made = message(seq, sender, **more)
        key, content = made["client_msg_id"], made["content"]
        self.ask(sender, "send", session=S, sender=sender, key=key, content=content, road="rest")
        self.stored.append(made)
        delivered = max(seq, self.marks.get(sender, (0, 0))[1])
        self.marks[sender] = (seq, delivered)
        if ok:
            self.got(True, message=made)
        else:
            self.got(None)
        return made

    def up(self, conn: int, who: str) -> None:
        self.add("up", conn=conn, who=who, node=0)

    def say(self, conn: int, id_: object, method: str, **params: Any) -> None:
        self.add("said", conn=conn, frame={"id": id_, "method": method, "params": params})

    def hear(self, conn: int, id_: object, **result: Any) -> None:
        self.add("heard", conn=conn, frame={"id": id_, "result": result})

    def tell(self, conn: int, shown: dict[str, Any], method: str = "message") -> None:
        self.add("heard", conn=conn, frame={"method": method, "params": shown})

    def login(
        self, conn: int, who: str, messages: list[dict[str, Any]], last: int, *,
        recovered: bool = False, after: int | None = None, epoch: str = "e",
    ) -> None:  # fmt: skip
        """A socket that opens and logs in."""
        self.up(conn, who)
        asked = {} if after is None else {"after_seq": after, "epoch": epoch}
        self.say(conn, "login", "login", session_id=S, **asked)
        session = {"id": S, "last_seq": last}
        self.hear(conn, "login", epoch="e", session=session, messages=messages, recovered=recovered)

    def end(self, **over: Any) -> None:
        """Every node is healthy, and the last look is taken; ``over`` replaces parts of it."""
        self.add("healthy", node=0)
        users = sorted({user for event in self.events for user in event.get("users", ())})
        participants = [
            {"session_id": S, "participant_id": user, "read_seq": read, "delivered_seq": delivered}
            for user in users
            for read, delivered in [self.marks.get(user, (0, 0))]
        ]
        live = [topic["id"] for topic in self.topics if topic["status"] == 0]
        truth: dict[str, Any] = {
            "messages": copy.deepcopy(self.stored),
            "sessions": [
                {
                    "id": S,
                    "type": 1,
                    "status": len(live),
                    "last_seq": len(self.stored),
                    "current_topic_id": live[0] if live else None,
                }
            ],
            "participants": participants,
            "topics": self.topics,
            "api": {
                "messages": copy.deepcopy(self.stored),
                "unread": [self._unread(row) for row in participants],
                "badges": [
                    {"user": row["participant_id"], "count": self._unread(row)["count"]}
                    for row in participants
                ],
            },
        }
        self.add("truth", **{**truth, **over})

    def _unread(self, row: dict[str, Any]) -> dict[str, Any]:
        user = row["participant_id"]
        count = sum(
            one["seq"] > row["read_seq"] and one["sender_id"] != user and one["type"] != 2105
            for one in self.stored
        )
        return {"session": S, "user": user, "count": count}

    @property
    def truth(self) -> Event:
        return self.events[-1]

    def found(self, promise: str) -> list[Violation]:
        """What the promise's checker says."""
        return list(CHECKERS[promise](Story(self.events)))
