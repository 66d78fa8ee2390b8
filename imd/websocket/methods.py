"""One function a method (page 3.2), and the table that names them.

A link calls them in order, with params that fit their model. Each asks an action of the house, so
that REST and the socket obey the same rules, and answers on the link. They know no WebSocket, and
decide nothing that page 1 or 2 decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from imd.actions import live, messages, sessions
from imd.actions.ports import Posted
from imd.domain.errors import (
    ImError,
    RateLimited,
)
from imd.domain.ids import UserId
from imd.websocket.entrance import enter, login
from imd.websocket.link import Link, WrongParams
from imd.websocket.room import Method, Work
from imd.websocket.turns import Turn
from imd.wire.closing import Close
from imd.wire.codec import encode
from imd.wire.fields import Request
from imd.wire.frames import (
    AckParams,
    Call,
    EnterParams,
    HistoryParams,
    LoginParams,
    ReadParams,
    SendParams,
    SessionParams,
    SessionsParams,
)
from imd.wire.messages import PostMessage
from imd.wire.sessions import ListRecentSessions

Ask = Callable[[Link, Any], Awaitable[object]]


# ---- send


class Send:
    """A send under way; the courier answers it in the message's place (page 3.2)."""

    __slots__ = ("call", "key", "link", "taken")

    def __init__(self, link: Link, call: Call, key: tuple[str, str]) -> None:
        self.link, self.call, self.key = link, call, key
        #: whether the courier has taken charge of the answer
        self.taken = False

    def take(self) -> None:
        self.taken = True

    def answer(self, message: bytes) -> None:
        """The result around the message, which is JSON already."""
        self.link.answer(self.call, b'{"message":%b}' % message)
        self.done()

    def stored(self, posted: Posted) -> None:
        """It is durable, or was before: answer, unless the courier does."""
        if not self.taken:
            self.link.answer(self.call, encode({"message": posted.message}))
            self.done()

    def refused(self, failure: Failure) -> None:
        """It was not stored."""
        if isinstance(failure.value, ImError):
            self.link.refuse(self.call, failure.value)
        else:
            self.link.room.log.failure("send failed", failure)
            self.link.fail(self.call)
        self.done()

    def done(self) -> None:
        """It has been answered, one way or another."""
        link = self.link
        if link.sends is not None and link.sends.get(self.key) is self:
            del link.sends[self.key]
            link.sends = link.sends or None
        if link.turns is not None:
            link.turns.answered()
        link.relax()


def send(link: Link, turn: Turn) -> None:
    """Store a message; the result comes when it is durable, the same one on a repeat.

    No coroutine: of all requests this is the one that comes most often, and it waits only once.
    """
    params = cast(SendParams, turn.params)
    session_id = params.session_id or link.session_id
    under_way = Send(link, turn.call, (session_id or "", params.client_msg_id))
    try:
        _check_rate(link)
        if link.sends is None:
            link.sends = {}
        link.sends.setdefault(under_way.key, under_way)
        request = PostMessage(
            session_id=_session(link, session_id),
            type=params.type,
            content=params.content,
            client_msg_id=params.client_msg_id,
            topic_id=params.topic_id,
            sender_id=UserId(link.user_id),
        )
        house = link.room.house
        posted = house.writer.post(messages.draft_of(house, link.caller, request), under_way)
    except Exception:
        under_way.refused(Failure())
    else:
        posted.addCallbacks(under_way.stored, under_way.refused)


# ---- the others: what is asked, in the shape of the answer


async def history(link: Link, params: HistoryParams) -> object:
    """A page of the log; moves no marks."""
    session_id = _session(link, params.session_id)
    user_id, size = UserId(link.user_id), params.size
    house, before, after = link.room.house, params.before, params.after
    return await live.history(house, link.caller, user_id, session_id, before, after, size)


async def ack(link: Link, params: AckParams) -> object:
    """Delivered up to ``seq``; from an inside socket read as well, unless ``read:false``."""
    session_id, user_id = _session(link, params.session_id), UserId(link.user_id)
    read = params.read and link.client.inside
    house = link.room.house
    inside = link.client.inside
    marked = await live.acknowledge(
        house, link.caller, user_id, session_id, params.seq, read, inside
    )
    return {"delivered_seq": marked.delivered_seq, "read_seq": marked.read_seq}


async def read(link: Link, params: ReadParams) -> object:
    """Read up to ``seq``, by default everything."""
    session_id, user_id = _session(link, params.session_id), UserId(link.user_id)
    marked = await live.read(link.room.house, link.caller, user_id, session_id, params.seq)
    return {"read_seq": marked.read_seq, "unread": marked.unread}


async def typing(link: Link, params: SessionParams) -> object:
    """Tell the others in the session; a link inside it is a member, or it would be closed."""
    session_id = _session(link, params.session_id)
    house, user_id = link.room.house, UserId(link.user_id)
    if session_id != link.session_id:
        await live.check_member(house, link.caller, user_id, session_id)
    house.courier.typing(session_id, user_id, link)
    return {}


async def recent(link: Link, params: SessionsParams) -> object:
    """The user's sessions with a message, newest first, as REST ``/sessions/recent``."""
    request = ListRecentSessions(
        user_id=UserId(link.user_id),
        business_type=params.business_type,
        kind=params.kind,
        type=params.type,
        since=params.since,
        cursor=params.cursor,
        size=params.size,
    )
    return await sessions.list_recent_sessions(link.room.house, link.caller, request)


async def topic(link: Link, params: SessionParams) -> object:
    """The live topic, or null."""
    session_id, user_id = _session(link, params.session_id), UserId(link.user_id)
    return await live.live_topic(link.room.house, link.caller, user_id, session_id)


async def logout(link: Link, params: Request, call: Call) -> None:
    """Answer, then close 1000. The token stays valid."""
    link.answer(call, b"{}")
    link.end(Close.NORMAL)


# ---- how they are carried out


def _session(link: Link, session_id: Any) -> Any:
    """The session that is meant: the login's by default."""
    found = session_id or link.session_id
    if found is None:
        raise WrongParams.of("session_id", "is required on a socket outside any session")
    return found


def _check_rate(link: Link) -> None:
    """RateLimited when the user asks too much; services are exempt (page 2.7)."""
    if link.caller.is_service:
        return
    house = link.room.house
    wait = house.rates.requests.take(link.user_id, house.clock.now())
    if wait > 0:
        raise RateLimited(wait)


def _answering(ask: Ask) -> Work:
    """Carry a request out and answer with what it returns."""

    async def carry_out(link: Link, params: Any, call: Call) -> None:
        link.answer(call, encode(await ask(link, params)))

    return _guarded(carry_out)


def _guarded(
    ask: Callable[[Link, Any, Call], Awaitable[None]],
) -> Work:
    """Carry a request out that answers by itself; what goes wrong becomes an error answer."""

    async def carry_out(link: Link, turn: Turn) -> None:
        try:
            _check_rate(link)
            await ask(link, turn.params, turn.call)
        except CancelledError:
            raise
        except ImError as error:
            link.refuse(turn.call, error)
        except Exception:
            link.room.log.failure("{method} failed", method=turn.call.method)
            link.fail(turn.call)

    return carry_out


#: name -> params and function (page 3.2)
METHODS: dict[str, Method] = {
    "login": Method(LoginParams, login),
    "send": Method(SendParams, send, grouped=True),
    "history": Method(HistoryParams, _answering(history)),
    "ack": Method(AckParams, _answering(ack)),
    "read": Method(ReadParams, _answering(read)),
    "typing": Method(SessionParams, _answering(typing)),
    "enter": Method(EnterParams, _guarded(enter)),
    "sessions": Method(SessionsParams, _answering(recent)),
    "topic": Method(SessionParams, _answering(topic)),
    "logout": Method(Request, _guarded(logout)),
}
