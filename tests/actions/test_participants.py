"""Page 2.7: who is a member."""

from __future__ import annotations

import pytest
import pytest_twisted

from imd.domain.errors import Forbidden, NotFound, SessionNotFound
from tests.actions.household import ADMIN, SERVICE, Household, doctor, patient
from tests.storage.ground import outcomes, together


async def members(home: Household, session: str = "s") -> dict[str, str]:
    found = await home.members(SERVICE, session_id=session)
    return {member.participant_id: member.role for member in found.items}


@pytest_twisted.ensureDeferred
async def test_members_with_names_marks_and_presence(home: Household) -> None:
    await home.put_user(ADMIN, user_id="D1", kind="doctor", name="张", avatar="a.png")
    await home.consult()
    await home.say("P1")
    home.presence.here = {"D1": ["doctor"]}
    found = (await home.members(doctor("D1"), session_id="s")).items
    assert [
        (p.participant_id, p.role, p.name, p.avatar, p.kind, p.online, p.read_seq) for p in found
    ] == [
        ("D1", "doctor", "张", "a.png", "doctor", True, 0),
        ("D2", "doctor", None, None, None, False, 0),
        ("P1", "patient", None, None, None, False, 1),
    ]
    stamp = (await home.ground.log("s"))[0].timestamp
    assert found[2].last_fetch_time == stamp > found[0].last_fetch_time
    avatars = (await home.avatars(doctor("D1"), session_id="s")).items
    assert next((a.participant_id, a.name, a.avatar) for a in avatars) == ("D1", "张", "a.png")
    assert len(avatars) == 3
    one = await home.avatar(doctor("D2"), session_id="s", participant_id="D1")
    assert one == avatars[0]


@pytest_twisted.ensureDeferred
async def test_named_members_unknown_ones_left_out(home: Household) -> None:
    await home.consult()
    found = await home.some(doctor("D1"), session_id="s", participant_ids="P1,X,D2")
    assert [p.participant_id for p in found.items] == ["D2", "P1"]
    for verb, fields in (("some", {"participant_ids": "X,Y"}), ("avatar", {"participant_id": "X"})):
        with pytest.raises(NotFound):
            await getattr(home, verb)(SERVICE, session_id="s", **fields)
        with pytest.raises(SessionNotFound):
            await getattr(home, verb)(doctor("D9"), session_id="s", **fields)


@pytest_twisted.ensureDeferred
async def test_adding_or_changing_the_role_and_marks_stay(home: Household) -> None:
    await home.consult()
    for _ in range(3):
        await home.say("P1")
    home.courier.told.clear()
    found = await home.add(doctor("D1"), session_id="s", participant_ids="D2,D3", role="chief")
    assert {p.participant_id: (p.role, p.read_seq) for p in found.items} == {
        "D1": ("doctor", 0), "D2": ("chief", 0), "D3": ("chief", 3), "P1": ("patient", 3),
    }  # fmt: skip
    assert home.courier.names() == ["session_changed"]
    # Without a role nothing changes for a member, and a new one has role "0".
    await home.add(SERVICE, session_id="s", participant_ids="D2,D4")
    assert (await members(home))["D2"] == "chief"
    assert (await members(home))["D4"] == "0"
    home.courier.told.clear()
    await home.add(SERVICE, session_id="s", participant_ids="D2")
    assert home.courier.told == []


@pytest_twisted.ensureDeferred
async def test_removing_closes_sockets_and_ends_everything_for_the_removed(home: Household) -> None:
    await home.consult()
    await home.say("P1")
    home.courier.told.clear()
    found = await home.remove(doctor("D1"), session_id="s", participant_ids="D2,X")
    assert [p.participant_id for p in found.items] == ["D1", "P1"]
    assert home.courier.told[0] == ("expelled", ("s", ["D2"]))
    assert home.courier.names() == ["expelled", "session_changed"]
    assert (await home.badge(doctor("D2"))).badge_no == 0
    assert (await home.sessions(doctor("D2"))).items == []
    with pytest.raises(SessionNotFound):
        await home.list(doctor("D2"), session_id="s")
    with pytest.raises(NotFound):
        await home.remove(SERVICE, session_id="s", participant_ids="D2")
    # A returning member starts with everything before it read.
    await home.say("P1")
    await home.add(SERVICE, session_id="s", participant_ids="D2")
    assert (await home.badge(doctor("D2"))).badge_no == 0
    await home.say("P1")
    assert (await home.badge(doctor("D2"))).badge_no == 1


@pytest_twisted.ensureDeferred
async def test_a_patient_may_change_nobody_and_a_stranger_learns_nothing(home: Household) -> None:
    await home.consult()
    before = await members(home)
    acts = [("add", {"participant_ids": "X"}), ("remove", {"participant_ids": "D1"}),
            ("replace", {"old_participant_id": "D1", "new_participant_id": "X"})]  # fmt: skip
    for verb, fields in acts:
        with pytest.raises(Forbidden):
            await getattr(home, verb)(patient("P1"), session_id="s", **fields)
        for stranger in (doctor("D9"), patient("P9")):
            with pytest.raises(SessionNotFound):
                await getattr(home, verb)(stranger, session_id="s", **fields)
    assert await members(home) == before
    assert home.courier.told == []


@pytest_twisted.ensureDeferred
async def test_replacing_is_one_transaction(home: Household) -> None:
    await home.consult()
    await home.say("P1")
    home.courier.told.clear()
    found = await home.replace(doctor("D1"), session_id="s", old_participant_id="D2",
                               new_participant_ids="D3,D4", role="r")  # fmt: skip
    assert {p.participant_id: p.role for p in found.items} == {
        "D1": "doctor", "D3": "r", "D4": "r", "P1": "patient",
    }  # fmt: skip
    assert home.courier.told[0] == ("expelled", ("s", ["D2"]))
    before = await members(home)
    # One of the old is no member: nobody is removed, nobody is added.
    with pytest.raises(NotFound):
        await home.replace(
            SERVICE, session_id="s", old_participant_ids="D3,X", new_participant_id="D5"
        )
    assert await members(home) == before
    # Who stays is not thrown out of its sockets.
    home.courier.told.clear()
    await home.replace(
        SERVICE, session_id="s", old_participant_ids="D3,D4", new_participant_id="D4"
    )
    assert home.courier.told[0] == ("expelled", ("s", ["D3"]))
    assert sorted(await members(home)) == ["D1", "D4", "P1"]


@pytest_twisted.ensureDeferred
async def test_parallel_replacements_of_one_member_leave_one_successor(home: Household) -> None:
    await home.consult()
    found = await outcomes(
        [home.replace(SERVICE, session_id="s", old_participant_id="D2", new_participant_id=f"N{n}")
         for n in range(10)]
    )  # fmt: skip
    assert sum(isinstance(f, NotFound) for f in found) == 9
    assert len(await members(home)) == 3


@pytest_twisted.ensureDeferred
async def test_sends_race_with_a_removal_and_unread_stays_exact(home: Household) -> None:
    await home.consult()
    acts = [
        home.post(SERVICE, session_id="s", sender_id="P1", type=1, content=f"{n}")
        for n in range(30)
    ]
    acts.insert(10, home.remove(SERVICE, session_id="s", participant_ids="D2"))
    acts.insert(20, home.add(SERVICE, session_id="s", participant_ids="D2"))
    acts.insert(25, home.read(SERVICE, session_id="s", user_id="D1", seq=7))
    await together(acts)
    assert all(a == b for a, b in (await home.ground.recount("s")).values())
