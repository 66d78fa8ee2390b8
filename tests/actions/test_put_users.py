"""Many entries of the directory at once: PUT /users (page 2.3)."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from imd.domain.audit import Act
from imd.domain.errors import Forbidden, InvalidInput, MissingScope
from imd.wire.users import PutResults
from tests.actions.household import ADMIN, SERVICE, Household, doctor


def results(answer: PutResults) -> list[str]:
    return [item.result for item in answer.items]


async def notes(home: Household) -> list[Any]:
    return await home.ground.rows(
        "SELECT object, detail FROM audit WHERE action = %s ORDER BY seq", str(Act.USER_PUT)
    )


@pytest_twisted.ensureDeferred
async def test_each_entry_is_stored_or_refused_for_itself(home: Household) -> None:
    entries = [
        {"user_id": "P2", "kind": "patient", "name": "李"},
        {"user_id": "D1", "kind": "nurse"},
        {"id": "D1", "kind": "doctor", "teamCode": "T9", "sex": "1"},
        {"user_id": "P 3"},
        "P4",
        {"name": "nobody"},
    ]
    answer = await home.put_users(ADMIN, users=entries)
    assert results(answer) == ["created", "refused", "created", "refused", "refused", "refused"]
    assert [item.user_id for item in answer.items] == ["P2", "D1", "D1", "P 3", None, None]
    assert (answer.created, answer.updated, answer.unchanged, answer.refused) == (2, 0, 0, 4)
    fields = [error.field for item in answer.items for error in item.errors or ()]
    assert fields == ["kind", "user_id", "", "user_id"]
    user = await home.user(ADMIN, user_id="D1")
    assert (user.kind, user.team_code, user.sex, user.name) == ("doctor", "T9", 1, None)


@pytest_twisted.ensureDeferred
async def test_the_same_again_changes_nothing_and_leaves_no_note(home: Household) -> None:
    entries: list[dict[str, str | None]] = [
        {"user_id": f"P{n}", "kind": "patient", "name": f"n{n}"} for n in range(40)
    ]
    assert set(results(await home.put_users(ADMIN, users=entries))) == {"created"}
    first = await notes(home)
    assert len(first) == 40
    assert first[0] == ("P0", '{"created":true,"fields":["kind","name"]}')
    assert set(results(await home.put_users(ADMIN, users=entries))) == {"unchanged"}
    assert await notes(home) == first
    entries[7] = {"user_id": "P7", "name": None}
    answer = await home.put_users(ADMIN, users=entries)
    assert (answer.updated, answer.unchanged) == (1, 39)
    user = await home.user(ADMIN, user_id="P7")
    assert (user.kind, user.name) == ("patient", None)


@pytest_twisted.ensureDeferred
async def test_what_is_not_given_stays_as_it_was(home: Household) -> None:
    await home.put_user(ADMIN, user_id="D1", kind="doctor", name="王", openid="o", title="主任")
    await home.put_users(ADMIN, users=[{"user_id": "D1", "title": None, "avatar": "a.png"}])
    user = await home.user(ADMIN, user_id="D1")
    assert (user.kind, user.name, user.openid, user.title, user.avatar) == (
        "doctor", "王", "o", None, "a.png",
    )  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_one_who_stands_twice_is_put_twice(home: Household) -> None:
    entries = [{"user_id": "D1", "name": "a", "sex": 1}, {"user_id": "D1", "name": "b"}]
    assert results(await home.put_users(ADMIN, users=entries)) == ["created", "updated"]
    user = await home.user(ADMIN, user_id="D1")
    assert (user.name, user.sex) == ("b", 1)


@pytest_twisted.ensureDeferred
async def test_mode_all_stores_all_or_nothing(home: Household) -> None:
    entries = [{"user_id": "D1"}, {"user_id": "D2", "kind": "nurse"}, 5]
    with pytest.raises(InvalidInput) as caught:
        await home.put_users(ADMIN, users=entries, mode="all")
    assert [error.field for error in caught.value.errors] == ["users[1].kind", "users[2]"]
    assert await home.ground.rows("SELECT id FROM users") == []
    assert results(await home.put_users(ADMIN, users=entries[:1], mode="all")) == ["created"]


@pytest_twisted.ensureDeferred
async def test_only_a_service_with_admin_may(home: Household) -> None:
    for caller, refusal in ((SERVICE, MissingScope), (doctor("D1"), Forbidden)):
        with pytest.raises(refusal):
            await home.put_users(caller, users=[{"user_id": "D1"}])


@pytest_twisted.ensureDeferred
async def test_1_to_500_entries_are_taken(home: Household) -> None:
    for number in (0, 501):
        with pytest.raises(InvalidInput):
            await home.put_users(ADMIN, users=[{"user_id": f"u{n}"} for n in range(number)])
    many = [{"user_id": f"u{n}"} for n in range(500)]
    assert (await home.put_users(ADMIN, users=many)).created == 500


@pytest_twisted.ensureDeferred
async def test_a_change_of_the_entry_makes_push_try_again(home: Household) -> None:
    """And only a change: page 4.4."""
    await home.put_users(ADMIN, users=[{"user_id": "P1", "openid": "o"}])
    refuse = "UPDATE users SET push_refused = 'o'"
    look = "SELECT push_refused FROM users"
    await home.ground.store.database.write(lambda tx: tx.connection.run(refuse))
    await home.put_users(ADMIN, users=[{"user_id": "P1", "openid": "o"}])
    assert await home.ground.rows(look) == [("o",)]
    await home.put_users(ADMIN, users=[{"user_id": "P1", "openid": "new"}])
    assert await home.ground.rows(look) == [(None,)]
