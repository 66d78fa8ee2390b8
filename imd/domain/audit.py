"""What the audit trail says: who did what to what, never what a message said.

Administrative acts, membership changes, recalls, card changes and reads by services leave one
note each, in the transaction of the act. The notes form a chain: each hash covers the one before,
so a changed, missing or moved row shows.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

#: the hash before the first entry
GENESIS = "0" * 64
#: who acts through the command line
OPERATOR = "operator"


class Act(StrEnum):
    """The acts that are noted."""

    USER_PUT = "user.put"
    TOKEN_ISSUED = "token.issued"
    TOKEN_REVOKED = "token.revoked"
    KEY_ADDED = "key.added"
    KEY_REVOKED = "key.revoked"
    BACKUP_MADE = "backup.made"
    RESTORED = "database.restored"
    SESSION_CREATED = "session.created"
    SESSION_RENAMED = "session.renamed"
    SESSION_STATUS = "session.status"
    PARTICIPANT_ADDED = "participant.added"
    PARTICIPANT_REMOVED = "participant.removed"
    PARTICIPANT_ROLE = "participant.role"
    MESSAGE_EDITED = "message.edited"
    MESSAGE_RECALLED = "message.recalled"
    MESSAGES_READ = "messages.read"
    TOPIC_UPDATED = "topic.updated"
    RECONCILE_MADE = "reconcile.topic_made"
    RECONCILE_ENDED = "reconcile.topic_ended"
    RECONCILE_CHANGED = "reconcile.topic_changed"
    RECONCILE_INSERTED = "reconcile.consult_inserted"
    RECONCILE_TEAM = "reconcile.team_row_inserted"
    RECONCILE_CLOSED = "reconcile.consult_ended"
    RETENTION_HELD = "retention.held"
    RETENTION_LIFTED = "retention.lifted"
    RETENTION_CUT = "retention.cut"
    RETENTION_DELETED = "retention.session_deleted"
    RETENTION_APPLIED = "retention.applied"
    TRANSCRIPT_KEY = "transcript.key_made"
    TRANSCRIPT_EXPORTED = "transcript.exported"


class Note(NamedTuple):
    """One act on a target; ``time`` in ms, ``detail`` holds ids, names of fields and counts."""

    time: int
    actor: str
    act: Act
    target: str
    detail: dict[str, object]


class AuditEntry(NamedTuple):
    """A row of the trail; ``detail`` is JSON text, ``hash`` covers the row and the one before."""

    seq: int
    time: int
    actor: str
    action: str
    object: str
    detail: str
    hash: str


def digest(text: str | None) -> str:
    """What stands in a note for a text that must not (64 hex digits)."""
    return hashlib.sha256((text or "").encode()).hexdigest()
