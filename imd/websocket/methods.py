"""One function a method (page 3.2), and the table that names them.

A link calls them in order, with params that fit their model. Each asks an action of the house, so
that REST and the socket obey the same rules, and answers on the link. They know no WebSocket, and
decide nothing that page 1 or 2 decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError

from imd.actions import live, messages, sessions
from imd.domain.caller import TRUSTED, Caller
from imd.domain.client_types import ClientType
from imd.domain.errors import (
    Forbidden,
    ImError,
    InvalidInput,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from imd.domain.ids import UserId
from imd.websocket.link import LEEWAY, Link, WrongParams
from imd.websocket.room import Method, Work
from imd.websocket.states import Event, State
from imd.websocket.turns import Turn
from imd.wire.closing import Close
from imd.wire.codec import convert, encode
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


# ---- login and enter


async def login(link: Link, turn: Turn) -> None:
    """Log in, or be turned away with an error and a close (page 3.1)."""
    try:
        await _login(link, turn.call)
    except CancelledError:
        raise
    except ImError as error:
        link.refuse(turn.call, error)
        link.fire(Event.TURNED_AWAY, _close_for(error))
    except Exception:
        link.room.log.failure("login failed")
        link.fail(turn.call)
        link.fire(Event.TURNED_AWAY, Close.FAILED)


async def _login(link: Link, call: Call) -> None:
    room = link.room
    try:
        params = convert(call.params, LoginParams)
        client = ClientType(params.client_type)
    except InvalidInput as error:
        raise WrongParams(*error.errors) from None
    except ValueError:
        said = f"must be one of {', '.join(ClientType)}"
        raise WrongParams.of("client_type", said) from None
    caller, user_id = _identify(link, params)
    if client.inside and params.session_id is None:
        raise WrongParams.of("session_id", f"is required for the client type {client}")
    if not caller.is_service and caller.role != client.role:
        raise Forbidden(f"The token's role does not allow the client type '{client}'.")
    link.caller, link.user_id, link.client, link.address = caller, user_id, client, ""
    if caller.expires_at is not None:
        expired = caller.expires_at <= room.house.clock.now()
        link.expires_at = caller.expires_at + (LEEWAY if expired else 0)
    await room.in_turn(lambda: _let_in(link, call, params))


async def _let_in(link: Link, call: Call, params: LoginParams) -> None:
    """What is read of the database for a login, and its answer."""
    if link.state is not State.LOGGING_IN:
        return
    room, caller, user_id = link.room, link.caller, UserId(link.user_id)
    room.admission.admit(link)
    if link.client.inside:
        session_id = cast(str, params.session_id)
        answer, joined = await _join(link, session_id, params.after_seq, params.epoch)
        if link.state is State.LOGGING_IN:
            link.session_id = session_id
            link.fire(Event.ADMITTED_INSIDE)
            link.answer(call, answer)
            room.admission.settle(link, joined.last_seq, joined.roster)
        return
    link.hold()
    total = await live.unread_total(room.house, caller, user_id)
    if link.state is State.LOGGING_IN:
        link.fire(Event.ADMITTED_OUTER)
        link.answer(call, _login_result(link, None, total))
        link.release()
        room.admission.welcome(link, total)


def _identify(link: Link, params: LoginParams) -> tuple[Caller, UserId]:
    """Who logs in: a token's user or, in trusted mode, whoever is named.

    A service key opens no socket: it is nobody's, and would pass for any user (page 2.1).
    """
    house = link.room.house
    if params.token is None:
        if not house.doorkeeper.trusted:
            raise Unauthenticated()
        if params.user_id is None:
            raise WrongParams.of("user_id", "is required without a token")
        return TRUSTED, params.user_id
    try:
        caller = house.doorkeeper.identify(params.token)
        if caller.is_service:
            raise Unauthenticated("A socket is opened with a user's token.")
    except Unauthenticated:
        wait = house.rates.failures.take(link.address, house.clock.now())
        if wait > 0:
            raise RateLimited(wait) from None
        raise
    return caller, caller.acting_for(params.user_id)


def _close_for(error: ImError) -> Close:
    """How a refused login ends (page 3.1)."""
    if isinstance(error, Forbidden | NotFound):
        return Close.NOT_A_MEMBER
    if isinstance(error, RateLimited):
        return Close.RATE_LIMITED
    if isinstance(error, Unauthenticated | InvalidInput):
        return Close.UNAUTHENTICATED
    return Close.FAILED


async def _join(
    link: Link, session_id: str, after_seq: int | None, epoch: object
) -> tuple[bytes, live.Joined]:
    """The result for entering a session, and what it shows.

    The link is expected there before the snapshot is read, so that nothing falls in between.
    """
    admission = link.room.admission
    entry = live.Entry(link.caller, UserId(link.user_id), session_id, after_seq, epoch)
    admission.expect(link, session_id)
    try:
        joined = await link.room.arrivals.join(entry)
    except BaseException:
        admission.forsake(link)
        raise
    link.room.entered(after_seq, joined.recovered)
    return _login_result(link, joined, joined.unread_total), joined


def _login_result(link: Link, joined: live.Joined | None, total: int) -> bytes:
    house = link.room.house
    return encode(
        {
            "user_id": link.user_id,
            "client_type": link.client,
            "epoch": house.db.epoch,
            "server_time": house.clock.now(),
            "heartbeat_ms": round(link.room.settings.heartbeat * 1000),
            "session": joined.session if joined else None,
            "messages": joined.messages if joined else [],
            "recovered": joined.recovered if joined else False,
            "unread_total": total,
        }
    )


async def enter(link: Link, params: EnterParams, call: Call) -> None:
    """Move to another session; a refused one changes nothing (page 3.2)."""
    if not link.client.inside:
        raise Forbidden("A socket outside any session does not move between sessions.")
    link.fire(Event.ENTERING)
    try:
        answer, joined = await _join(link, params.session_id, params.after_seq, params.epoch)
    except BaseException:
        link.fire(Event.STAYED)
        raise
    link.fire(Event.ENTERED)
    if link.is_gone:
        return
    link.room.admission.depart(link)
    link.session_id = params.session_id
    link.answer(call, answer)
    link.room.admission.settle(link, joined.last_seq, joined.roster)


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

    def done(self) -> None:
        """It has been answered, one way or another."""
        link = self.link
        if link.sends is not None and link.sends.get(self.key) is self:
            del link.sends[self.key]
            link.sends = link.sends or None
        if link.turns is not None:
            link.turns.answered()
        link.relax()


async def send(link: Link, turn: Turn) -> None:
    """Store a message; the result comes when it is durable, the same one on a repeat."""
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
        posted = await messages.post_message(house, link.caller, request, under_way)
    except CancelledError:
        raise
    except ImError as error:
        link.refuse(turn.call, error)
    except Exception:
        link.room.log.failure("send failed")
        link.fail(turn.call)
    else:
        if under_way.taken:
            return
        link.answer(turn.call, encode({"message": posted.message}))
    under_way.done()


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
    marked = await live.acknowledge(house, link.caller, user_id, session_id, params.seq, read)
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
