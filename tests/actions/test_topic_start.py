"""Page 2.6, the start of a topic: in a session that is there, or one made on the way."""

from __future__ import annotations

import json

import pytest
import pytest_twisted

from imd.domain.errors import (
    Forbidden,
    ForbiddenUser,
    InvalidInput,
    NotAMember,
    ReservedId,
    ServerOnlyType,
    SessionNotFound,
    SessionTypeConflict,
    SessionTypeRetired,
    TooLarge,
    TopicActive,
    TopicIdTaken,
    TopicsNotAllowed,
)
from imd.domain.ids import hash_of_members
from tests.actions.topic_world import Town, check_intervals, doctor, patient
from tests.storage.ground import outcomes, together

SEATS = ["P:patient", "D:doctor"]
MAKING = {"session_type": 9, "session_name": "n", "participants": SEATS}
PARTS = {"patient": "P", "consult_code": "c7", "consult_type": "2"}


async def nothing_stored(town: Town) -> None:
    for table in ("sessions", "participants", "topics", "messages", "topic_tallies", "audit"):
        assert await town.count(table) == 0, table


def fields_of(error: InvalidInput) -> list[str]:
    return [e.field for e in error.errors]


# ---- in a session that is there


@pytest_twisted.ensureDeferred
async def test_start_stores_topic_start_then_the_messages_and_sets_the_status(town: Town) -> None:
    await town.open("s")
    await town.send("s", "P", "before")
    first = [{"type": 1, "content": "头痛"}, {"type": 1, "content": "三天", "sender_id": "P"}]
    started = await town.start(
        "s", "t", name="头痛", description="三天", type=4, team_code="T1", messages=first
    )
    topic, log = started.topic, await town.ground.log("s")
    assert started.created
    assert [m.type for m in log] == [1, 6, 1, 1]
    assert [m.topic_id for m in log] == [None, "t", "t", "t"]
    assert [m.content for m in log[2:]] == ["头痛", "三天"]
    assert json.loads(str(log[1].content)) == {"topic_id": "t", "name": "头痛"}
    assert (topic.id, topic.session_id, topic.session_type, topic.type) == ("t", "s", 9, 4)
    assert (topic.name, topic.description, topic.team_code) == ("头痛", "三天", "T1")
    assert (topic.status, topic.reply, topic.start_by) == (0, 0, "P")
    assert (topic.start_message_id, topic.start_seq) == (log[1].id, 2)
    assert topic.create_time == log[1].timestamp
    assert topic == await town.topic("t")
    session = await town.session("s")
    assert (session.status, session.current_topic_id, session.last_seq) == (1, "t", 4)
    await check_intervals(town, "s")


@pytest_twisted.ensureDeferred
async def test_topic_start_is_sent_by_start_by(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t", "D")
    assert [(m.type, m.sender_id) for m in await town.ground.log("s")] == [(6, "D")]


@pytest_twisted.ensureDeferred
async def test_the_same_id_again_gives_the_topic_and_stores_nothing(town: Town) -> None:
    await town.open("s")
    first = await town.start("s", "t", name="a", messages=[{"type": 1, "content": "x"}])
    town.take()
    again = await town.start("s", "t", name="b", messages=[{"type": 1, "content": "y"}])
    assert (again.topic, again.created) == (first.topic, False)
    assert town.take() == []
    await town.end("s", "t")
    ended = await town.start("s", "t")
    assert (ended.topic.status, ended.created) == (10, False)
    assert await town.types("s") == [6, 1, 7]
    assert (await town.session("s")).status == 0


@pytest_twisted.ensureDeferred
async def test_the_same_id_fifty_times_at_once_is_one_topic(town: Town) -> None:
    await town.open("s")
    started = await together([town.start("s", "t") for _ in range(50)])
    assert sorted(s.created for s in started) == [False] * 49 + [True]
    assert len({s.topic for s in started}) == 1
    assert await town.types("s") == [6]


@pytest_twisted.ensureDeferred
async def test_fifty_topics_at_once_in_one_session_leave_one_live(town: Town) -> None:
    await town.open("s")
    found = await outcomes([town.start("s", f"t{n}") for n in range(50)])
    (live,) = [f.topic.id for f in found if not isinstance(f, Exception)]
    refused = [f for f in found if isinstance(f, Exception)]
    assert {type(f) for f in refused} == {TopicActive} and len(refused) == 49
    assert {f.extra["topic_id"] for f in refused} == {live}
    assert await town.types("s") == [6]
    assert (await town.session("s")).current_topic_id == live


@pytest_twisted.ensureDeferred
async def test_one_id_in_many_sessions_at_once_belongs_to_one(town: Town) -> None:
    for n in range(20):
        await town.open(f"s{n}")
    found = await outcomes([town.start(f"s{n}", "t") for n in range(20)])
    made = [f for f in found if not isinstance(f, Exception)]
    assert len(made) == 1 and made[0].created
    assert {type(f) for f in found if isinstance(f, Exception)} == {TopicIdTaken}
    assert await town.count("messages") == 1
    live = await town.ground.rows("SELECT count(*) FROM sessions WHERE status = 1")
    assert live == [(1,)]


@pytest_twisted.ensureDeferred
async def test_an_id_used_in_another_session_is_taken(town: Town) -> None:
    await town.open("s")
    await town.open("other")
    await town.start("s", "t")
    for _ in range(2):
        with pytest.raises(TopicIdTaken):
            await town.start("other", "t")
        await town.end("s", "t")
    assert await town.types("other") == []


@pytest_twisted.ensureDeferred
async def test_a_topic_that_an_operator_put_there_by_hand_is_active(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    await town.end("s", "t")

    def repair(transaction):
        transaction.connection.run(
            "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
            " VALUES ('hand', 's', 9, 0, 1, 'P')"
        )

    await town.house.db.write(repair)
    with pytest.raises(TopicActive) as refused:
        await town.start("s", "u")
    assert refused.value.extra["topic_id"] == "hand"
    await town.end("s", "hand")
    assert (await town.topic("hand")).status == 10
    log = await town.ground.log("s")
    assert [(m.type, m.topic_id) for m in log] == [(6, "t"), (7, "t"), (7, "hand")]
    await town.start("s", "u")


@pytest_twisted.ensureDeferred
async def test_types_without_topics_refuse_them(town: Town) -> None:
    for type_ in range(18):
        if type_ == 7:
            continue
        await town.open(f"s{type_}", type_=type_)
        if type_ in (0, 3, 4, 5):
            with pytest.raises(TopicsNotAllowed):
                await town.start(f"s{type_}", f"t{type_}")
        else:
            assert (await town.start(f"s{type_}", f"t{type_}")).topic.session_type == type_


@pytest_twisted.ensureDeferred
async def test_start_by_must_be_a_member(town: Town) -> None:
    await town.open("s")
    with pytest.raises(InvalidInput) as refused:
        await town.start("s", "t", "X")
    assert fields_of(refused.value) == ["start_by"]
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t", "X", session_id="new", **MAKING)
    assert fields_of(refused.value) == ["start_by"]
    assert await town.count("sessions") == 1 and await town.count("topics") == 0


@pytest_twisted.ensureDeferred
async def test_members_start_as_themselves(town: Town) -> None:
    await town.open("s")
    with pytest.raises(ForbiddenUser):
        await town.start("s", "t", "D", caller=patient("P"))
    with pytest.raises(SessionNotFound):
        await town.start("s", "t", "X", caller=patient("X"))
    with pytest.raises(SessionNotFound):
        await town.start("s", "t", "P", caller=patient("P", sid=["other"]))
    with pytest.raises(SessionNotFound):
        await town.start("none", "t", "P", caller=patient("P"))
    assert await town.count("topics") == 0
    assert (await town.start("s", "t", "P", caller=patient("P", sid=["s"]))).created


@pytest_twisted.ensureDeferred
async def test_words_of_the_routes_are_no_topic_ids(town: Town) -> None:
    await town.open("s")
    for word in ("current", "count", ".", ".."):
        with pytest.raises(ReservedId):
            await town.start("s", word)


# ---- first messages, by the rules of 2.5


@pytest_twisted.ensureDeferred
async def test_a_doctors_first_message_answers_the_topic(town: Town) -> None:
    await town.open("s")
    first = [
        {"type": 1, "content": "q"},
        {"type": 1, "content": "a", "sender_id": "D"},
        {"type": 1, "content": "b", "sender_id": "D"},
    ]
    topic = (await town.start("s", "t", messages=first)).topic
    log = await town.ground.log("s")
    assert (topic.reply, topic.reply_by) == (1, "D")
    assert (topic.reply_time, topic.reply_message_id) == (log[2].timestamp, log[2].id)
    assert topic == await town.topic("t")
    told = dict(town.take()[1:])
    assert told["topic_changed"] == topic


@pytest_twisted.ensureDeferred
async def test_a_doctor_who_starts_answers_nothing(town: Town) -> None:
    await town.open("s")
    topic = (await town.start("s", "t", "D", messages=[{"type": 1, "content": "a"}])).topic
    assert topic.reply == 0


@pytest.mark.parametrize("type_", [6, 7, 10, 14, 2105])
@pytest_twisted.ensureDeferred
async def test_server_types_from_a_user_are_refused(town: Town, type_) -> None:
    await town.open("s")
    content = {"message_id": "m", "version": 1} if type_ == 2105 else "x"
    first = [{"type": 1, "content": "q"}, {"type": type_, "content": content}]
    with pytest.raises(ServerOnlyType):
        await town.start("s", "t", caller=patient("P"), messages=first)
    assert await town.count("topics") == 0 and await town.types("s") == []
    await town.start("s", "t", messages=first)
    assert await town.types("s") == [6, 1, type_]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"type": 1}, "messages[1].content"),
        ({"type": 1, "content": None}, "messages[1].content"),
        ({"type": 19, "content": "no bundle"}, "messages[1].content"),
        ({"type": 29, "content": {"answer_status": 2}}, "messages[1].content"),
        ({"type": 11, "content": "x"}, "messages[1].type"),
        ({"type": 999, "content": "x"}, "messages[1].type"),
        ({"content": "x"}, "messages[1].type"),
        ({"type": 1, "content": "x", "sender_id": "a b"}, "messages[1].sender_id"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_bad_message_is_named_and_nothing_is_stored(town: Town, bad, field) -> None:
    first = [{"type": 1, "content": "q"}, bad]
    with pytest.raises(InvalidInput) as refused:
        await town.start_in("t", session_id="s", messages=first, **MAKING)
    assert fields_of(refused.value) == [field]
    await nothing_stored(town)


@pytest_twisted.ensureDeferred
async def test_over_64_kib_is_too_large(town: Town) -> None:
    await town.open("s")
    for content in ("x" * 65535, ["x" * 65533], "医" * 21846):
        with pytest.raises(TooLarge):
            await town.start("s", "t", messages=[{"type": 1, "content": content}])
    assert await town.count("topics") == 0
    await town.start("s", "t", messages=[{"type": 1, "content": "x" * 65534}])


@pytest_twisted.ensureDeferred
async def test_a_sender_who_is_no_member_leaves_no_session_and_no_topic(town: Town) -> None:
    first = [{"type": 1, "content": "q"}, {"type": 1, "content": "a", "sender_id": "X"}]
    with pytest.raises(NotAMember):
        await town.start_in("t", session_id="s", messages=first, **MAKING)
    await nothing_stored(town)
    with pytest.raises(ForbiddenUser):
        await town.start_in("t", "P", caller=patient("P"), session_id="s", messages=first, **MAKING)
    await nothing_stored(town)
    assert town.take() == []


# ---- making the session on the way


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
    two = {"session_type": 2, "session_name": "n", "participants": ["A", "B"]}
    assert (await town.start_in("u", "A", **blank, **two)).topic.session_id == hash_of_members("AB")
    assert (await town.start_in("u", "A", **blank, **two)).created is False


@pytest_twisted.ensureDeferred
async def test_team_code_serves_the_id_and_the_topic(town: Town) -> None:
    making = {"session_type": 1, "session_name": "n", "participants": SEATS}
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
    more = {**MAKING, "session_name": "second", "participants": [*SEATS, "N:nurse"]}
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
    two = {"session_name": "n", "session_type": 2, "participants": ["D", "E"]}
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
        strangers = {**two, "participants": ["D", "E", "X"]}
        await town.start_in("u", "X", caller=doctor("X"), session_id="s", **strangers)
    assert await town.count("participants") == 2
    with pytest.raises(SessionNotFound):
        await town.start_in("u", "D", caller=doctor("D", sid=["z"]), session_id="s", **two)
    with pytest.raises(Forbidden):  # a patient adds nobody to a session that is there
        await town.open("c")
        more = {**MAKING, "participants": [*SEATS, "Y"]}
        await town.start_in("v", "P", caller=patient("P"), session_id="c", **more)
    assert (await town.start_in("v", "P", caller=patient("P"), session_id="c", **MAKING)).created


@pytest_twisted.ensureDeferred
async def test_thirty_starts_at_once_make_one_session_and_one_topic(town: Town) -> None:
    found = await together([town.start_in("t", **MAKING, **PARTS) for _ in range(30)])
    assert sorted(s.created for s in found) == [False] * 29 + [True]
    assert [await town.count(t) for t in ("sessions", "topics", "messages")] == [1, 1, 1]
    notes = await town.ground.rows("SELECT action FROM audit")
    assert notes == [("session.created",)]


# ---- what the sockets are told


@pytest_twisted.ensureDeferred
async def test_messages_are_told_before_the_topic_before_the_session(town: Town) -> None:
    await town.open("s")
    town.take()
    started = await town.start("s", "t", messages=[{"type": 1, "content": "q"}])
    told = town.take()
    assert [kind for kind, _ in told] == ["committed", "topic_changed", "session_changed"]
    assert [m.type for m in told[0][1]] == [6, 1]
    assert told[1][1] == started.topic
    assert (told[2][1].current_topic_id, told[2][1].last_seq) == ("t", 2)
    with pytest.raises(TopicActive):
        await town.start("s", "u")
    assert town.take() == []
