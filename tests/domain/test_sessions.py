"""Pages 1.2 and 2.4: making sessions, the business type, the status, unread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.caller import SCOPES, Caller
from imd.domain.errors import (
    Forbidden,
    InvalidInput,
    NoLiveTopic,
    SessionTypeRetired,
    TopicActive,
)
from imd.domain.ids import UserId
from imd.domain.participant import Seat
from imd.domain.session import business_type, check_creation, check_status, unread
from imd.domain.session_types import SESSION_TYPES

SERVICE = Caller(scopes=SCOPES["write"], name="his")
DOCTOR = Caller(user_id=UserId("D1"), role="doctor")
PATIENT = Caller(user_id=UserId("P1"), role="patient")
SEATS = [Seat(UserId("D1"), "doctor"), Seat(UserId("P1"), "patient")]
WITHOUT = [Seat(UserId("D1"), "0"), Seat(UserId("D2"), "0")]


@pytest.mark.parametrize("type_", sorted(set(SESSION_TYPES) - {7}))
def test_a_service_makes_any_type(type_) -> None:
    check_creation(SERVICE, type_, [])


@pytest.mark.parametrize("caller", [SERVICE, DOCTOR, PATIENT])
def test_type_7_is_retired_for_everybody(caller) -> None:
    with pytest.raises(SessionTypeRetired) as caught:
        check_creation(caller, 7, SEATS)
    assert caught.value.code == "session_type_retired"
    assert [error.field for error in caught.value.errors] == ["session_type"]


@pytest.mark.parametrize("type_", [-1, 18, 99])
def test_an_unknown_type_is_refused(type_) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_creation(SERVICE, type_, SEATS)
    assert [error.field for error in caught.value.errors] == ["session_type"]


@pytest.mark.parametrize("type_", sorted(set(SESSION_TYPES) - {7}))
def test_a_doctor_makes_2_3_4_and_5_with_itself_among_the_participants(type_) -> None:
    if type_ in (2, 3, 4, 5):
        check_creation(DOCTOR, type_, SEATS)
        with pytest.raises(Forbidden):
            check_creation(DOCTOR, type_, SEATS[1:])
    else:
        with pytest.raises(Forbidden):
            check_creation(DOCTOR, type_, SEATS)


@pytest.mark.parametrize("type_", sorted(set(SESSION_TYPES) - {7}))
def test_a_patient_makes_none(type_) -> None:
    with pytest.raises(Forbidden):
        check_creation(PATIENT, type_, SEATS)


@pytest.mark.parametrize(
    ("type_", "seats", "patients", "expected"),
    [
        (2, WITHOUT, [], 1),
        (2, WITHOUT, ["D2"], 2),
        (2, WITHOUT, ["P9"], 1),
        (2, SEATS, [], 2),
        (3, WITHOUT, [], 1),
        (12, WITHOUT, [], 1),
        (0, WITHOUT, [], 1),
        *((type_, WITHOUT, [], 2) for type_ in (1, 5, 8, 9, 10, 11, 13, 14, 15, 16, 17)),
    ],
)
def test_the_business_type_tells_whether_a_patient_is_there(
    type_, seats, patients, expected
) -> None:
    assert business_type(type_, seats, patients) == expected


def test_the_status_says_what_the_topics_say() -> None:
    check_status(1, 1, "t")
    check_status(1, 0, None)
    with pytest.raises(TopicActive) as caught:
        check_status(1, 0, "t")
    assert caught.value.extra == {"topic_id": "t"}
    with pytest.raises(NoLiveTopic):
        check_status(1, 1, None)
    for status in (0, 1):
        check_status(3, status, None)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.booleans())), st.data())
def test_unread_from_two_totals_is_the_count_of_rows(log, data) -> None:
    """A log of (sender, counted); the reader is A, whose own sends move its mark."""
    own = [place for place, (sender, _) in enumerate(log, 1) if sender == "A"]
    read_seq = data.draw(st.integers(own[-1] if own else 0, len(log)))
    counted = sum(c for _, c in log)
    read_counted = sum(c for _, c in log[:read_seq])
    rows = sum(c for place, (sender, c) in enumerate(log, 1) if place > read_seq and sender != "A")
    assert unread(counted, read_counted) == rows
