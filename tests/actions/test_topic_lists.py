"""Page 2.6, lists and figures of topics: who sees what, filters, pages, states, statistics.

Random histories against a plain model stand in test_topic_history.py.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from imd.domain.errors import ForbiddenUser, InvalidInput, NotAMember, SessionNotFound
from tests.actions.topic_world import SERVICE, Town, doctor, fields_of, patient

STATES = ("unreplied", "ongoing", "replied", "expired")


def ids(page) -> list[str]:
    return [topic.id for topic in page.items]


async def four_states(town: Town, name: str = "s", type_: int = 9, team: str = "T1") -> None:
    """A session with an expired, a replied and a live, answered topic, another with a new one."""
    await town.open(name, type_=type_)
    for state in ("expired", "replied", "ongoing"):
        await town.start(name, f"{name}-{state}", team_code=team)
        town.clock.time += 100
        if state != "expired":
            await town.send(name, "D")
        if state != "ongoing":
            await town.end(name)
    await town.open(f"{name}2", type_=type_)
    await town.start(f"{name}2", f"{name}-unreplied", team_code=team)


# ---- topics


@pytest_twisted.ensureDeferred
async def test_list_gives_the_topics_of_the_users_sessions_newest_first(town: Town) -> None:
    await town.open("a", name="会话")
    await town.open("b", "P:patient", "E:doctor")
    await town.start("a", "t1")
    await town.start("b", "t2")
    await town.end("a")
    await town.start("a", "t3", name="头痛")
    last = await town.send("a", "P", "words")
    assert ids(await town.listed(doctor("D"))) == ["t3", "t1"]
    assert ids(await town.listed(doctor("E"))) == ["t2"]
    assert ids(await town.listed(user_id="P")) == ["t3", "t2", "t1"]
    assert ids(await town.listed(doctor("X"))) == []
    topic = (await town.listed(user_id="D")).items[0]
    assert (topic.session_name, topic.unread, topic.name) == ("会话", 2, "头痛")
    assert topic.last_message is not None
    assert (topic.last_message.id, topic.last_message.content) == (last.id, "words")
    assert (await town.listed(user_id="P")).items[0].unread == 0


@pytest_twisted.ensureDeferred
async def test_a_service_names_a_user_a_session_or_a_team(town: Town) -> None:
    await four_states(town)
    for verb in (town.listed, town.health):
        with pytest.raises(InvalidInput) as refused:
            await verb()
        assert set(fields_of(refused.value)) == {"user_id", "session_id", "team_code"}
    assert len(ids(await town.listed(session_id="s"))) == 3
    assert len(ids(await town.listed(team_code="T1"))) == 4
    assert ids(await town.listed(team_code="T2")) == []
    assert len(ids(await town.listed(team_code="T2,T1"))) == 4
    assert len(ids(await town.listed(session_id="s", user_id="D"))) == 3
    assert (await town.listed(session_id="s")).items[0].unread is None
    assert (await town.listed(session_id="s", user_id="P")).items[0].unread == 1


@pytest_twisted.ensureDeferred
async def test_a_users_token_sees_its_own_sessions_only(town: Town) -> None:
    await four_states(town)
    await town.open("theirs", "E:doctor")
    await town.start("theirs", "t", "E", team_code="T1")
    with pytest.raises(SessionNotFound):
        await town.listed(doctor("D"), session_id="theirs")
    with pytest.raises(SessionNotFound):
        await town.listed(doctor("D"), session_id="none")
    with pytest.raises(SessionNotFound):
        await town.teams(doctor("D"), session_id="theirs", team_code="T1")
    with pytest.raises(ForbiddenUser):
        await town.listed(doctor("D"), user_id="E")
    assert "t" not in ids(await town.listed(doctor("D"), team_code="T1"))
    assert (await town.replies(doctor("D"), team_code="T1")).total == 3
    assert (await town.replies(team_code="T1")).total == 4
    with pytest.raises(ForbiddenUser):
        await town.replies(doctor("D"), user_id="E")


@pytest_twisted.ensureDeferred
async def test_a_service_that_names_a_user_who_is_no_member_is_told(town: Town) -> None:
    await four_states(town)
    with pytest.raises(NotAMember):
        await town.listed(session_id="s", user_id="X")
    with pytest.raises(NotAMember):
        await town.teams(session_id="s", user_id="X", team_code="T1")
    with pytest.raises(SessionNotFound):
        await town.listed(session_id="none", user_id="D")


@pytest_twisted.ensureDeferred
async def test_a_token_limited_to_sessions_sees_no_others(town: Town) -> None:
    await four_states(town, type_=13)
    limited = doctor("D", sid=["s2"])
    only = ["s-unreplied"]
    assert ids(await town.listed(limited)) == only
    assert ids(await town.health(limited)) == only
    assert ids(await town.listed(limited, team_code="T1")) == only
    assert ids(await town.by_type(limited, state="unreplied")) == only
    assert ids(await town.by_type(limited, state="replied")) == []
    assert (await town.teams(limited, team_code="T1")).teams[0].count == 1
    assert (await town.counts(limited)).count == 1
    assert (await town.replies(limited)).total == 1
    assert (await town.replies(limited, start=0)).total == 1
    with pytest.raises(SessionNotFound):
        await town.listed(limited, session_id="s")
    assert ids(await town.listed(doctor("D", sid=[]))) == []
    assert (await town.counts(doctor("D", sid=[]))).count == 0


@pytest_twisted.ensureDeferred
async def test_filters_of_the_list(town: Town) -> None:
    await four_states(town, "a", 9, "T1")
    await four_states(town, "b", 13, "T2")
    for state in STATES:
        assert set(ids(await town.listed(user_id="D", state=state))) == {f"a-{state}", f"b-{state}"}
        assert ids(await town.listed(user_id="D", state=state, type="13")) == [f"b-{state}"]
        assert ids(await town.listed(team_code="T1", state=state)) == [f"a-{state}"]
    ended = {"a-replied", "a-expired", "b-replied", "b-expired"}
    assert set(ids(await town.listed(user_id="D", status=10))) == ended
    answered = {"a-replied", "a-ongoing", "b-replied", "b-ongoing"}
    assert set(ids(await town.listed(user_id="D", reply=1))) == answered
    assert set(ids(await town.listed(user_id="D", status=10, reply=1))) == ended & answered
    assert ids(await town.listed(user_id="D", type="8,12")) == []
    assert set(ids(await town.listed(user_id="D", status=10, state="replied"))) == ended & answered
    for other in ({"status": 0}, {"reply": 0}):
        with pytest.raises(InvalidInput) as refused:
            await town.listed(user_id="D", state="replied", **other)
        assert fields_of(refused.value) == ["state"]


@pytest_twisted.ensureDeferred
async def test_start_is_inclusive_and_end_exclusive(town: Town) -> None:
    await four_states(town)
    times = {t.id: t.create_time for t in (await town.listed(user_id="D")).items}
    a, b = times["s-replied"], times["s-ongoing"]
    assert ids(await town.listed(user_id="D", start=a, end=b)) == ["s-replied"]
    assert set(ids(await town.listed(user_id="D", start=b))) == {"s-ongoing", "s-unreplied"}
    assert ids(await town.listed(team_code="T1", end=a)) == ["s-expired"]
    assert (await town.replies(team_code="T1", start=a, end=b)).total == 1
    assert (await town.replies(user_id="D", start=a, end=b)).replied == 1
    assert (await town.replies(user_id="D", end=a)).expired == 1


@pytest.mark.parametrize("fields", [{"state": "sleeping"}, {"status": 5}, {"reply": 2},
                                    {"start": -1}, {"size": 0}, {"size": 201}, {"cursor": "x"},
                                    {"type": "a"}])  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_bad_fields_of_a_list_are_named(town: Town, fields) -> None:
    with pytest.raises(InvalidInput) as refused:
        await town.listed(user_id="D", **fields)
    assert fields_of(refused.value) == list(fields)


@pytest_twisted.ensureDeferred
async def test_pages_neither_skip_nor_repeat_while_topics_arrive(town: Town) -> None:
    for n in range(7):
        await town.open(f"s{n}")
        await town.start(f"s{n}", f"t{n}")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await town.listed(user_id="D", size=2, **cursor)
        seen += ids(page)
        await town.end(f"s{len(seen) % 7}")  # what moves in its state keeps its place
        await town.start(f"s{len(seen) % 7}", f"new{len(seen)}")
        if page.next is None:
            break
        cursor = {"cursor": page.next}
    assert seen == [f"t{n}" for n in reversed(range(7))]


@pytest_twisted.ensureDeferred
async def test_a_page_ends_early_at_one_mib(town: Town) -> None:
    for n in range(40):
        await town.open(f"s{n}")
        await town.start(f"s{n}", f"t{n}", messages=[{"type": 1, "content": "医" * 20000}])
        town.clock.time += 100
    page = await town.listed(user_id="D", size=200)
    assert 10 < len(page.items) < 20 and page.next is not None
    rest = await town.listed(user_id="D", size=200, cursor=page.next)
    assert ids(rest)[0] == f"t{39 - len(page.items)}"


# ---- health


@pytest_twisted.ensureDeferred
async def test_health_topics_are_of_type_13_only(town: Town) -> None:
    await four_states(town, "a", 9)
    await four_states(town, "b", 13)
    found = ids(await town.health(doctor("D")))
    assert set(found) == {f"b-{state}" for state in STATES}
    assert ids(await town.health(user_id="D", state="ongoing")) == ["b-ongoing"]
    assert ids(await town.health(session_id="a")) == []
    assert ids(await town.health(user_id="D", type="9")) == []
    assert len(ids(await town.health(user_id="D", type="9,13"))) == 4


@pytest_twisted.ensureDeferred
async def test_health_team_topics_count_all_of_each_team_that_has_any(town: Town) -> None:
    await four_states(town, "a", 13, "T1")
    await four_states(town, "b", 13, "T2")
    await four_states(town, "c", 9, "T3")
    asked = {"team_code": "T2,T3,T1,T4,T1"}
    answer = await town.teams(**asked)
    assert [(t.team_code, t.count, len(t.items)) for t in answer.teams] == [
        ("T2", 4, 4), ("T1", 4, 4),
    ]  # fmt: skip
    assert answer.next is None
    first = await town.teams(user_id="D", size=3, **asked)
    assert [(t.team_code, t.count) for t in first.teams] == [("T2", 4), ("T1", 4)]
    shown = [t.id for team in first.teams for t in team.items]
    rest = await town.teams(user_id="D", size=200, cursor=first.next, **asked)
    shown += [t.id for team in rest.teams for t in team.items]
    assert sorted(shown) == sorted(f"{s}-{state}" for s in "ab" for state in STATES)
    some = await town.teams(state="expired", **asked)
    assert [(t.team_code, t.count) for t in some.teams] == [("T2", 1), ("T1", 1)]
    window = await town.teams(end=1, **asked)
    assert window.teams == []
    with pytest.raises(InvalidInput) as refused:
        await town.teams()
    assert fields_of(refused.value) == ["team_code"]


# ---- by type


@pytest_twisted.ensureDeferred
async def test_list_by_type_needs_a_state(town: Town) -> None:
    for fields in ({}, {"state": "old"}):
        with pytest.raises(InvalidInput) as refused:
            await town.by_type(doctor("D"), **fields)
        assert fields_of(refused.value) == ["state"]
    with pytest.raises(InvalidInput) as refused:
        await town.by_type(state="replied")
    assert fields_of(refused.value) == ["user_id"]
    with pytest.raises(ForbiddenUser):
        await town.by_type(doctor("D"), state="replied", user_id="P")


@pytest_twisted.ensureDeferred
async def test_lists_and_counts_by_type_agree(town: Town) -> None:
    await four_states(town, "a", 9)
    await four_states(town, "b", 13)
    for state in STATES:
        assert set(ids(await town.by_type(user_id="D", state=state))) == {
            f"a-{state}", f"b-{state}",
        }  # fmt: skip
        assert ids(await town.by_type(user_id="D", state=state, type=[9])) == [f"a-{state}"]
        counts = await town.counts(user_id="D", state=state)
        assert (counts.count, counts.unreplied, counts.expired) == (2, 2, 2)
    counts = await town.counts(patient("P"))
    assert (counts.count, counts.unreplied, counts.ongoing, counts.replied, counts.expired) == (
        8, 2, 2, 2, 2,
    )  # fmt: skip
    assert (await town.counts(user_id="D", type="9,8")).count == 4
    assert (await town.counts(user_id="X")).count == 0
    with pytest.raises(InvalidInput):
        await town.counts()


# ---- statistics


@pytest_twisted.ensureDeferred
async def test_expired_stay_out_of_total_and_rate(town: Town) -> None:
    await four_states(town)
    got = await town.replies(user_id="D")
    assert (got.total, got.unreplied, got.ongoing, got.replied, got.expired) == (3, 1, 1, 1, 1)
    assert got.reply_rate == pytest.approx(2 / 3)
    waits = [t.reply_time - t.create_time for t in (await town.listed(user_id="D", reply=1)).items]
    assert got.median_reply_ms == sum(waits) / 2 > 90
    assert await town.replies(team_code="T1") == await town.replies() == got
    assert (await town.replies(type="13")).total == 0


@pytest_twisted.ensureDeferred
async def test_statistics_of_nothing_are_zeros_and_nulls(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    await town.end("s")
    for fields in ({"team_code": "T9"}, {"user_id": "X"}, {"user_id": "D"}, {"end": 1}):
        got = await town.replies(SERVICE, **fields)
        assert (got.total, got.reply_rate, got.median_reply_ms) == (0, None, None), fields


@pytest_twisted.ensureDeferred
async def test_the_median_is_of_reply_time_less_create_time(town: Town) -> None:
    for number, wait in enumerate((50, 10, 400, 20)):
        await town.open(f"s{number}")
        topic = (await town.start(f"s{number}", f"t{number}")).topic
        town.clock.time = topic.create_time + wait
        await town.send(f"s{number}", "D")
        expected = {1: 50.0, 2: 30.0, 3: 50.0, 4: 35.0}[number + 1]
        for fields in ({"user_id": "D"}, {}, {"user_id": "D", "start": 1}):
            assert (await town.replies(**fields)).median_reply_ms == expected
    await town.update("t0", reply=0)
    await town.update("t0", reply=1)  # answered, nobody knows when
    got = await town.replies(user_id="D")
    assert (got.ongoing, got.median_reply_ms) == (4, 20.0)
