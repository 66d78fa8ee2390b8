"""How one comes in: the methods ``login`` and ``enter`` (pages 3.1 and 3.2).

:mod:`imd.websocket.methods` names them in its table. Who logs in is told by the credential alone;
a link is expected in a session before the session is read, so that nothing falls in between.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import CancelledError

from imd.actions import live
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
from imd.websocket.states import Event, State
from imd.websocket.turns import Turn
from imd.wire.closing import Close
from imd.wire.codec import convert, encode
from imd.wire.frames import Call, EnterParams, LoginParams


async def login(link: Link, turn: Turn) -> None:
    """Log in, or be turned away with an error and a close (page 3.1)."""
    try:
        await link.room.turnstile.turn()
        if link.state is State.LOGGING_IN:
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
        now = room.house.clock.now()
        link.expires_at = caller.expires_at + (LEEWAY if caller.expires_at <= now else 0)
        link.look_within((link.expires_at - now) / 1000)
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
