"""Page 1.3: the registry of session types is the table of the contract, row by row."""

from __future__ import annotations

import hashlib

import pytest

from imd.domain.errors import InvalidInput, ReservedId
from imd.domain.ids import hash_of_members, id_from_parts, rule_of
from imd.domain.session_types import (
    MADE_BY_DOCTORS,
    SESSION_TYPES,
    IdRule,
    SessionType,
    channel_of,
    holds_topics,
    names_a_patient,
)

#: number, name, channel, id rule (the parts joined by "_", or the rule's own word), topics
TABLE = [
    (0, "SYSTEM", "system", "members", False),
    (1, "FAMILY_CONSULT", "muc", "patient team_code consult_type", True),
    (2, "P2P", "p2p", "members", True),
    (3, "TEAM_GROUP", "group", "team_code", False),
    (4, "AD_HOC_GROUP", "group", "first_message", False),
    (5, "SPECIALIST_GROUP", "group", "patient team_code", False),
    (6, "FAMOUS_DOCTOR_BY_PATIENT", "p2p", "members", True),
    (7, "FAMOUS_DOCTOR_BY_DOCTOR", "p2p", "none", True),
    (8, "PRESCRIPTION_RENEWAL", "muc", "patient consult_code consult_type", True),
    (9, "REVISIT_TEXT", "muc", "patient consult_code consult_type", True),
    (10, "HELP_REQUEST", "muc", "patient consult_code consult_type", True),
    (11, "HOME_NURSING", "muc", "patient consult_code consult_type", True),
    (12, "JOINT_CLINIC", "muc", "doctor consult_code consult_type", True),
    (13, "HEALTH_CONSULT", "muc", "patient doctor consult_type", True),
    (14, "CLINIC_GUIDANCE", "muc", "patient =guidance consult_type", True),
    (15, "INTERNET_SPECIALIST", "muc", "patient gp specialist consult_type", True),
    (16, "REVISIT_VIDEO", "muc", "patient consult_code consult_type", True),
    (17, "EXPERT_VIDEO", "muc", "patient doctor =17", True),
]
GIVEN: dict[str, str | None] = {
    "patient": "P1", "team_code": "T9", "consult_code": "C3", "consult_type": "2",
    "doctor": "D1", "gp": "D2", "specialist": "D3",
}  # fmt: skip
MADE = {
    1: "P1_T9_2", 3: "T9", 5: "P1_T9", 8: "P1_C3_2", 9: "P1_C3_2", 10: "P1_C3_2", 11: "P1_C3_2",
    12: "D1_C3_2", 13: "P1_D1_2", 14: "P1_guidance_2", 15: "P1_D2_D3_2", 16: "P1_C3_2",
    17: "P1_D1_17",
}  # fmt: skip
OWN_WORDS = {"members", "first_message", "none"}


def test_the_registry_is_the_table() -> None:
    found = [
        (
            number,
            row.type.name,
            row.channel.value,
            " ".join(row.parts) if row.rule is IdRule.PARTS else row.rule.value,
            row.topics,
        )
        for number, row in sorted(SESSION_TYPES.items())
    ]
    assert found == TABLE
    assert [int(member) for member in SessionType] == list(range(18))
    assert all(row.type == number for number, row in SESSION_TYPES.items())


@pytest.mark.parametrize(("number", "channel", "topics"), [(r[0], r[2], r[4]) for r in TABLE])
def test_channel_and_topics_come_from_the_table(number, channel, topics) -> None:
    assert channel_of(number) == channel
    assert holds_topics(number) is topics


def test_an_imported_unknown_type_is_muc_and_holds_no_topics() -> None:
    assert channel_of(99) == "muc"
    assert not holds_topics(99)


def test_only_rules_with_a_patient_name_one() -> None:
    assert {n for n in SESSION_TYPES if names_a_patient(n)} == {
        1,
        5,
        8,
        9,
        10,
        11,
        13,
        14,
        15,
        16,
        17,
    }


def test_doctors_make_types_2_3_4_and_5() -> None:
    assert {2, 3, 4, 5} == MADE_BY_DOCTORS


@pytest.mark.parametrize("number", sorted(MADE))
def test_an_id_is_made_of_its_parts(number) -> None:
    assert id_from_parts(number, GIVEN) == MADE[number]


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("number", sorted(MADE))
def test_every_missing_part_is_named(number, empty) -> None:
    needed = [part for part in TABLE[number][3].split() if not part.startswith("=")]
    for part in needed:
        with pytest.raises(InvalidInput) as caught:
            id_from_parts(number, {**GIVEN, part: empty})
        assert [error.field for error in caught.value.errors] == [part]
    with pytest.raises(InvalidInput) as caught:
        id_from_parts(number, {})
    assert [error.field for error in caught.value.errors] == needed


@pytest.mark.parametrize("bad", ["a/b", "a b", "a,b", "x" * 129, "a\tb", "a\u2003b", "a\n"])
def test_parts_that_make_no_id_are_refused(bad) -> None:
    with pytest.raises(InvalidInput) as caught:
        id_from_parts(3, {"team_code": bad})
    assert [error.field for error in caught.value.errors] == ["session_id"]


def test_parts_that_make_a_reserved_word_are_refused() -> None:
    with pytest.raises(ReservedId):
        id_from_parts(3, {"team_code": "topics"})


def test_the_long_rules_have_their_own_words() -> None:
    assert {n for n in SESSION_TYPES if rule_of(n).value in OWN_WORDS} == {0, 2, 4, 6, 7}


def test_members_are_hashed_sorted_and_joined_by_commas() -> None:
    expected = hashlib.sha256(b"D1,D2,P\xe5\xbc\xa0").hexdigest()[:32]
    assert hash_of_members(["P张", "D2", "D1"]) == expected
    assert hash_of_members(["D1", "D2", "P张"]) == expected
    typed = hashlib.sha256(b"6,D1,D2").hexdigest()[:32]
    assert hash_of_members(["D2", "D1"], 6) == typed
