"""What a server notices of retention, which deletes beside it: the badges of outer sockets.

What nobody had read is gone and counts no more. Nothing else that a process keeps is touched by
that: streams stand at a session's end, and a log only loses its beginning. Wiring repeats the look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from imd.storage.retention import deletions
from imd.storage.store import Database

#: seconds between two looks, and users whose badge is read again after one
LOOK_SECONDS: Final = 5.0
_MOST: Final = 200


class Deletions:
    """``users`` are those with an outer socket here; ``stale`` has a user's badge read again."""

    def __init__(
        self, db: Database, users: Callable[[], Collection[str]], stale: Callable[[str], None]
    ) -> None:
        self._db, self._users, self._stale = db, users, stale
        self._known: str | None = None
        self._owed: dict[str, None] = {}

    async def look(self) -> None:
        """See whether anything was deleted since the last look."""
        count = await self._db.read(deletions)
        if count != self._known:
            if self._known is not None:
                self._owed = dict.fromkeys(self._users())
            self._known = count
        for user_id in list(self._owed)[:_MOST]:
            del self._owed[user_id]
            self._stale(user_id)
