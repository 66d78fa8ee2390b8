"""How an action's outcome becomes a status, a body and headers (page 2).

Rows of the table name one of these; the dispatch applies it. Most actions answer 200 with what
they return; the few whose outcome chooses the status stand here. It knows no route.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

JSON = b"application/json; charset=utf-8"
PROBLEM = b"application/problem+json"


class Reply(NamedTuple):
    """An answer: ``body`` is encoded as JSON unless it is bytes; ``kind`` is its media type."""

    status: int
    body: Any
    headers: tuple[tuple[bytes, bytes], ...] = ()
    kind: bytes = JSON


class Outcome(NamedTuple):
    """The statuses that a row may answer when all is well, and what chooses among them."""

    statuses: tuple[int, ...]
    reply: Callable[[Any], Reply]


def _made(member: str) -> Callable[[Any], Reply]:
    def reply(outcome: Any) -> Reply:
        return Reply(201 if outcome.created else 200, getattr(outcome, member))

    return reply


def _posted(posted: Any) -> Reply:
    again = ((b"Idempotent-Replay", b"true"),) if posted.replayed else ()
    return Reply(201, posted.message, again)


#: 200 with what the action returned
PLAIN = Outcome((200,), lambda answer: Reply(200, answer))
#: 204, whatever the action returned
NOTHING = Outcome((204,), lambda answer: Reply(204, b""))
#: ``Posted``: 201 both times, the second marked as a replay
POSTED = Outcome((201,), _posted)
#: outcomes with ``created``: 201 when this call made the thing, 200 when it was there
OPENED = Outcome((201, 200), _made("session"))
PUT = Outcome((201, 200), _made("user"))
STARTED = Outcome((201, 200), _made("topic"))
ENTERED = Outcome((201, 200), _made("message"))
#: the action made a Reply itself (whether the server is ready)
READY = Outcome((200, 503), lambda reply: reply)
#: the same where it is always 200 (files)
FILE = Outcome((200,), lambda reply: reply)
