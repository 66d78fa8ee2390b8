"""Pages of a session's log: bounds, order, size, and where the next page begins.

Shared by the lists of messages (page 2.5) and the socket's history (page 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from imd.actions.ports import Transaction
from imd.actions.queries import MessageQuery
from imd.domain.errors import MessageNotFound
from imd.domain.message import Card, Message
from imd.wire import answers, cursor
from imd.wire.codec import encode
from imd.wire.fields import Place

#: a page ends early when its JSON would grow beyond this
MOST_BYTES = 1024 * 1024


class Bounds(NamedTuple):
    """Exclusive bounds by place, inclusive ones by message id."""

    before: Place | None = None
    after: Place | None = None
    start_id: str | None = None
    end_id: str | None = None

    def seqs(self, transaction: Transaction, session_id: str) -> tuple[int | None, int | None]:
        """``(above, below)``, exclusive; MessageNotFound for an id that is not in the session."""

        def seq(message_id: str) -> int:
            found = transaction.messages.get(session_id, message_id)
            if found is None:
                raise MessageNotFound()
            return found.seq

        def at(place: Place | None) -> int | None:
            if place is None or place.message_id is None:
                return place.seq if place else None
            return seq(place.message_id)

        lower = (at(self.after), seq(self.start_id) - 1 if self.start_id else None)
        upper = (at(self.before), seq(self.end_id) + 1 if self.end_id else None)
        above = [bound for bound in lower if bound is not None]
        below = [bound for bound in upper if bound is not None]
        return (max(above) if above else None, min(below) if below else None)


def ascending(bounds: Bounds, order: str | None, next_: str | None) -> bool:
    """A cursor goes on in its own order; else ``order``, else oldest first with ``after`` alone."""
    if next_ is not None:
        return cursor.unpack(next_, str, int)[0] == "asc"
    if order is not None:
        return order == "asc"
    return bounds.after is not None and bounds.before is None


def fetch(
    transaction: Transaction, query: MessageQuery, next_: str | None
) -> answers.Page[Message]:
    """One page of the query, after the cursor ``next_``."""
    if next_ is not None:
        seq = int(cursor.unpack(next_, str, int)[1])
        if query.ascending:
            query = query._replace(above=seq if query.above is None else max(seq, query.above))
        else:
            query = query._replace(below=seq if query.below is None else min(seq, query.below))
    found = transaction.messages.page(query._replace(limit=query.limit + 1))
    shown = fitting(found[: query.limit], MOST_BYTES)
    more = len(found) > len(shown)
    order = "asc" if query.ascending else "desc"
    return answers.Page(shown, cursor.pack(order, shown[-1].seq) if more else None)


def fitting(messages: Sequence[Message], most: int) -> list[Message]:
    """As many of the first messages as fit into ``most`` bytes of JSON, at least one."""
    kept: list[Message] = []
    size = 0
    for message in messages:
        size += _size(message)
        if size > most and kept:
            break
        kept.append(message)
    return kept


#: the JSON of a message without its content, generously
_ENVELOPE = len(encode(Message("", "", 0, "", "", "", 0, None, 0, "", 0, 0, False))) + 1200


def _size(message: Message) -> int:
    content = message.content
    if content is None:
        return _ENVELOPE
    if isinstance(content, Card):
        return _ENVELOPE + len(content.text.encode())
    return _ENVELOPE + len(encode(content))
