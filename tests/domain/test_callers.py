"""Page 2.1: who asks, and for whom."""

from __future__ import annotations

import pytest

from imd.domain.caller import SCOPES, TRUSTED, Caller
from imd.domain.errors import (
    ForbiddenUser,
    InvalidInput,
    MissingScope,
    SessionNotFound,
)
from imd.domain.ids import UserId

D1, D2 = UserId("D1"), UserId("D2")
USER = Caller(user_id=D1, role="doctor")
LIMITED = Caller(user_id=D1, role="doctor", sid=frozenset({"s1"}))


def service(scope: str) -> Caller:
    return Caller(scopes=SCOPES[scope], name="his")


def test_admin_includes_write_and_write_includes_read() -> None:
    table = {
        "read": {"read"},
        "write": {"read", "write"},
        "admin": {"read", "write", "admin"},
    }
    assert {scope: set(held) for scope, held in SCOPES.items()} == table
    for held, scopes in table.items():
        for needed in table:
            if needed in scopes:
                service(held).require(needed)
            else:
                with pytest.raises(MissingScope):
                    service(held).require(needed)


def test_a_user_is_judged_by_membership_not_by_scopes() -> None:
    for scope in SCOPES:
        USER.require(scope)


def test_a_users_own_id_is_the_default_and_anothers_is_refused() -> None:
    assert USER.acting_for(None) == USER.acting_for(D1) == D1
    assert USER.viewer(None) == USER.viewer(D1) == D1
    for ask in (USER.acting_for, USER.viewer):
        with pytest.raises(ForbiddenUser):
            ask(D2)


def test_a_service_must_name_the_user_on_a_personal_route() -> None:
    assert service("read").acting_for(D2) == D2
    with pytest.raises(InvalidInput) as caught:
        service("admin").acting_for(None, "sender_id")
    assert [error.field for error in caught.value.errors] == ["sender_id"]
    assert service("read").viewer(None) is None
    assert service("read").viewer(D2) == D2


def test_a_key_with_only_read_never_moves_marks() -> None:
    assert not service("read").may_move_marks()
    assert service("write").may_move_marks()
    assert service("admin").may_move_marks()
    assert USER.may_move_marks()


def test_a_token_limited_by_sid_sees_no_other_session() -> None:
    LIMITED.check_session("s1")
    with pytest.raises(SessionNotFound):
        LIMITED.check_session("s2")
    nothing = Caller(user_id=D1, role="doctor", sid=frozenset())
    with pytest.raises(SessionNotFound):
        nothing.check_session("s1")
    for free in (USER, service("read")):
        free.check_session("s2")


def test_the_trusted_caller_is_a_service_with_all_scopes() -> None:
    assert TRUSTED.is_service
    for scope in SCOPES:
        TRUSTED.require(scope)
