"""Who is a member of a session (page 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imd.actions.access import enter, told
from imd.actions.ports import House, Transaction
from imd.domain.audit import Act, Note
from imd.domain.caller import Caller
from imd.domain.errors import NotFound
from imd.domain.participant import (
    Avatar,
    Participant,
    Seat,
    check_may_change,
)
from imd.domain.session import Session
from imd.wire import answers, participants

Members = answers.Items[Participant]

_NO_MEMBER = "None of the named users is a member of this session."


async def _with_presence(house: House, members: list[Participant]) -> Members:
    here = await house.presence.clients([member.participant_id for member in members])
    return answers.Items(
        [replace(member, online=member.participant_id in here) for member in members]
    )


async def list_participants(
    house: House, caller: Caller, request: participants.ListParticipants
) -> Members:
    """All members of a session."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> list[Participant]:
        enter(transaction, caller, request.session_id, viewer)
        return transaction.participants.list(request.session_id)

    return await _with_presence(house, await house.db.read(look))


async def list_avatars(
    house: House, caller: Caller, request: participants.ListParticipants
) -> answers.Items[Avatar]:
    """Names and pictures of all members."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> list[Avatar]:
        enter(transaction, caller, request.session_id, viewer)
        return transaction.participants.avatars(request.session_id)

    return answers.Items(await house.db.read(look))


async def get_participants(
    house: House, caller: Caller, request: participants.GetParticipants
) -> Members:
    """The named members; unknown ones are left out."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> list[Participant]:
        enter(transaction, caller, request.session_id, viewer)
        found = transaction.participants.list(request.session_id, request.participant_ids)
        if not found:
            raise NotFound(_NO_MEMBER)
        return found

    return await _with_presence(house, await house.db.read(look))


async def get_avatar(house: House, caller: Caller, request: participants.GetAvatar) -> Avatar:
    """Name and picture of one member."""
    viewer = caller.viewer(request.user_id)

    def look(transaction: Transaction) -> Avatar:
        enter(transaction, caller, request.session_id, viewer)
        found = transaction.participants.list(request.session_id, [request.participant_id])
        if not found:
            raise NotFound(_NO_MEMBER)
        return Avatar(found[0].participant_id, found[0].name, found[0].avatar)

    return await house.db.read(look)


# ---- changes


def _note(
    transaction: Transaction,
    caller: Caller,
    act: Act,
    session_id: str,
    user_ids: Sequence[str],
    now: int,
) -> None:
    if user_ids:
        detail: dict[str, object] = {"participants": list(user_ids)}
        transaction.audit.note(Note(now, caller.actor, act, session_id, detail))


async def put_participants(
    house: House, caller: Caller, request: participants.PutParticipants
) -> Members:
    """Add members, or change the role of those who are; marks stay (page 2.7)."""
    viewer = caller.viewer(request.user_id)
    now = house.clock.now()
    wanted = list(dict.fromkeys(request.participant_ids))

    def change(transaction: Transaction) -> tuple[list[Participant], tuple[Session, int] | None]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        check_may_change(caller)
        seats = [Seat(user_id, request.role_of_new) for user_id in wanted]
        added = transaction.participants.add(head, seats, now)
        _note(transaction, caller, Act.PARTICIPANT_ADDED, head.id, added, now)
        changed = bool(added)
        if request.changes_role:
            transaction.participants.set_role(head.id, wanted, request.role_of_new)
            others = [user_id for user_id in wanted if user_id not in added]
            _note(transaction, caller, Act.PARTICIPANT_ROLE, head.id, others, now)
            changed = True
        members = transaction.participants.list(head.id)
        return members, told(transaction, head.id) if changed else None

    members, news = await house.db.write(change)
    if news is not None:
        house.courier.session_changed(*news)
    return await _with_presence(house, members)


async def remove_participants(
    house: House, caller: Caller, request: participants.RemoveParticipants
) -> Members:
    """Remove members; their sockets in the session are closed before the answer (page 2.7)."""
    viewer, now = caller.viewer(request.user_id), house.clock.now()

    def change(
        transaction: Transaction,
    ) -> tuple[list[str], list[Participant], tuple[Session, int]]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        check_may_change(caller)
        removed = transaction.participants.remove(head.id, request.participant_ids)
        if not removed:
            raise NotFound(_NO_MEMBER)
        _note(transaction, caller, Act.PARTICIPANT_REMOVED, head.id, removed, now)
        return removed, transaction.participants.list(head.id), told(transaction, head.id)

    removed, members, news = await house.db.write(change)
    house.courier.expelled(request.session_id, removed)
    house.courier.session_changed(*news)
    return await _with_presence(house, members)


async def replace_participants(
    house: House, caller: Caller, request: participants.ReplaceParticipants
) -> Members:
    """The old out, the new in, in one transaction; all of the old must be members (page 2.7)."""
    viewer = caller.viewer(request.user_id)
    now = house.clock.now()
    old = set(request.old_participant_ids)
    new = list(dict.fromkeys(request.new_participant_ids))

    def change(transaction: Transaction) -> tuple[list[Participant], tuple[Session, int]]:
        head, _ = enter(transaction, caller, request.session_id, viewer, lock=True)
        check_may_change(caller)
        if set(transaction.participants.remove(head.id, sorted(old))) != old:
            raise NotFound("The one to be replaced is not a member of this session.")
        seats = [Seat(user_id, request.role_of_new) for user_id in new]
        added = transaction.participants.add(head, seats, now)
        _note(transaction, caller, Act.PARTICIPANT_REMOVED, head.id, sorted(old), now)
        _note(transaction, caller, Act.PARTICIPANT_ADDED, head.id, added, now)
        return transaction.participants.list(head.id), told(transaction, head.id)

    members, news = await house.db.write(change)
    house.courier.expelled(request.session_id, sorted(old - set(new)))
    house.courier.session_changed(*news)
    return await _with_presence(house, members)
