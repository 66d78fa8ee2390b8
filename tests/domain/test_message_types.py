"""Page 1.4: the registry of message types, and what each may do."""

from __future__ import annotations

import pytest

from imd.domain.errors import InvalidInput, ServerOnlyType
from imd.domain.message_types import (
    RESERVED_TYPES,
    SERVER_TYPES,
    UNCOUNTED_TYPES,
    MessageType,
    check_sendable,
    counts,
    editable,
)

TABLE = {
    0: "SYSTEM", 1: "TEXT", 2: "IMAGE", 3: "VOICE", 4: "ARTICLE", 5: "LINK", 6: "TOPIC_START",
    7: "TOPIC_END", 8: "FORWARDED_TEXT", 9: "FORWARDED_IMAGE", 10: "TOPIC_END_NOTE",
    11: "RESERVED_11", 12: "SHORT_VIDEO", 13: "RESERVED_13", 14: "TOPIC_INTO",
    15: "RENEWAL_REVIEW", 16: "RENEWAL_GLUCOSE_PRESSURE", 17: "RENEWAL_QUESTIONNAIRE",
    18: "NAME_CARD", 19: "FORWARD_BUNDLE", 20: "REHAB_PLAN", 21: "REFERRAL_TO_BOOK",
    22: "ACKNOWLEDGED", 23: "REVISIT_NOTE", 24: "DIAGNOSIS_RESULT", 25: "CONDITION_DESCRIPTION",
    26: "EXPERT_ADVICE", 27: "PRESCRIPTION", 28: "SERVICE_RATING", 29: "VIDEO_REQUEST",
    30: "INTERNET_HOSPITAL_FORWARD", 31: "JOINT_CONSULT_ADVICE", 2101: "HOME_BOOKING",
    2102: "HOME_ORDER_CHANGED", 2103: "HOME_DOCTOR_CHANGED", 2104: "HOME_ITEMS_CHANGED",
    2105: "CARD_REFRESH",
}  # fmt: skip
SERVER = {6, 7, 10, 14, 2105}
RESERVED = {11, 13}


def test_the_registry_is_the_table() -> None:
    assert {int(known): known.name for known in MessageType} == TABLE
    assert set(SERVER_TYPES) == SERVER
    assert set(RESERVED_TYPES) == RESERVED
    assert set(UNCOUNTED_TYPES) == {2105}


@pytest.mark.parametrize("number", sorted(set(TABLE) - SERVER - RESERVED))
def test_users_and_services_send_ordinary_types(number) -> None:
    check_sendable(number, by_user=True)
    check_sendable(number, by_user=False)


@pytest.mark.parametrize("number", sorted(SERVER))
def test_a_servers_type_is_refused_to_a_user_and_not_to_a_service(number) -> None:
    with pytest.raises(ServerOnlyType) as caught:
        check_sendable(number, by_user=True)
    assert caught.value.code == "server_only_type"
    check_sendable(number, by_user=False)


@pytest.mark.parametrize("by_user", [True, False])
@pytest.mark.parametrize("number", [*sorted(RESERVED), -1, 32, 99, 2100, 2106, 2**63 - 1])
def test_reserved_and_unknown_numbers_are_refused_to_anyone(number, by_user) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_sendable(number, by_user=by_user)
    assert [error.field for error in caught.value.errors] == ["type"]


def test_an_operator_may_add_numbers_but_frees_no_reserved_one() -> None:
    check_sendable(3001, by_user=True, extra={3001})
    with pytest.raises(InvalidInput):
        check_sendable(11, by_user=True, extra={11})


@pytest.mark.parametrize("number", sorted(TABLE))
def test_everything_counts_but_2105(number) -> None:
    assert counts(number) is (number != 2105)


@pytest.mark.parametrize("number", sorted(TABLE))
def test_cards_from_15_up_may_be_changed(number) -> None:
    assert editable(number) is (number >= 15 and number not in SERVER)
