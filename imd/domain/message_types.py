"""The numbers that say what a message is (page 1.4), and what each may do."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from imd.domain.errors import InvalidInput, ServerOnlyType


class MessageType(IntEnum):
    SYSTEM = 0
    TEXT = 1
    IMAGE = 2
    VOICE = 3
    ARTICLE = 4
    LINK = 5
    TOPIC_START = 6
    TOPIC_END = 7
    FORWARDED_TEXT = 8
    FORWARDED_IMAGE = 9
    TOPIC_END_NOTE = 10
    RESERVED_11 = 11
    SHORT_VIDEO = 12
    RESERVED_13 = 13
    TOPIC_INTO = 14
    RENEWAL_REVIEW = 15
    RENEWAL_GLUCOSE_PRESSURE = 16
    RENEWAL_QUESTIONNAIRE = 17
    NAME_CARD = 18
    FORWARD_BUNDLE = 19
    REHAB_PLAN = 20
    REFERRAL_TO_BOOK = 21
    ACKNOWLEDGED = 22
    REVISIT_NOTE = 23
    DIAGNOSIS_RESULT = 24
    CONDITION_DESCRIPTION = 25
    EXPERT_ADVICE = 26
    PRESCRIPTION = 27
    SERVICE_RATING = 28
    VIDEO_REQUEST = 29
    INTERNET_HOSPITAL_FORWARD = 30
    JOINT_CONSULT_ADVICE = 31
    HOME_BOOKING = 2101
    HOME_ORDER_CHANGED = 2102
    HOME_DOCTOR_CHANGED = 2103
    HOME_ITEMS_CHANGED = 2104
    CARD_REFRESH = 2105


_T = MessageType

#: made by the server or a service, never by a user's token
SERVER_TYPES = frozenset(
    {_T.TOPIC_START, _T.TOPIC_END, _T.TOPIC_END_NOTE, _T.TOPIC_INTO, _T.CARD_REFRESH}
)
RESERVED_TYPES = frozenset({_T.RESERVED_11, _T.RESERVED_13})
#: moves neither unread, last message, reply nor push
UNCOUNTED_TYPES = frozenset({_T.CARD_REFRESH})
#: the first number of the types that hold a card, whose content may be changed later
FIRST_CARD_TYPE = 15

_KNOWN = frozenset(int(known) for known in MessageType)


def counts(type_: int) -> bool:
    """Whether a message of this type counts as unread, last message, reply and push."""
    return type_ not in UNCOUNTED_TYPES


def editable(type_: int) -> bool:
    """Whether the content of a message of this type may be replaced (page 2.5, PUT)."""
    return type_ >= FIRST_CARD_TYPE and type_ not in SERVER_TYPES


def check_sendable(type_: int, *, by_user: bool, extra: Collection[int] = ()) -> None:
    """Refuse a type that the sender may not send.

    ``extra`` holds further numbers that the operator configured. Raises InvalidInput for a
    reserved or unknown number, ServerOnlyType for a server's type from a user's token.
    """
    if type_ in RESERVED_TYPES:
        raise InvalidInput.of("type", f"{type_} is reserved")
    if type_ not in _KNOWN and type_ not in extra:
        raise InvalidInput.of("type", f"{type_} is no message type (0..31, 2101..2105)")
    if by_user and type_ in SERVER_TYPES:
        raise ServerOnlyType()
