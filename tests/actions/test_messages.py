"""Page 2.5: sending, reading, marks, changing and recalling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from imd.domain.errors import (
    ForbiddenUser,
    IdempotencyConflict,
    InvalidInput,
    MessageNotFound,
    NotAMember,
    NotEditable,
    NotTheSender,
    RateLimited,
    RecallWindowPassed,
    ServerOnlyType,
    SessionNotFound,
    TooLarge,
    TopicEnded,
    TopicNotFound,
    VersionConflict,
)
from imd.domain.message import Card
from imd.domain.rates import Rate
from tests.actions.household import READER, SERVICE, Household, doctor, patient
from tests.storage.ground import outcomes, together

TEXT: dict[str, Any] = {"session_id": "s", "type": 1, "content": "x"}


async def seqs(home: Household, caller, verb: str = "list", **fields) -> list[int]:
    page = await getattr(home, verb)(caller, **{"session_id": "s", **fields})
    return [message.seq for message in page.items]


# ---- sending


@pytest_twisted.ensureDeferred
async def test_a_message_is_answered_as_it_is_stored(home: Household) -> None:
    await home.consult()
    posted = await home.post(
        doctor("D1"), **TEXT, sender_name="张", client_msg_id="k", business_type=1
    )
    message = posted.message
    assert not posted.replayed
    assert (message.seq, message.sender_id, message.sender_name, message.content) == (
        1,
        "D1",
        "张",
        "x",
    )
    assert (message.topic_id, message.business_type, message.version, message.recalled) == (
        None, 1, 1, False,
    )  # fmt: skip
    assert await home.get(READER, session_id="s", message_id=message.id) == message
    card = await home.say("P1", {"a": [1, None]}, type=25)
    assert card.content == Card('{"a":[1,null]}')
    assert card.business_type == 2  # the session's own


@pytest_twisted.ensureDeferred
async def test_who_may_send_as_whom(home: Household) -> None:
    await home.consult()
    for fields in ({}, {"sender_id": "D1"}, {"user_id": "D1"}):
        posted = await home.post(doctor("D1"), **TEXT, **fields)
        assert posted.message.sender_id == "D1"
    for fields in ({"sender_id": "D2"}, {"user_id": "D2"}, {"sender_id": "D1", "user_id": "D2"}):
        with pytest.raises(ForbiddenUser):
            await home.post(doctor("D1"), **TEXT, **fields)
    with pytest.raises(SessionNotFound):
        await home.post(doctor("D9"), **TEXT)
    with pytest.raises(NotAMember):
        await home.post(SERVICE, **TEXT, sender_id="D9")
    with pytest.raises(InvalidInput) as caught:
        await home.post(SERVICE, **TEXT)
    assert [e.field for e in caught.value.errors] == ["sender_id"]
    for caller in (doctor("D1"), SERVICE):
        with pytest.raises(SessionNotFound):
            await home.post(caller, **{**TEXT, "session_id": "none"}, sender_id="D1")
    assert len(await home.ground.log("s")) == 3


@pytest_twisted.ensureDeferred
async def test_types_and_contents_are_checked_before_anything_is_stored(home: Household) -> None:
    await home.consult()
    bad: list[tuple[Any, ...]] = [
        (doctor("D1"), {"type": 6}, ServerOnlyType), (doctor("D1"), {"type": 2105}, ServerOnlyType),
        (SERVICE, {"type": 11}, InvalidInput), (SERVICE, {"type": 32}, InvalidInput),
        (SERVICE, {"content": None}, InvalidInput), (SERVICE, {"type": 29}, InvalidInput),
        (SERVICE, {"content": "x" * 65535}, TooLarge),
    ]  # fmt: skip
    for caller, fields, kind in bad:
        with pytest.raises(kind):
            await home.post(caller, **{**TEXT, **fields}, sender_id="D1")
    with pytest.raises(InvalidInput) as caught:
        await home.post(SERVICE, session_id="s", type=1, sender_id="D1")
    assert [e.field for e in caught.value.errors] == ["content"]
    assert await home.ground.log("s") == []
    assert (await home.say("D1", "topic", type=6)).type == 6


@pytest_twisted.ensureDeferred
async def test_one_key_is_one_message(home: Household) -> None:
    await home.consult()
    found = await together([home.post(doctor("D1"), **TEXT, client_msg_id="k") for _ in range(10)])
    assert len({posted.message for posted in found}) == 1
    assert [posted.replayed for posted in found].count(False) == 1
    for fields in ({"content": "y"}, {"type": 2}):
        with pytest.raises(IdempotencyConflict):
            await home.post(doctor("D1"), **{**TEXT, **fields}, client_msg_id="k")
    # Other senders' keys are their own; a replay moves nothing.
    await home.say("P1", client_msg_id="k")
    before = await home.marks()
    await home.post(doctor("D1"), **TEXT, client_msg_id="k")
    assert await home.marks() == before


@pytest_twisted.ensureDeferred
async def test_a_removed_sender_learns_nothing_by_repeating_its_key(home: Household) -> None:
    await home.consult()
    await home.post(doctor("D1"), **TEXT, client_msg_id="k")
    await home.remove(SERVICE, session_id="s", participant_ids="D1")
    with pytest.raises(SessionNotFound):
        await home.post(doctor("D1"), **TEXT, client_msg_id="k")


@pytest_twisted.ensureDeferred
async def test_the_topic_of_a_message(home: Household) -> None:
    await home.consult()
    await home.consult("t")
    await home.start(SERVICE, session_id="s", topic_id="one", start_by="P1")
    await home.end(SERVICE, session_id="s", topic_id="one", end_by="D1")
    assert (await home.say("P1")).topic_id is None
    await home.start(SERVICE, session_id="s", topic_id="two", start_by="P1")
    for fields in ({}, {"topic_id": "two"}, {"topic_id": None}):
        assert (await home.say("P1", **fields)).topic_id == "two"
    with pytest.raises(TopicEnded):
        await home.say("P1", topic_id="one")
    for session, topic in (("s", "none"), ("t", "two")):
        with pytest.raises(TopicNotFound):
            await home.say("P1", session=session, topic_id=topic)


@pytest_twisted.ensureDeferred
async def test_users_are_limited_and_services_exempt(home: Household) -> None:
    await home.consult()
    home.house = replace(home.house, rates=replace(home.house.rates, sends=Rate(10, 20)))
    found = await outcomes([home.post(doctor("D1"), **TEXT) for _ in range(25)])
    refused = [f for f in found if isinstance(f, RateLimited)]
    assert len(refused) == 5
    assert all(refusal.retry_after for refusal in refused)
    await together([home.post(SERVICE, **TEXT, sender_id="D1") for _ in range(25)])
    await home.post(doctor("D2"), **TEXT)
    home.clock.time += 100
    await home.post(doctor("D1"), **TEXT)


# ---- reading


@pytest_twisted.ensureDeferred
async def test_the_orders_and_bounds_of_a_page(home: Household) -> None:
    await home.consult()
    ids = [(await home.say("D1", f"{n}")).id for n in range(1, 11)]
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"size": 3}, [10, 9, 8]),
        ({"order": "asc", "size": 3}, [1, 2, 3]),
        ({"before": 4}, [3, 2, 1]),
        ({"before": ids[3]}, [3, 2, 1]),
        ({"before": 0}, []),
        ({"after": 7}, [8, 9, 10]),
        ({"after": ids[6]}, [8, 9, 10]),
        ({"after": 0, "size": 2}, [1, 2]),
        ({"after": 7, "order": "desc"}, [10, 9, 8]),
        ({"after": 3, "before": 7}, [6, 5, 4]),
        ({"after": 3, "before": 7, "order": "asc"}, [4, 5, 6]),
        ({"after": 99}, []),
        ({"start_msg_id": ids[2], "end_msg_id": ids[4]}, [5, 4, 3]),
        ({"start_msg_id": ids[7]}, [10, 9, 8]),
        ({"end_msg_id": ids[1]}, [2, 1]),
        ({"start_msg_id": ids[2], "before": 5}, [4, 3]),
        ({"type": "2,3"}, []),
        ({"type": "1", "size": 1}, [10]),
    ]
    for fields, expected in cases:
        assert await seqs(home, READER, **fields) == expected, fields
    for field in ("before", "after", "start_msg_id", "end_msg_id"):
        with pytest.raises(MessageNotFound):
            await seqs(home, READER, **{field: "unknown"})


@pytest.mark.parametrize(
    "fields", [{}, {"order": "asc"}, {"after": 2}, {"before": 9}, {"type": "1"}]
)
@pytest_twisted.ensureDeferred
async def test_next_continues_the_same_way(home: Household, fields) -> None:
    await home.consult()
    for n in range(10):
        await home.say("D1", f"{n}", type=1 + (n == 4))
    whole = await seqs(home, READER, **fields, size=200)
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = await home.list(READER, session_id="s", size=3, **fields, **cursor)
        seen += [message.seq for message in page.items]
        if page.next is None:
            break
        cursor = {"cursor": page.next}
        if len(seen) < 10:
            await home.say("D2", "later", type=3)
    assert [seq for seq in seen if seq <= 10] == whole
    assert len(set(seen)) == len(seen)
    with pytest.raises(InvalidInput):
        await home.list(READER, session_id="s", cursor="bogus")


@pytest_twisted.ensureDeferred
async def test_a_page_ends_early_at_1_mib(home: Household) -> None:
    await home.consult()
    for _ in range(20):
        await home.say("D1", "张" * 21_000)
    page = await home.list(READER, session_id="s", size=200)
    assert 10 <= len(page.items) < 20
    assert page.next is not None
    rest = await home.list(READER, session_id="s", size=200, cursor=page.next)
    assert [m.seq for m in page.items + rest.items] == list(range(20, 0, -1))


@pytest_twisted.ensureDeferred
async def test_only_a_plain_first_page_moves_the_readers_marks(home: Household) -> None:
    await home.consult()
    ids = [(await home.say("P1", f"{n}")).id for n in range(5)]
    first = await home.list(READER, session_id="s", size=2)
    still: list[tuple[Any, dict[str, Any]]] = [
        (doctor("D1"), {"peek": 1}), (doctor("D1"), {"before": 9}), (doctor("D1"), {"after": 0}),
        (doctor("D1"), {"order": "asc"}), (doctor("D1"), {"type": "1"}),
        (doctor("D1"), {"start_msg_id": ids[0]}), (doctor("D1"), {"end_msg_id": ids[4]}),
        (doctor("D1"), {"cursor": first.next}), (READER, {"user_id": "D1"}), (SERVICE, {}),
    ]  # fmt: skip
    for caller, fields in still:
        await home.list(caller, session_id="s", **fields)
        assert (await home.marks())["D1"] == 0, fields
    await home.list(doctor("D1"), session_id="s", size=2)
    assert await home.marks() == {"D1": 5, "D2": 0, "P1": 5}
    assert home.courier.names() == ["marked"]
    await home.list(SERVICE, session_id="s", user_id="D2", order="desc")
    assert (await home.marks())["D2"] == 5
    await home.list(doctor("D1"), session_id="s")
    assert home.courier.names() == ["marked", "marked"]


@pytest_twisted.ensureDeferred
async def test_unread_messages_are_others_oldest_first(home: Household) -> None:
    await home.consult()
    for who in ("P1", "D2", "P1"):
        await home.say(who)
    await home.say("P1", {"message_id": "m", "version": 1}, type=2105)
    assert await seqs(home, doctor("D1"), "unread_list", peek=1) == [1, 2, 3]
    assert await seqs(home, doctor("D2"), "unread_list") == [3]
    page = await home.unread_list(doctor("D1"), session_id="s", size=2, peek=1)
    rest = await home.unread_list(doctor("D1"), session_id="s", peek=1, cursor=page.next)
    assert [m.seq for m in page.items + rest.items] == [1, 2, 3]
    assert await seqs(home, doctor("D1"), "unread_list", size=2) == [1, 2]
    assert (await home.marks())["D1"] == 2
    assert (await home.unread(doctor("D1"), session_id="s")).count == 1
    assert await seqs(home, doctor("D1"), "unread_list") == [3]
    assert await seqs(home, doctor("D1"), "unread_list") == []


@pytest_twisted.ensureDeferred
async def test_a_topics_messages_are_seen_by_members_only(home: Household) -> None:
    await home.consult()
    await home.consult("t", "D9")
    await home.say("P1", "before")
    await home.start(SERVICE, session_id="s", topic_id="one", start_by="P1")
    await home.say("P1", "inside")
    await home.end(SERVICE, session_id="s", topic_id="one", end_by="D1")
    await home.say("P1", "after")
    before = await home.marks()
    for caller in (doctor("D1"), SERVICE):
        assert await seqs(home, caller, "list_session_topic", topic_id="one") == [4, 3, 2]
        page = await home.list_topic(caller, topic_id="one", order="asc")
        assert [m.seq for m in page.items] == [2, 3, 4]
    assert await home.marks() == before
    with pytest.raises(TopicNotFound):
        await home.list_topic(doctor("D9"), topic_id="one")
    with pytest.raises(TopicNotFound):
        await home.list_topic(doctor("D1", sid=["t"]), topic_id="one")
    with pytest.raises(NotAMember):
        await home.list_topic(SERVICE, topic_id="one", user_id="D9")
    with pytest.raises(SessionNotFound):
        await seqs(home, doctor("D9"), "list_session_topic", topic_id="one")
    for caller in (doctor("D9"), SERVICE):
        with pytest.raises(TopicNotFound):
            await seqs(home, caller, "list_session_topic", session_id="t", topic_id="one")
        with pytest.raises(TopicNotFound):
            await home.list_topic(caller, topic_id="none")


@pytest_twisted.ensureDeferred
async def test_a_message_belongs_to_its_session(home: Household) -> None:
    await home.consult()
    await home.consult("t")
    message = await home.say("P1")
    acts: list[tuple[str, dict[str, Any]]]
    acts = [("get", {}), ("recall", {}), ("edit", {"content": {}})]
    for verb, fields in acts:
        with pytest.raises(MessageNotFound):
            await getattr(home, verb)(SERVICE, session_id="t", message_id=message.id, **fields)
        with pytest.raises(SessionNotFound):
            await getattr(home, verb)(doctor("D9"), session_id="s", message_id=message.id, **fields)


# ---- marks and counts


@pytest_twisted.ensureDeferred
async def test_marks_by_read_rise_and_are_clamped(home: Household) -> None:
    await home.consult()
    await home.consult("t")
    for _ in range(4):
        await home.say("P1")
    await home.say("P1", session="t")
    for seq, expected in ((2, (2, 2)), (1, (2, 2)), (99, (4, 0)), (None, (4, 0)), (0, (4, 0))):
        answer = await home.read(doctor("D1"), session_id="s", seq=seq)
        assert (answer.read_seq, answer.unread) == expected
    assert home.courier.names() == ["marked", "marked"]
    assert (await home.badge(doctor("D1"))).badge_no == 1
    found = await home.all_unread(SERVICE, user_id="D2")
    assert (found.count, found.sessions) == (5, {"s": 4, "t": 1})


# ---- changing


@pytest_twisted.ensureDeferred
async def test_a_card_is_replaced_and_a_refresh_names_it(home: Household) -> None:
    await home.consult()
    card = await home.say("D1", {"state": 0}, type=25)
    home.courier.told.clear()
    edited = await home.edit(doctor("D1"), session_id="s", message_id=card.id, content={"state": 1},
                             version=1)  # fmt: skip
    assert edited == replace(card, content=Card('{"state":1}'), version=2)
    log = await home.ground.log("s")
    assert log[0] == edited
    assert (log[1].type, log[1].sender_id) == (2105, "D1")
    assert log[1].content == Card(f'{{"message_id":"{card.id}","version":2}}')
    assert home.courier.names() == ["updated", "committed"]
    # Not counted: neither unread nor the last message moves, but the last message shows the change.
    shown = await home.session(doctor("D2"), session_id="s")
    assert (shown.unread, shown.last_seq) == (1, 2)
    assert (shown.last_message.id, shown.last_message.content) == (card.id, edited.content)
    again = await home.edit(SERVICE, session_id="s", message_id=card.id, content="text")
    assert (again.version, again.content) == (3, "text")
    named = await home.edit(SERVICE, session_id="s", message_id=card.id, content={}, user_id="D2")
    assert named.version == 4
    assert [m.sender_id for m in (await home.ground.log("s"))[2:]] == ["D1", "D2"]


@pytest_twisted.ensureDeferred
async def test_who_may_not_change_a_card(home: Household) -> None:
    await home.consult()
    card = await home.say("D1", {"state": 0}, type=25)
    text = await home.say("D1", "x")
    bad: list[tuple[Any, ...]] = [
        (doctor("D2"), card, {}, NotTheSender), (patient("P1"), card, {}, NotTheSender),
        (doctor("D1"), text, {}, NotEditable), (SERVICE, text, {}, NotEditable),
        (doctor("D1"), card, {"version": 2}, VersionConflict),
        (SERVICE, card, {"version": 0}, VersionConflict),
        (SERVICE, card, {"content": None}, InvalidInput),
        (SERVICE, card, {"user_id": "D9"}, NotAMember),
        (SERVICE, card, {"content": "x" * 70_000}, TooLarge),
    ]  # fmt: skip
    for caller, message, fields, kind in bad:
        with pytest.raises(kind):
            await home.edit(
                caller, session_id="s", message_id=message.id, **{"content": {}, **fields}
            )
    assert len(await home.ground.log("s")) == 2


@pytest_twisted.ensureDeferred
async def test_of_many_editors_of_one_version_one_wins(home: Household) -> None:
    await home.consult()
    card = await home.say("D1", {}, type=25)
    found = await outcomes(
        [home.edit(SERVICE, session_id="s", message_id=card.id, content={"n": n}, version=1)
         for n in range(10)]
    )  # fmt: skip
    assert sum(isinstance(f, VersionConflict) for f in found) == 9
    assert len(await home.ground.log("s")) == 2


@pytest_twisted.ensureDeferred
async def test_a_recall_empties_the_message_and_leaves_it_in_place(home: Household) -> None:
    await home.consult()
    message = await home.say("D1", "secret", client_msg_id="k")
    home.courier.told.clear()
    recalled = await home.recall(doctor("D1"), session_id="s", message_id=message.id)
    assert recalled == replace(message, content=None, recalled=True)
    assert await home.ground.log("s") == [recalled]
    shown = await home.session(doctor("D2"), session_id="s")
    assert (shown.unread, shown.last_message.content) == (1, None)
    assert home.courier.names() == ["updated"]
    # Again: the same answer, nothing is told twice.
    assert await home.recall(SERVICE, session_id="s", message_id=message.id) == recalled
    assert home.courier.names() == ["updated"]
    kept = await home.ground.rows("SELECT content, recalled_by FROM recalls")
    assert kept == [("secret", "D1")]
    again = await home.post(
        SERVICE, **{**TEXT, "content": "secret"}, sender_id="D1", client_msg_id="k"
    )
    assert (again.replayed, again.message) == (True, recalled)
    with pytest.raises(NotEditable):
        card = await home.say("D1", {}, type=25)
        await home.recall(SERVICE, session_id="s", message_id=card.id)
        await home.edit(SERVICE, session_id="s", message_id=card.id, content={})


@pytest_twisted.ensureDeferred
async def test_the_recall_window(home: Household) -> None:
    await home.consult()
    message = await home.say("D1")
    home.clock.time = message.timestamp + 120_001
    with pytest.raises(RecallWindowPassed):
        await home.recall(doctor("D1"), session_id="s", message_id=message.id)
    for stranger in (doctor("D2"), patient("P1")):
        with pytest.raises(NotTheSender):
            await home.recall(stranger, session_id="s", message_id=message.id)
    assert (await home.get(READER, session_id="s", message_id=message.id)).content == "x"
    home.clock.time = message.timestamp + 120_000
    assert (await home.recall(doctor("D1"), session_id="s", message_id=message.id)).recalled
    late = await home.say("D1")
    home.clock.time += 10**9
    assert (await home.recall(SERVICE, session_id="s", message_id=late.id)).recalled
