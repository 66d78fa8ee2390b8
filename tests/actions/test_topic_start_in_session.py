"""Page 2.6, the start of a topic where the session may have to be made, by the rules of 2.4."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from imd.domain.errors import (
    Forbidden,
    InvalidInput,
    SessionNotFound,
    SessionTypeConflict,
    SessionTypeRetired,
    TopicsNotAllowed,
)
from imd.domain.ids import hash_of_members
from tests.actions.topic_world import (
    MAKING,
    SEATS,
    Town,
    doctor,
    fields_of,
    nothing_stored,
    patient,
)
from tests.storage.ground import together

PARTS: dict[str, Any] = {"patient": "P", "consult_code": "c7", "consult_type": "2"}


@pytest_twisted.ensureDeferred
async def test_the_session_is_made_by_a_given_id(town: Town) -> None:
    started = await town.start_in("t", session_id="given", **MAKING)
    session = await town.session("given")
    assert started.created and started.topic.session_id == "given"
    assert (session.name, session.type, session.business_type, session.status) == ("n", 9, 2, 1)


@pytest.mark.parametrize("blank", [{}, {"session_id": ""}])
@pytest_twisted.ensureDeferred
async def test_the_session_is_made_by_the_id_rule(town: Town, blank) -> None:
    started = await town.start_in("t", **blank, **MAKING, **PARTS)
    assert started.topic.session_id == "P_c7_2"
    two: dict[str, Any] = {"session_type": 2, "session_name": "n", "participants": ["A", "B"]}
    assert (await town.start_in("u", "A", **blank, **two)).topic.session_id == hash_of_members("AB")
    assert (await town.start_in("u", "A", **blank, **two)).created is False


@pytest_twisted.ensureDeferred
async def test_team_code_serves_the_id_and_the_topic(town: Town) -> None:
    making: dict[str, Any] = {"session_type": 1, "session_name": "n", "participants": SEATS}
    topic = (
        await town.start_in("t", patient="P", team_code="T1", consult_type="2", **making)
    ).topic
    assert (topic.session_id, topic.team_code) == ("P_T1_2", "T1")


@pytest_twisted.ensureDeferred
async def test_missing_fields_are_named(town: Town) -> None:
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t")
    assert fields_of(refused.value) == ["session_type", "participants"]
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t", session_type=9)
    assert fields_of(refused.value) == ["participants"]
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t", session_type=9, participants=SEATS, session_id="s")
    assert fields_of(refused.value) == ["session_name"]
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t", **MAKING, patient="P")
    assert fields_of(refused.value) == ["consult_code", "consult_type"]
    with pytest.raises(SessionNotFound):
        await town.start_in("t", session_id="s")
    await nothing_stored(town)


@pytest_twisted.ensureDeferred
async def test_an_existing_session_gets_the_topic_and_missing_members(town: Town) -> None:
    await town.open("s", name="first")
    await town.send("s", "P")
    town.take()
    more: dict[str, Any] = {**MAKING, "session_name": "second", "participants": [*SEATS, "N:nurse"]}
    started = await town.start_in("t", session_id="s", **more)
    session = await town.session("s")
    assert started.created and session.name == "first"
    members = await town.ground.rows("SELECT participant_id FROM participants ORDER BY 1")
    assert members == [("D",), ("N",), ("P",)]
    unread = await town.ground.recount("s")
    assert unread["N"] == (1, 1)  # TOPIC_START; what was before is read
    # without the fields that make one, too
    await town.end("s", "t")
    assert (await town.start_in("u", session_id="s")).created
    # the topic that is there already, a new member all the same
    town.take()
    more["participants"] = [*SEATS, "M:nurse"]
    assert (await town.start_in("u", session_id="s", **more)).created is False
    assert [kind for kind, _ in town.take()] == ["session_changed"]
    assert await town.count("participants") == 4


@pytest_twisted.ensureDeferred
async def test_a_type_that_differs_is_a_conflict(town: Town) -> None:
    await town.open("s")
    with pytest.raises(SessionTypeConflict):
        await town.start_in("t", session_id="s", **{**MAKING, "session_type": 8})
    with pytest.raises(SessionTypeRetired):
        await town.start_in("t", session_id="new", **{**MAKING, "session_type": 7})
    with pytest.raises(TopicsNotAllowed):
        await town.start_in("t", session_id="new", **{**MAKING, "session_type": 3})
    assert await town.count("sessions") == 1 and await town.count("topics") == 0


@pytest_twisted.ensureDeferred
async def test_user_tokens_make_sessions_by_the_rules_of_2_4(town: Town) -> None:
    two: dict[str, Any] = {"session_name": "n", "session_type": 2, "participants": ["D", "E"]}
    with pytest.raises(Forbidden):  # a patient makes none
        await town.start_in("t", "P", caller=patient("P"), session_id="s", **MAKING)
    with pytest.raises(Forbidden):  # a doctor makes no consult
        await town.start_in("t", "D", caller=doctor("D"), session_id="s", **MAKING)
    with pytest.raises(Forbidden):  # and none without itself
        await town.start_in("t", "X", caller=doctor("X"), session_id="s", **two)
    await nothing_stored(town)
    started = await town.start_in("t", "D", caller=doctor("D"), session_id="s", **two)
    assert started.created
    with pytest.raises(SessionNotFound):  # a stranger learns nothing, and changes nothing
        strangers: dict[str, Any] = {**two, "participants": ["D", "E", "X"]}
        await town.start_in("u", "X", caller=doctor("X"), session_id="s", **strangers)
    assert await town.count("participants") == 2
    with pytest.raises(SessionNotFound):
        await town.start_in("u", "D", caller=doctor("D", sid=["z"]), session_id="s", **two)
    with pytest.raises(Forbidden):  # a patient adds nobody to a session that is there
        await town.open("c")
        more: dict[str, Any] = {**MAKING, "participants": [*SEATS, "Y"]}
        await town.start_in("v", "P", caller=patient("P"), session_id="c", **more)
    assert (await town.start_in("v", "P", caller=patient("P"), session_id="c", **MAKING)).created


@pytest_twisted.ensureDeferred
async def test_thirty_starts_at_once_make_one_session_and_one_topic(town: Town) -> None:
    found = await together([town.start_in("t", **MAKING, **PARTS) for _ in range(30)])
    assert sorted(s.created for s in found) == [False] * 29 + [True]
    assert [await town.count(t) for t in ("sessions", "topics", "messages")] == [1, 1, 1]
    notes = await town.ground.rows("SELECT action FROM audit")
    assert notes == [("session.created",)]
