"""Moving a member's marks, and telling the sockets when they moved (pages 1.2, 2.5, 3.3)."""

from __future__ import annotations

from imd.actions.ports import House
from imd.domain.caller import Caller
from imd.domain.ids import UserId
from imd.domain.participant import Mark, Marked


async def move(
    house: House,
    caller: Caller,
    session_id: str,
    user_id: UserId,
    seq: int | None,
    *,
    read: bool = True,
    seen: bool = True,
) -> Marked:
    """Marks up to ``seq`` (None: the newest), never backwards, never past the newest."""
    caller.check_session(session_id)
    mark = Mark(session_id, user_id, seq, read, seen)
    marked = await house.writer.mark(mark, named=caller.is_service)
    if marked.moved:
        house.courier.marked(marked)
    return marked
