"""Page 2.6, the life of a topic after its start; pages 1.2 (reply) and 4.1 (I6)."""

from __future__ import annotations

import json
import random

import pytest
import pytest_twisted

from imd.domain.errors import (
    Forbidden,
    ForbiddenUser,
    InvalidInput,
    NotAMember,
    SessionNotFound,
    TooLarge,
    TopicActive,
    TopicEnded,
    TopicNotFound,
)
from tests.actions.topic_world import SERVICE, Town, check_intervals, doctor, patient
from tests.storage.ground import outcomes, together


@pytest_twisted.ensureDeferred
async def test_members_and_services_see_a_topic(town: Town) -> None:
    await town.open("s")
    topic = (await town.start("s", "t")).topic
    for caller in (SERVICE, doctor("D"), patient("P"), patient("P", sid=["s"])):
        assert await town.topic("t", caller) == topic
    assert await town.topic("t", user_id="P") == topic
    for caller in (doctor("X"), patient("P", sid=["other"])):
        with pytest.raises(TopicNotFound):
            await town.topic("t", caller)
    with pytest.raises(NotAMember):
        await town.topic("t", user_id="X")
    with pytest.raises(ForbiddenUser):
        await town.topic("t", doctor("D"), user_id="P")
    with pytest.raises(TopicNotFound):
        await town.topic("none")


# ---- reply


@pytest.mark.parametrize(
    ("kind", "role", "caller", "type_", "answers"),
    [
        ("doctor", "0", SERVICE, 1, True),
        (None, "doctor", SERVICE, 1, True),
        (None, "0", doctor("W"), 1, True),
        ("patient", "doctor", SERVICE, 1, True),
        ("patient", "0", SERVICE, 1, False),
        (None, "0", SERVICE, 1, False),
        (None, "nurse", patient("W"), 1, False),
        ("doctor", "0", SERVICE, 22, True),
        ("doctor", "doctor", SERVICE, 6, False),
        ("doctor", "doctor", SERVICE, 7, False),
        ("doctor", "doctor", SERVICE, 10, False),
        ("doctor", "doctor", SERVICE, 14, False),
        ("doctor", "doctor", SERVICE, 2105, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_sets_reply(town: Town, kind, role, caller, type_, answers) -> None:
    if kind is not None:
        await town.person("W", kind)
    await town.open("s", "P:patient", f"W:{role}")
    await town.start("s", "t")
    content = {"message_id": "m", "version": 1} if type_ == 2105 else "x"
    sent = await town.send("s", "W", content, caller, type=type_)
    topic = await town.topic("t")
    if answers:
        assert (topic.reply, topic.reply_by, topic.reply_time, topic.reply_message_id) == (
            1, "W", sent.timestamp, sent.id,
        )  # fmt: skip
    else:
        assert (topic.reply, topic.reply_by, topic.reply_time) == (0, None, None)


@pytest_twisted.ensureDeferred
async def test_reply_is_set_by_the_first_answer_only(town: Town) -> None:
    await town.open("s", "P:patient", "D:doctor", "E:doctor")
    await town.send("s", "D", "before the topic")
    await town.start("s", "t", "E")
    await town.send("s", "E", "the starter answers nothing")
    assert (await town.topic("t")).reply == 0
    first = await town.send("s", "D")
    await together([town.send("s", who) for who in "DEPD" for _ in range(5)])
    topic = await town.topic("t")
    assert (topic.reply_by, topic.reply_message_id) == ("D", first.id)
    await town.end("s")
    await town.start("s", "u")
    assert (await town.topic("u")).reply == 0


@pytest_twisted.ensureDeferred
async def test_an_answer_after_the_end_counts_for_nothing(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    await town.end("s")
    late = await town.send("s", "D")
    assert late.topic_id is None
    assert (await town.topic("t")).reply == 0
    with pytest.raises(TopicEnded):
        await town.send("s", "D", topic_id="t")


# ---- update


@pytest_twisted.ensureDeferred
async def test_only_services_update(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t", name="a", description="b", team_code="T1", type=3)
    town.take()
    for caller in (doctor("D"), patient("P")):
        with pytest.raises(Forbidden):
            await town.update("t", caller, name="z")
    with pytest.raises(TopicNotFound):
        await town.update("none", name="z")
    with pytest.raises(NotAMember):
        await town.update("t", name="z", user_id="X")
    assert town.take() == []
    changed = await town.update("t", name="c", description=None, team_code="T2", type=5)
    assert (changed.name, changed.description, changed.team_code, changed.type) == (
        "c", None, "T2", 5,
    )  # fmt: skip
    assert await town.topic("t") == changed
    assert town.take() == [("topic_changed", changed)]
    assert await town.types("s") == [6]


@pytest_twisted.ensureDeferred
async def test_update_may_move_the_reply_mark(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    sent = await town.send("s", "D")
    assert (await town.topic("t")).reply_message_id == sent.id
    topic = await town.update("t", reply=0)
    assert (topic.reply, topic.reply_by, topic.reply_time, topic.reply_message_id) == (
        0, None, None, None,
    )  # fmt: skip
    again = await town.send("s", "D")
    assert (await town.topic("t")).reply_message_id == again.id
    await town.update("t", reply=0)
    topic = await town.update("t", reply=1)
    assert (topic.reply, topic.reply_by) == (1, None)
    assert (await town.counts(user_id="D")).ongoing == 1


# ---- end


@pytest_twisted.ensureDeferred
async def test_end_stores_topic_end_and_frees_the_session(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t", name="头痛")
    await town.send("s", "D")
    town.take()
    ended = await town.end("s", "t", end_by="P")
    log = await town.ground.log("s")
    assert [(m.type, m.sender_id, m.topic_id) for m in log] == [
        (6, "P", "t"), (1, "D", "t"), (7, "P", "t"),
    ]  # fmt: skip
    assert json.loads(str(log[-1].content)) == {"topic_id": "t", "name": "头痛"}
    assert (ended.topic_id, ended.ended, ended.status, ended.reply) == ("t", True, 10, 1)
    assert (ended.end_by, ended.end_time, ended.end_message_id, ended.end_seq) == (
        "P", log[-1].timestamp, log[-1].id, 3,
    )  # fmt: skip
    session = await town.session("s")
    assert (session.status, session.current_topic_id) == (0, None)
    told = town.take()
    assert [what for what, _ in told] == ["committed", "topic_changed", "session_changed"]
    assert told[0][1] == log[2:] and told[1][1].status == 10
    assert told[2][1].status == 0
    await check_intervals(town, "s")


@pytest_twisted.ensureDeferred
async def test_end_with_a_note_stores_the_note_first(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    ended = await town.end("s", "t", note="祝早日康复")
    log = await town.ground.log("s")
    assert [(m.type, m.sender_id) for m in log] == [(6, "P"), (10, "D"), (7, "D")]
    assert log[1].content == "祝早日康复" and log[1].topic_id == "t"
    assert (ended.end_message_id, ended.end_seq) == (log[2].id, 3)
    await check_intervals(town, "s")
    for number, blank in enumerate((None, "")):
        await town.start("s", f"u{number}")
        await town.end("s", note=blank)
    assert 10 not in (await town.types("s"))[3:]
    await town.start("s", "w")
    await town.end("s", note={"text": "card"})
    assert (await town.ground.log("s"))[-2].content == '{"text":"card"}'


@pytest_twisted.ensureDeferred
async def test_a_note_that_is_too_large_ends_nothing(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    with pytest.raises(TooLarge):
        await town.end("s", "t", note="x" * 65535)
    assert (await town.topic("t")).status == 0
    assert await town.types("s") == [6]


@pytest_twisted.ensureDeferred
async def test_end_again_changes_nothing(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    first = await town.end("s", "t")
    town.take()
    assert await town.end("s", "t", end_by="P", note="late") == first
    assert await town.end("s", "current") == first
    assert town.take() == []
    assert await town.types("s") == [6, 7]
    await town.start("s", "u")  # ending the old one leaves the new one alone
    assert await town.end("s", "t") == first
    assert (await town.session("s")).current_topic_id == "u"


@pytest_twisted.ensureDeferred
async def test_twenty_ends_at_once_store_one_topic_end(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    ended = await together(
        [town.end("s", "t" if n % 2 else "current", note="x") for n in range(20)]
    )
    assert len(set(ended)) == 1
    assert await town.types("s") == [6, 10, 7]


@pytest_twisted.ensureDeferred
async def test_current_is_the_last_topic(town: Town) -> None:
    await town.open("s")
    for verb in (town.ended, town.end, town.enter):
        with pytest.raises(TopicNotFound):
            await verb("s", "current", **({"user_id": "P"} if verb == town.enter else {}))
    for number in range(3):  # within one millisecond of the clock, too
        await town.start("s", f"t{number}")
        now = await town.ended("s")
        assert (now.topic_id, now.ended, now.status) == (f"t{number}", False, 0)
        await town.end("s")
        now = await town.ended("s")
        assert (now.topic_id, now.session_id, now.ended, now.status, now.reply) == (
            f"t{number}", "s", True, 10, 0,
        )  # fmt: skip
    assert (await town.ended("s", "t0")).topic_id == "t0"


@pytest_twisted.ensureDeferred
async def test_members_end_as_themselves(town: Town) -> None:
    await town.open("s")
    await town.open("other")
    await town.start("s", "t")
    with pytest.raises(ForbiddenUser):
        await town.end("s", "t", patient("P"), end_by="D")
    with pytest.raises(ForbiddenUser):
        await town.end("s", "t", patient("P"), user_id="D")
    with pytest.raises(ForbiddenUser):
        await town.end("s", "t", patient("P"), end_by="P", user_id="D")
    with pytest.raises(SessionNotFound):
        await town.end("s", "t", doctor("X"))
    with pytest.raises(SessionNotFound):
        await town.end("s", "t", doctor("D", sid=["other"]))
    with pytest.raises(NotAMember):
        await town.end("s", "t", end_by="X")
    with pytest.raises(InvalidInput):
        await town.end("s", "t", end_by=None)
    with pytest.raises(TopicNotFound):
        await town.end("other", "t")
    assert (await town.topic("t")).status == 0
    assert (await town.end("s", "t", doctor("D"))).end_by == "D"


@pytest_twisted.ensureDeferred
async def test_whether_it_ended_is_told_to_members_only(town: Town) -> None:
    await town.open("s")
    await town.open("other")
    await town.start("s", "t")
    with pytest.raises(SessionNotFound):
        await town.ended("s", "t", doctor("X"))
    with pytest.raises(SessionNotFound):
        await town.ended("none", "t")
    with pytest.raises(TopicNotFound):
        await town.ended("other", "t", doctor("D"))
    with pytest.raises(NotAMember):
        await town.ended("s", "t", user_id="X")
    assert not (await town.ended("s", "t", doctor("D"))).ended


# ---- enter


@pytest_twisted.ensureDeferred
async def test_enter_stores_topic_into_by_the_user(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    town.take()
    entered = await town.enter("s", "t", patient("P"))
    assert entered.created and town.take() == [("committed", [entered.message])]
    message = entered.message
    assert (message.type, message.sender_id, message.topic_id, message.seq) == (14, "P", "t", 2)
    assert (await town.topic("t")).reply == 0
    assert (await town.enter("s", "current", user_id="D")).message.sender_id == "D"
    assert (await town.topic("t")).reply == 0
    await check_intervals(town, "s")


@pytest_twisted.ensureDeferred
async def test_a_repeat_within_a_minute_is_the_first_message(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    first = (await town.enter("s", "t", user_id="P")).message
    town.take()
    town.clock.time = first.timestamp + 59_999
    await town.send("s", "D")
    again = await town.enter("s", "t", user_id="P")
    assert (again.message, again.created) == (first, False)
    assert [what for what, _ in town.take()] == []
    assert (await town.enter("s", "t", user_id="D")).created
    town.clock.time = first.timestamp + 60_000
    third = await town.enter("s", "t", user_id="P")
    assert third.created and third.message.id != first.id
    assert (await town.enter("s", "t", user_id="P")).message == third.message
    # in the next topic it is a first entry again
    await town.end("s")
    await town.start("s", "u")
    assert (await town.enter("s", "u", user_id="P")).created


@pytest_twisted.ensureDeferred
async def test_twenty_entries_at_once_store_one_message(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    entered = await together([town.enter("s", "t", user_id="P") for _ in range(20)])
    assert sorted(e.created for e in entered) == [False] * 19 + [True]
    assert len({e.message for e in entered}) == 1
    assert await town.types("s") == [6, 14]


@pytest_twisted.ensureDeferred
async def test_nobody_enters_what_ended_or_is_not_theirs(town: Town) -> None:
    await town.open("s")
    await town.open("other")
    await town.start("s", "t")
    with pytest.raises(NotAMember):
        await town.enter("s", "t", user_id="X")
    with pytest.raises(SessionNotFound):
        await town.enter("s", "t", patient("X"))
    with pytest.raises(ForbiddenUser):
        await town.enter("s", "t", patient("P"), user_id="D")
    with pytest.raises(TopicNotFound):
        await town.enter("other", "t", user_id="P")
    await town.end("s")
    for word in ("t", "current"):
        with pytest.raises(TopicEnded):
            await town.enter("s", word, user_id="P")
    assert await town.types("s") == [6, 7]


# ---- the interval


@pytest.mark.parametrize("seed", range(3))
@pytest_twisted.ensureDeferred
async def test_a_topics_interval_of_seq_holds_exactly_its_messages(town: Town, seed) -> None:
    chance = random.Random(seed)
    await town.open("s")
    for round_ in range(6):
        wishes = [town.send("s", chance.choice("PD")) for _ in range(6)]
        wishes += [town.start("s", f"t{round_}-{n}", messages=[{"type": 1, "content": "q"}])
                   for n in range(2)]  # fmt: skip
        wishes += [town.end("s") for _ in range(2)] if round_ else []
        wishes += [town.enter("s", user_id="P")] if round_ else []
        chance.shuffle(wishes)
        for found in await outcomes(wishes):
            assert not isinstance(found, Exception) or isinstance(found, TopicActive | TopicEnded)
        await check_intervals(town, "s")
    live = await town.ground.rows("SELECT count(*) FROM topics WHERE status = 0")
    session = await town.session("s")
    assert live[0][0] == session.status == int(session.current_topic_id is not None)


@pytest_twisted.ensureDeferred
async def test_a_message_that_names_the_topic_races_its_end(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    sends = [town.send("s", "P", topic_id="t") for _ in range(10)]
    found = await outcomes([*sends[:5], town.end("s", "t"), *sends[5:]])
    kept = [f for f in found if not isinstance(f, Exception)]
    assert {type(f) for f in found if isinstance(f, Exception)} <= {TopicEnded}
    assert len(await town.types("s")) == len(kept) + 1
    await check_intervals(town, "s")
