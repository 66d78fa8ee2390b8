"""Pages 1.2, 2.4 and 2.7: seats, roles, and who may change who is a member."""

from __future__ import annotations

import pytest

from imd.domain.caller import SCOPES, Caller
from imd.domain.errors import Forbidden, InvalidInput, ReservedId
from imd.domain.ids import UserId
from imd.domain.participant import (
    Seat,
    check_may_change,
    check_number,
    check_role,
    is_doctor,
    parse_seat,
    seats_of,
)


@pytest.mark.parametrize(
    ("text", "user_id", "role"),
    [
        ("D1:doctor", "D1", "doctor"),
        ("D1", "D1", "0"),
        ("D1:a:b", "D1", "a:b"),
        ("D1:主 治", "D1", "主 治"),
        ("D1:" + "r" * 32, "D1", "r" * 32),
    ],
)
def test_a_seat_is_a_user_and_a_role_stored_as_given(text, user_id, role) -> None:
    assert parse_seat(text) == (user_id, role)


@pytest.mark.parametrize(
    "text", ["", ":doctor", "D1:", "D 1:x", "D1:" + "r" * 33, "a/b:x", "x" * 129]
)
def test_anything_else_is_no_seat(text) -> None:
    with pytest.raises(ValueError):
        parse_seat(text)


def test_a_reserved_user_takes_no_seat() -> None:
    with pytest.raises(ReservedId):
        parse_seat("login:doctor")


@pytest.mark.parametrize("role", ["", "r" * 33, None, 5, True, b"r"])
def test_a_role_is_a_text_of_1_to_32_characters(role) -> None:
    with pytest.raises(ValueError):
        check_role(role)


def test_the_last_role_given_for_a_user_wins() -> None:
    seats = [Seat(UserId("A"), "1"), Seat(UserId("B"), "2"), Seat(UserId("A"), "3")]
    assert seats_of(seats) == [("A", "3"), ("B", "2")]


@pytest.mark.parametrize(("number", "good"), [(0, False), (1, True), (500, True), (501, False)])
def test_a_session_has_1_to_500_participants(number, good) -> None:
    seats = [Seat(UserId(f"U{n}"), "0") for n in range(number)]
    if good:
        check_number(seats)
    else:
        with pytest.raises(InvalidInput) as caught:
            check_number(seats)
        assert [error.field for error in caught.value.errors] == ["participants"]


def test_services_and_doctors_change_who_is_a_member_patients_do_not() -> None:
    check_may_change(Caller(scopes=SCOPES["write"]))
    check_may_change(Caller(user_id=UserId("D1"), role="doctor"))
    for role in ("patient", None):
        with pytest.raises(Forbidden):
            check_may_change(Caller(user_id=UserId("P1"), role=role))


@pytest.mark.parametrize(
    ("kind", "role", "doctor"),
    [
        ("doctor", "0", True),
        ("doctor", "patient", True),
        (None, "doctor", True),
        ("patient", "doctor", True),
        (None, "0", False),
        (None, None, False),
        ("patient", "patient", False),
    ],
)
def test_a_doctor_by_the_directory_or_by_the_role(kind, role, doctor) -> None:
    assert is_doctor(kind, role) is doctor
