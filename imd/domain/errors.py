"""What can go wrong, named by meaning.

Actions and stores raise these; each transport has one table that turns a class into a status or
a frame. An error knows its stable word (``code``, page 2.1) and a sentence for a person. It never
knows an HTTP status, SQL, or the text of a message.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One refused input: the wire name of the field, and what is allowed there."""

    field: str
    message: str


class ImError(Exception):
    """The family's root: a refusal that the caller can understand and act on."""

    code: ClassVar[str] = "internal"
    sentence: ClassVar[str] = "The request could not be carried out."

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        super().__init__(detail or self.sentence)
        self.detail = detail or self.sentence
        #: further members of the answer, such as ``topic_id`` of the live topic
        self.extra = extra
        self.errors: tuple[FieldError, ...] = ()
        #: seconds to wait before trying again, where that can be said
        self.retry_after: float | None = None


class BadRequest(ImError):
    code = "bad_request"
    sentence = "The request cannot be understood."


class BadJson(BadRequest):
    code = "bad_json"
    sentence = "The body is not one strict JSON object."


class UnsupportedMediaType(ImError):
    code = "unsupported_media_type"
    sentence = "Send application/json or application/x-www-form-urlencoded."


class TooLarge(ImError):
    code = "too_large"
    sentence = "The request or its content is larger than allowed."


# ---- input


class InvalidInput(ImError):
    """One or more fields hold what they may not; ``errors`` names each."""

    code = "invalid"
    sentence = "A field holds a value that is not allowed."

    def __init__(self, *errors: FieldError, detail: str | None = None) -> None:
        said = "; ".join(f"{error.field}: {error.message}" for error in errors)
        super().__init__(detail or said or None)
        self.errors = errors

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        """One field, one sentence."""
        return cls(FieldError(field, message))


class ReservedId(InvalidInput):
    code = "reserved_id"


class SessionTypeRetired(InvalidInput):
    code = "session_type_retired"


# ---- who asks


class Unauthenticated(ImError):
    code = "unauthenticated"
    sentence = "A valid credential is needed."


class Forbidden(ImError):
    code = "forbidden"
    sentence = "The credential does not allow this."


class ForbiddenUser(Forbidden):
    code = "forbidden_user"
    sentence = "A user may act only as itself."


class MissingScope(Forbidden):
    code = "missing_scope"
    sentence = "The service key lacks the scope that this needs."


class NotAMember(Forbidden):
    code = "not_a_member"
    sentence = "The named user is not a member of this session."


class ServerOnlyType(Forbidden):
    code = "server_only_type"
    sentence = "Messages of this type are made by the server or a service only."


class NotTheSender(Forbidden):
    code = "not_the_sender"
    sentence = "Only the sender or a service may change this message."


class RateLimited(ImError):
    code = "rate_limited"
    sentence = "Too many requests; wait before the next one."

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after


# ---- what is not there


class NotFound(ImError):
    code = "not_found"
    sentence = "There is no such thing."


class SessionNotFound(NotFound):
    code = "session_not_found"
    sentence = "There is no such session."


class TopicNotFound(NotFound):
    code = "topic_not_found"
    sentence = "There is no such topic."


class MessageNotFound(NotFound):
    code = "message_not_found"
    sentence = "There is no such message."


class UserNotFound(NotFound):
    code = "user_not_found"
    sentence = "There is no such user."


# ---- what stands in the way


class Conflict(ImError):
    code = "conflict"
    sentence = "The present state does not allow this."


class SessionTypeConflict(Conflict):
    code = "session_type_conflict"
    sentence = "A session of another type has this id."


class TopicActive(Conflict):
    code = "topic_active"
    sentence = "Another topic is live in this session."


class NoLiveTopic(Conflict):
    code = "no_live_topic"
    sentence = "No topic is live in this session."


class TopicEnded(Conflict):
    code = "topic_ended"
    sentence = "The topic has ended."


class TopicsNotAllowed(Conflict):
    code = "topics_not_allowed"
    sentence = "Sessions of this type hold no topics."


class TopicIdTaken(Conflict):
    code = "topic_id_taken"
    sentence = "The topic id belongs to another session."


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"
    sentence = "The same client_msg_id was used for a different message."


class NotEditable(Conflict):
    code = "not_editable"
    sentence = "Messages of this type cannot be changed."


class VersionConflict(Conflict):
    code = "version_conflict"
    sentence = "The message has been changed since that version."


class RecallWindowPassed(Conflict):
    code = "recall_window_passed"
    sentence = "The time in which a sender may recall a message is over."


class NoDevice(Conflict):
    code = "no_device"
    sentence = "No such device is registered for the user."


# ---- the server's own trouble


class Unavailable(ImError):
    """The store cannot answer now; nothing was lost, and repeating is safe with the same key."""

    code = "unavailable"
    sentence = "The service cannot answer at the moment; try again."

    def __init__(self, detail: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
