"""Page 2.6, the start of a topic in a session, and its first messages."""

from __future__ import annotations

import json

import pytest
import pytest_twisted

from imd.domain.errors import (
    ForbiddenUser,
    InvalidInput,
    NotAMember,
    ReservedId,
    ServerOnlyType,
    SessionNotFound,
    TooLarge,
    TopicActive,
    TopicIdTaken,
    TopicsNotAllowed,
)
from tests.actions.topic_world import (
    MAKING,
    Town,
    check_intervals,
    fields_of,
    nothing_stored,
    patient,
)
from tests.storage.ground import outcomes, together

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
    assert len(refused) == 49
    assert {isinstance(f, TopicActive) and f.extra["topic_id"] for f in refused} == {live}
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
