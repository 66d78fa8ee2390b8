"""Who asks, and for whom.

A transport turns a credential into a :class:`Caller`; actions ask it two questions: on whose
behalf is this, and may it be done. Identity comes only from the credential (page 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from imd.domain.errors import ForbiddenUser, InvalidInput, MissingScope, SessionNotFound
from imd.domain.ids import UserId

READ, WRITE, ADMIN = "read", "write", "admin"
#: what a scope includes besides itself
SCOPES: dict[str, frozenset[str]] = {
    READ: frozenset({READ}),
    WRITE: frozenset({READ, WRITE}),
    ADMIN: frozenset({READ, WRITE, ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A user (``user_id`` set) or a service (``scopes`` set).

    ``sid`` limits a user to those sessions; ``fingerprint`` names the presented token for
    revocation; ``expires_at`` is in ms, None where nothing expires. ``name`` is the service key's.
    """

    user_id: UserId | None = None
    role: str | None = None
    scopes: frozenset[str] = frozenset()
    sid: frozenset[str] | None = None
    fingerprint: str | None = None
    expires_at: int | None = None
    name: str | None = None

    @property
    def is_service(self) -> bool:
        return self.user_id is None

    @property
    def actor(self) -> str:
        """Who this is, for the audit trail."""
        return f"service:{self.name}" if self.is_service else f"user:{self.user_id}"

    def require(self, scope: str) -> None:
        """Refuse a service key without ``scope``; users are judged by membership instead."""
        if self.is_service and scope not in self.scopes:
            raise MissingScope(f"This needs the scope '{scope}'.")

    def may_move_marks(self) -> bool:
        """A key with only ``read`` never moves marks (page 2.1)."""
        return not self.is_service or WRITE in self.scopes

    def acting_for(self, user_id: UserId | None, field: str = "user_id") -> UserId:
        """The user of a personal route: the user itself, or the one that a service names.

        ForbiddenUser when a user names another, InvalidInput when a service names none.
        """
        if self.user_id is not None:
            if user_id is not None and user_id != self.user_id:
                raise ForbiddenUser()
            return self.user_id
        if user_id is None:
            raise InvalidInput.of(field, "a service must name the user")
        return user_id

    def viewer(self, user_id: UserId | None) -> UserId | None:
        """As :meth:`acting_for`, where a service may name nobody."""
        if self.user_id is None and user_id is None:
            return None
        return self.acting_for(user_id)

    def check_session(self, session_id: str) -> None:
        """A token limited by ``sid`` sees no other session."""
        if self.sid is not None and session_id not in self.sid:
            raise SessionNotFound()


#: whoever calls a server in trusted mode without a credential (page 2.1)
TRUSTED = Caller(scopes=SCOPES[ADMIN], name="trusted")
