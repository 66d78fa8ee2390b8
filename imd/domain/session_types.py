"""The eighteen kinds of session, one row each (page 1.3).

Id making, storage channel, business type, whether topics are allowed and whether a new session
may be made are read from this table and from nowhere else.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class SessionType(IntEnum):
    SYSTEM = 0
    FAMILY_CONSULT = 1
    P2P = 2
    TEAM_GROUP = 3
    AD_HOC_GROUP = 4
    SPECIALIST_GROUP = 5
    FAMOUS_DOCTOR_BY_PATIENT = 6
    FAMOUS_DOCTOR_BY_DOCTOR = 7
    PRESCRIPTION_RENEWAL = 8
    REVISIT_TEXT = 9
    HELP_REQUEST = 10
    HOME_NURSING = 11
    JOINT_CLINIC = 12
    HEALTH_CONSULT = 13
    CLINIC_GUIDANCE = 14
    INTERNET_SPECIALIST = 15
    REVISIT_VIDEO = 16
    EXPERT_VIDEO = 17


class Channel(StrEnum):
    """The seed's four message tables, by the first word of their names."""

    SYSTEM = "system"
    P2P = "p2p"
    GROUP = "group"
    MUC = "muc"


class IdRule(StrEnum):
    """How a session's id is made when the caller gives none."""

    PARTS = "parts"  # the row's parts joined by "_"
    MEMBERS = "members"  # hash of the sorted member ids
    FIRST_MESSAGE = "first_message"  # the id of its first message
    NONE = "none"  # no new session of this type


class TypeRow(NamedTuple):
    type: SessionType
    channel: Channel
    rule: IdRule
    #: request fields whose values make the id; ``=word`` stands for the word itself
    parts: tuple[str, ...]
    topics: bool


_PATIENT_CONSULT = ("patient", "consult_code", "consult_type")
_DOCTOR_CONSULT = ("doctor", "consult_code", "consult_type")
_T, _C, _R = SessionType, Channel, IdRule

SESSION_TYPES: dict[int, TypeRow] = {
    row.type: row
    for row in (
        TypeRow(_T.SYSTEM, _C.SYSTEM, _R.MEMBERS, (), False),
        TypeRow(
            _T.FAMILY_CONSULT, _C.MUC, _R.PARTS, ("patient", "team_code", "consult_type"), True
        ),
        TypeRow(_T.P2P, _C.P2P, _R.MEMBERS, (), True),
        TypeRow(_T.TEAM_GROUP, _C.GROUP, _R.PARTS, ("team_code",), False),
        TypeRow(_T.AD_HOC_GROUP, _C.GROUP, _R.FIRST_MESSAGE, (), False),
        TypeRow(_T.SPECIALIST_GROUP, _C.GROUP, _R.PARTS, ("patient", "team_code"), False),
        TypeRow(_T.FAMOUS_DOCTOR_BY_PATIENT, _C.P2P, _R.MEMBERS, (), True),
        TypeRow(_T.FAMOUS_DOCTOR_BY_DOCTOR, _C.P2P, _R.NONE, (), True),
        TypeRow(_T.PRESCRIPTION_RENEWAL, _C.MUC, _R.PARTS, _PATIENT_CONSULT, True),
        TypeRow(_T.REVISIT_TEXT, _C.MUC, _R.PARTS, _PATIENT_CONSULT, True),
        TypeRow(_T.HELP_REQUEST, _C.MUC, _R.PARTS, _PATIENT_CONSULT, True),
        TypeRow(_T.HOME_NURSING, _C.MUC, _R.PARTS, _PATIENT_CONSULT, True),
        TypeRow(
            _T.JOINT_CLINIC, _C.MUC, _R.PARTS, ("doctor", "consult_code", "consult_type"), True
        ),
        TypeRow(_T.HEALTH_CONSULT, _C.MUC, _R.PARTS, ("patient", "doctor", "consult_type"), True),
        TypeRow(
            _T.CLINIC_GUIDANCE, _C.MUC, _R.PARTS, ("patient", "=guidance", "consult_type"), True
        ),
        TypeRow(
            _T.INTERNET_SPECIALIST,
            _C.MUC,
            _R.PARTS,
            ("patient", "gp", "specialist", "consult_type"),
            True,
        ),
        TypeRow(_T.REVISIT_VIDEO, _C.MUC, _R.PARTS, _PATIENT_CONSULT, True),
        TypeRow(_T.EXPERT_VIDEO, _C.MUC, _R.PARTS, ("patient", "doctor", "=17"), True),
    )
}

#: types that a doctor's own token may make, with itself among the participants (page 2.4)
MADE_BY_DOCTORS = frozenset({_T.P2P, _T.TEAM_GROUP, _T.AD_HOC_GROUP, _T.SPECIALIST_GROUP})


def names_a_patient(type_: int) -> bool:
    """Whether the id rule of a session type has a patient in it."""
    return "patient" in SESSION_TYPES[type_].parts


def channel_of(type_: int) -> Channel:
    """The storage channel of a session type; an unknown (imported) type is muc (page 7.1)."""
    row = SESSION_TYPES.get(type_)
    return row.channel if row else Channel.MUC


def holds_topics(type_: int) -> bool:
    """Whether sessions of this type may hold topics."""
    row = SESSION_TYPES.get(type_)
    return bool(row and row.topics)
