"""A member's wish to be pushed nothing of one session (page 4.4); sockets are told as ever."""

from __future__ import annotations

from imd.actions.access import enter
from imd.actions.ports import House, Transaction
from imd.domain.caller import Caller
from imd.wire import answers, sessions


async def mute_session(
    house: House, caller: Caller, request: sessions.MuteSession
) -> answers.Muted:
    """Push nothing more of the session to one user; what waits is cancelled."""
    return await _mute(house, caller, request, True)


async def unmute_session(
    house: House, caller: Caller, request: sessions.MuteSession
) -> answers.Muted:
    """Push again, from the next message on."""
    return await _mute(house, caller, request, False)


async def _mute(
    house: House, caller: Caller, request: sessions.MuteSession, muted: bool
) -> answers.Muted:
    user_id = caller.acting_for(request.user_id)

    def change(transaction: Transaction) -> None:
        enter(transaction, caller, request.session_id, user_id, lock=True)
        transaction.participants.set_muted(request.session_id, user_id, muted)

    await house.db.write(change)
    return answers.Muted(request.session_id, muted)
