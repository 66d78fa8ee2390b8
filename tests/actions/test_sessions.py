"""Page 2.4: making, finding, listing and changing sessions."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from imd.domain.errors import (
    Forbidden,
    ForbiddenUser,
    InvalidInput,
    NoLiveTopic,
    NotAMember,
    SessionNotFound,
    SessionTypeConflict,
    SessionTypeRetired,
    TopicActive,
    UserNotFound,
)
from imd.domain.ids import hash_of_members
from tests.actions.household import READER, SERVICE, Household, doctor, patient
from tests.storage.ground import together


def base(type_: int, *participants: str, **more) -> dict[str, object]:
    return {"session_type": type_, "session_name": "n", "participants": list(participants), **more}


@pytest_twisted.ensureDeferred
async def test_a_new_session_is_made_and_an_existing_one_found(home: Household) -> None:
    first = await home.open(SERVICE, session_id="s", **base(1, "D1:doctor", "P1:patient"))
    assert first.created
    assert (first.session.id, first.session.type, first.session.business_type) == ("s", 1, 2)
    assert (first.session.status, first.session.last_seq, first.session.last_message) == (
        0,
        0,
        None,
    )
    again = await home.open(SERVICE, session_id="s", **base(1, "D2:doctor", session_name="other"))
    assert not again.created
    assert again.session == first.session
    members = (await home.members(SERVICE, session_id="s")).items
    assert [(p.participant_id, p.role) for p in members] == [
        ("D1", "doctor"), ("D2", "doctor"), ("P1", "patient"),
    ]  # fmt: skip
    # Sockets of an existing session are told of the new member.
    assert home.courier.names() == ["session_changed"]


@pytest_twisted.ensureDeferred
async def test_nobodys_marks_move_by_posting_a_session(home: Household) -> None:
    await home.consult()
    for n in range(3):
        await home.say("P1", f"{n}")
    before = await home.marks()
    for caller in (SERVICE, doctor("D1")):
        await home.open(caller, session_id="s", **base(1, "D1:other", "P1:other", "D2"))
    assert await home.marks() == before
    roles = {p.participant_id: p.role for p in (await home.members(SERVICE, session_id="s")).items}
    assert roles == {"D1": "doctor", "D2": "doctor", "P1": "patient"}
    await home.open(SERVICE, session_id="s", **base(1, "new"))
    assert await home.marks() == {**before, "new": 3}
    assert (await home.unread(SERVICE, session_id="s", user_id="new")).count == 0
    assert (await home.unread(SERVICE, session_id="s", user_id="D1")).count == 3


@pytest_twisted.ensureDeferred
async def test_a_user_that_is_no_member_gets_404_and_changes_nothing(home: Household) -> None:
    await home.consult("s", "D1", "P1", type_=2)
    for caller in (doctor("D9"), patient("P9")):
        for type_ in (2, 3):
            with pytest.raises(SessionNotFound):
                await home.open(caller, session_id="s", **base(type_, str(caller.user_id)))
    assert sorted(await home.marks()) == ["D1", "P1"]


@pytest_twisted.ensureDeferred
async def test_a_type_mismatch_is_a_conflict(home: Household) -> None:
    await home.consult()
    for caller in (SERVICE, doctor("D1")):
        with pytest.raises(SessionTypeConflict) as caught:
            await home.open(caller, session_id="s", **base(3, "D1"))
        assert caught.value.extra == {"session_type": 1}


@pytest_twisted.ensureDeferred
async def test_who_may_make_which_types(home: Household) -> None:
    for type_ in (2, 3, 4, 5):
        made = await home.open(doctor("D1"), session_id=f"d{type_}", **base(type_, "D1", "D2"))
        assert made.created
        assert made.session.role == "0"
    for type_ in (0, 1, 6, 13):
        with pytest.raises(Forbidden):
            await home.open(doctor("D1"), session_id="x", **base(type_, "D1"))
    with pytest.raises(Forbidden):
        await home.open(doctor("D1"), session_id="x", **base(2, "D2", "D3"))
    with pytest.raises(Forbidden):
        await home.open(patient("P1"), session_id="x", **base(2, "P1", "D1"))
    with pytest.raises(SessionTypeRetired):
        await home.open(SERVICE, session_id="x", **base(7, "D1"))
    with pytest.raises(InvalidInput):
        await home.open(SERVICE, session_id="x", **base(18, "D1"))
    assert not (await home.exists(SERVICE, session_id="x")).exists


@pytest_twisted.ensureDeferred
async def test_only_a_new_session_needs_participants(
    home: Household,
) -> None:
    await home.consult()
    found = await home.open(SERVICE, session_id="s", **base(1))
    assert not found.created
    for type_, fields in ((1, {"session_id": "new"}), (2, {}), (4, {}), (3, {"team_code": "T"})):
        with pytest.raises(InvalidInput) as caught:
            await home.open(SERVICE, **base(type_), **fields)
        assert [e.field for e in caught.value.errors] == ["participants"]


@pytest_twisted.ensureDeferred
async def test_a_member_adds_the_missing_as_2_7_allows(home: Household) -> None:
    """The types that a doctor may make do not bind the membership of what is there."""
    await home.consult()
    await home.open(doctor("D1"), session_id="s", **base(1, "D1", "D7"))
    assert "D7" in await home.marks()
    await home.open(patient("P1"), session_id="s", **base(1, "P1", "D1"))
    with pytest.raises(Forbidden):
        await home.open(patient("P1"), session_id="s", **base(1, "P1", "P9"))
    assert "P9" not in await home.marks()


@pytest_twisted.ensureDeferred
async def test_an_absent_id_is_made_by_the_rule(home: Household) -> None:
    made = await home.open(SERVICE, session_id="", **base(1, "D1", "P1"), patient="P1",
                           team_code="T1", consult_type="2")  # fmt: skip
    assert made.session.id == "P1_T1_2"
    with pytest.raises(InvalidInput) as caught:
        await home.open(SERVICE, **base(8, "D1", "P1"), patient="P1")
    assert [e.field for e in caught.value.errors] == ["consult_code", "consult_type"]


@pytest.mark.parametrize("type_", [0, 2, 6])
@pytest_twisted.ensureDeferred
async def test_a_session_of_exactly_these_members_is_found(home: Household, type_) -> None:
    named = await home.open(SERVICE, session_id="old", **base(type_, "D1", "D2"))
    found = await home.open(SERVICE, **base(type_, "D2", "D1"))
    assert (found.session.id, found.created) == (named.session.id, False)
    three = await home.open(SERVICE, **base(type_, "D1", "D2", "D3"))
    assert (three.session.id, three.created) == (hash_of_members(["D1", "D2", "D3"]), True)
    again = await home.open(SERVICE, **base(type_, "D3", "D2:x", "D1"))
    assert (again.session.id, again.created) == (three.session.id, False)
    # Another type with the same members gets an id of its own.
    other = {0: 2, 2: 6, 6: 0}[type_]
    made = await home.open(SERVICE, **base(other, "D1", "D2", "D3"))
    assert (made.session.id, made.created) == (hash_of_members(["D1", "D2", "D3"], other), True)


@pytest_twisted.ensureDeferred
async def test_type_4_without_an_id_takes_its_first_messages_id(home: Household) -> None:
    made = await home.open(doctor("D1"), session_id="", **base(4, "D1", "D2", "D3"))
    first = await home.say("D2", "hello", session=made.session.id)
    assert first.id == made.session.id
    assert (await home.say("D1", "more", session=made.session.id)).id != first.id
    given = await home.open(doctor("D1"), session_id="given", **base(4, "D1", "D2"))
    assert (await home.say("D1", session=given.session.id)).id != "given"


@pytest.mark.parametrize("type_", [1, 2])
@pytest_twisted.ensureDeferred
async def test_25_parallel_opens_make_one_session(home: Household, type_) -> None:
    fields = {"session_id": "s"} if type_ == 1 else {}
    found = await together(
        [home.open(SERVICE, **base(type_, "D1", "D2", "D3"), **fields) for n in range(25)]
    )
    assert sum(opened.created for opened in found) == 1
    assert len({opened.session.id for opened in found}) == 1
    assert sorted(await home.marks(found[0].session.id)) == ["D1", "D2", "D3"]


@pytest_twisted.ensureDeferred
async def test_parallel_opens_with_other_members_lose_none(home: Household) -> None:
    await together([home.open(SERVICE, session_id="s", **base(1, f"U{n}")) for n in range(25)])
    assert sorted(await home.marks()) == sorted(f"U{n}" for n in range(25))


# ---- looking


@pytest_twisted.ensureDeferred
async def test_404_for_a_user_403_for_a_service_that_names_one(home: Household) -> None:
    await home.consult()
    acts: list[tuple[str, dict[str, Any]]] = [
        ("session", {}), ("unread", {}), ("pin", {}), ("unpin", {}), ("status", {"status": 0}),
        ("mute", {}), ("unmute", {}), ("rename", {"name": "n"}), ("list", {}),
        ("unread_list", {}), ("read", {}), ("members", {}), ("avatars", {}),
    ]  # fmt: skip
    for verb, fields in acts:
        call = getattr(home, verb)
        with pytest.raises(SessionNotFound):
            await call(doctor("D9"), session_id="s", **fields)
        with pytest.raises(NotAMember):
            await call(SERVICE, session_id="s", user_id="D9", **fields)
        with pytest.raises(ForbiddenUser):
            await call(doctor("D1"), session_id="s", user_id="D2", **fields)
        for caller in (doctor("D1"), SERVICE):
            with pytest.raises(SessionNotFound):
                await call(caller, session_id="none", user_id="D1", **fields)
    assert home.courier.told == []
    for verb in ("unread", "pin", "mute", "read", "unread_list"):
        with pytest.raises(InvalidInput):
            await getattr(home, verb)(SERVICE, session_id="s")


@pytest_twisted.ensureDeferred
async def test_exists_tells_a_user_only_of_its_own(home: Household) -> None:
    await home.consult()
    for caller, expected in ((doctor("D1"), True), (doctor("D9"), False), (SERVICE, True)):
        assert (await home.exists(caller, session_id="s")).exists is expected
        assert not (await home.exists(caller, session_id="none")).exists


@pytest_twisted.ensureDeferred
async def test_sticky_is_personal_and_comes_first(home: Household) -> None:
    for n in range(3):
        home.clock.time += 10
        await home.consult(f"s{n}")
    assert (await home.pin(doctor("D1"), session_id="s0")).sticky is True
    assert [s.id for s in (await home.sessions(doctor("D1"))).items] == ["s0", "s2", "s1"]
    assert [s.id for s in (await home.sessions(doctor("D2"))).items] == ["s2", "s1", "s0"]
    assert (await home.session(doctor("D1"), session_id="s0")).sticky is True
    assert (await home.session(doctor("D2"), session_id="s0")).sticky is False
    home.clock.time += 10
    await home.say("P1", session="s1")
    assert [s.id for s in (await home.recent(doctor("D1"))).items] == ["s1"]
    assert (await home.unpin(doctor("D1"), session_id="s0")).sticky is False
    assert [s.id for s in (await home.sessions(doctor("D1"))).items] == ["s1", "s2", "s0"]


@pytest_twisted.ensureDeferred
async def test_a_mute_is_personal_and_taken_back(home: Household) -> None:
    await home.consult()
    assert (await home.mute(doctor("D1"), session_id="s")).muted is True
    assert (await home.mute(SERVICE, session_id="s", user_id="D1")).muted is True
    assert (await home.unmute(doctor("D1"), session_id="s")).muted is False


@pytest_twisted.ensureDeferred
async def test_lists_are_paged_by_cursors(home: Household) -> None:
    for n in range(7):
        home.clock.time += 10
        await home.consult(f"s{n}", "D1", "P1", type_=1 + n % 2)
    for verb, fields, number in (("sessions", {}, 7), ("by_type", {"type": "1"}, 4)):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await getattr(home, verb)(doctor("D1"), size=3, **fields, **cursor)
            seen += [session.id for session in page.items]
            if page.next is None:
                break
            cursor = {"cursor": page.next}
        assert len(seen) == len(set(seen)) == number
    counts = await home.count_by_type(doctor("D1"), type="1,2,9")
    assert (counts.count, counts.by_type) == (7, {"1": 4, "2": 3, "9": 0})
    with pytest.raises(InvalidInput):
        await home.sessions(doctor("D1"), cursor="bogus")
    with pytest.raises(InvalidInput):
        await home.by_type(doctor("D1"))


@pytest_twisted.ensureDeferred
async def test_recent_filters_by_kind_and_since(home: Household) -> None:
    await home.consult("with", "D1", "P1:patient", type_=2)
    await home.consult("without", "D1", "D2", type_=2)
    await home.say("D1", session="with")
    home.clock.time += 1000
    late = await home.say("D1", session="without")

    async def ids(**fields) -> list[str]:
        return [s.id for s in (await home.recent(doctor("D1"), **fields)).items]

    assert await ids() == ["without", "with"]
    assert await ids(kind="patient") == await ids(business_type=2) == ["with"]
    assert await ids(kind="doctor") == await ids(business_type=1) == ["without"]
    assert await ids(since=late.timestamp) == ["without"]
    with pytest.raises(InvalidInput):
        await ids(kind="doctor", business_type=2)


# ---- changing


@pytest_twisted.ensureDeferred
async def test_a_rename_reaches_the_members_sockets(home: Household) -> None:
    await home.consult()
    shown = await home.rename(doctor("D1"), session_id="s", name="新")
    assert (shown.name, shown.role) == ("新", "doctor")
    [(what, told)] = home.courier.told
    assert (what, told.name) == ("session_changed", "新")
    assert not hasattr(told, "unread")


@pytest_twisted.ensureDeferred
async def test_the_status_must_say_what_the_topics_say(home: Household) -> None:
    await home.consult()
    await home.consult("team", "D1", type_=3)
    with pytest.raises(NoLiveTopic):
        await home.status(SERVICE, session_id="s", status=1)
    await home.start(SERVICE, session_id="s", topic_id="t", start_by="P1")
    with pytest.raises(TopicActive) as caught:
        await home.status(SERVICE, session_id="s", status=0)
    assert caught.value.extra == {"topic_id": "t"}
    assert (await home.status(SERVICE, session_id="s", status=1)).status == 1
    for status in (1, 0):
        assert (await home.status(doctor("D1"), session_id="team", status=status)).status == status


# ---- tokens limited to sessions


@pytest_twisted.ensureDeferred
async def test_a_limited_token_sees_nothing_else(home: Household) -> None:
    await home.consult("s")
    await home.consult("t")
    await home.consult("u", "D1", "D5")
    for session in ("s", "t"):
        await home.say("P1", session=session)
    caller = doctor("D1", sid=["s"])
    assert [x.id for x in (await home.sessions(caller)).items] == ["s"]
    assert [x.id for x in (await home.by_type(caller, type="1")).items] == ["s"]
    assert [x.id for x in (await home.recent(caller)).items] == ["s"]
    assert (await home.count_by_type(caller, type="1")).count == 1
    assert (await home.badge(caller)).badge_no == 1
    assert (await home.all_unread(caller)).sessions == {"s": 1}
    assert not (await home.exists(caller, session_id="t")).exists
    for verb, fields in (
        ("session", {}), ("list", {}), ("unread_list", {}), ("unread", {}), ("read", {}),
        ("pin", {}), ("rename", {"name": "x"}), ("status", {"status": 0}),
        ("members", {}), ("avatars", {}), ("post", {"type": 1, "content": "x"}),
        ("add", {"participant_ids": "X"}),
        ("remove", {"participant_ids": "P1"}), ("some", {"participant_ids": "P1"}),
        ("avatar", {"participant_id": "P1"}), ("get", {"message_id": "m"}),
        ("replace", {"old_participant_id": "P1", "new_participant_id": "X"}),
        ("edit", {"message_id": "m", "content": {}}), ("recall", {"message_id": "m"}),
    ):  # fmt: skip
        with pytest.raises(SessionNotFound):
            await getattr(home, verb)(caller, session_id="t", **fields)
    with pytest.raises(SessionNotFound):
        await home.open(caller, session_id="t", **base(1, "D1"))
    with pytest.raises(SessionNotFound):
        await home.open(caller, **base(2, "D1", "D7"))
    nothing = doctor("D1", sid=[])
    assert (await home.sessions(nothing)).items == []
    assert (await home.badge(nothing)).badge_no == 0


@pytest_twisted.ensureDeferred
async def test_a_limited_token_knows_only_those_it_shares_a_session_with(home: Household) -> None:
    await home.consult("s")
    await home.consult("u", "D1", "D5")
    assert (await home.user(doctor("D1"), user_id="D5")).id == "D5"
    assert (await home.user(doctor("D1", sid=["s"]), user_id="P1")).id == "P1"
    for sid in (["s"], []):
        with pytest.raises(UserNotFound):
            await home.user(doctor("D1", sid=sid), user_id="D5")


@pytest_twisted.ensureDeferred
async def test_a_read_key_looks_and_moves_nothing(home: Household) -> None:
    await home.consult()
    await home.say("P1")
    before = await home.marks()
    await home.list(READER, session_id="s", user_id="D1")
    await home.unread_list(READER, session_id="s", user_id="D1")
    assert await home.marks() == before
    assert (await home.badge(READER, user_id="D1")).badge_no == 1


@pytest_twisted.ensureDeferred
async def test_a_chat_of_two_that_grew_is_not_the_chat_of_two(home: Household) -> None:
    two = await home.open(SERVICE, **base(2, "D1", "D2"))
    await home.add(SERVICE, session_id=two.session.id, participant_ids="D3")
    again = await home.open(SERVICE, **base(2, "D1", "D2"))
    assert again.created
    assert again.session.id != two.session.id
    found = await home.open(SERVICE, **base(2, "D2", "D1"))
    assert (found.session.id, found.created) == (again.session.id, False)
