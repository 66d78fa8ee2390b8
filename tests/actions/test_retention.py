"""Retention beside a running store: what goes, what stays, and that all that is left is right."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted

from imd.actions.live import Entry, Joined, join
from imd.domain.errors import MessageNotFound, SessionNotFound, TopicNotFound
from imd.domain.ids import UserId
from imd.domain.retention import YEAR, Hold, HoldKind, RecordClass, Terms
from imd.service.retaining import Found, Pace, Refused, apply, plan
from imd.storage.retention import Retainer, Unknown, open_retention
from imd.storage.store import sync_transaction
from tests.actions.household import SERVICE, patient
from tests.actions.test_topic_history import check_kept
from tests.actions.topic_world import Town, check_intervals
from tests.storage.ground import NOW

#: type 9 is a process record, 13 a medical one, all others are kept for ever
TERMS = Terms(
    {RecordClass.PROCESS: 3, RecordClass.MEDICAL: 15},
    {9: RecordClass.PROCESS, 13: RecordClass.MEDICAL},
)
OLD, DAY = NOW - 4 * YEAR, 86_400_000


class Killed(Exception):
    """The run ends here."""


@contextmanager
def opened(town: Town) -> Iterator[Retainer]:
    with open_retention(town.ground.url, lambda seconds: None) as retainer:
        yield retainer


def planned(town: Town, limit: int = 1000) -> Found:
    with opened(town) as retainer:
        return plan(retainer, TERMS, NOW, limit)


def applied(town: Town, most: int = 1000, pause: Any = lambda seconds: None) -> dict[str, Any]:
    """The figures of a run; they are what was planned."""
    wanted = planned(town).counts()
    with opened(town) as retainer:
        done = apply(retainer, TERMS, NOW, Pace(most, lambda: 0.0, pause)).counts()
    assert done == wanted
    return done


def held(town: Town, kind: HoldKind, id_: str) -> None:
    with opened(town) as retainer:
        assert retainer.do(lambda store: store.hold(Hold(kind, id_, "a case", NOW))) is None


async def seqs(town: Town, session_id: str = "s") -> list[int]:
    return [row[0] for row in await town.ground.rows(
        "SELECT seq FROM messages WHERE session_id = %s ORDER BY seq", session_id
    )]  # fmt: skip


async def audit(town: Town, pattern: str = "retention.%") -> list[tuple[str, str, Any]]:
    rows = await town.ground.rows(
        "SELECT action, object, detail FROM audit WHERE action LIKE %s ORDER BY seq", pattern
    )
    return [(row[0], row[1], json.loads(row[2])) for row in rows]


async def check_counts(town: Town, session_id: str = "s") -> None:
    """I5: counters say what a recount of the rows says; seqs have no hole."""
    for counted, recounted in (await town.ground.recount(session_id)).values():
        assert counted == recounted
    there = await seqs(town, session_id)
    assert there == list(range(there[0], there[-1] + 1)) if there else True


async def entered(town: Town, after_seq: int | None, session_id: str = "s") -> Joined:
    caller = patient("P")
    epoch = town.house.db.epoch
    (found,) = await join(town.house, [Entry(caller, UserId("P"), session_id, after_seq, epoch)])
    assert isinstance(found, Joined)
    return found


async def talk(town: Town, number: int, session_id: str = "s", by: str = "D") -> None:
    for _ in range(number):
        await town.send(session_id, by)


async def half_old(town: Town, type_: int = 9) -> None:
    """Five messages of four years ago, three of now."""
    town.clock.time = OLD
    await town.open("s", type_=type_)
    await talk(town, 5)
    town.clock.time = NOW
    await talk(town, 3)


# ---- what goes


@pytest_twisted.ensureDeferred
async def test_by_default_everything_is_kept_for_ever(town: Town) -> None:
    await half_old(town)
    with opened(town) as retainer:
        nothing = Terms(TERMS.years, {})
        assert not plan(retainer, nothing, NOW + 90 * YEAR, 9).anything
    await half_old_of_type(town, 1)
    assert {item.session_id for item in planned(town).items} == {"s"}


async def half_old_of_type(town: Town, type_: int) -> None:
    town.clock.time = OLD
    await town.open("other", type_=type_)
    await talk(town, 2, "other")
    town.clock.time = NOW


@pytest_twisted.ensureDeferred
async def test_a_plan_deletes_nothing_and_names_what_goes(town: Town) -> None:
    await half_old(town)
    found = planned(town).value()
    process = found["classes"]["process"]
    assert process == {
        "years": 3, "types": [9], "before": NOW - 3 * YEAR,
        "sessions": 1, "sessions_deleted": 0, "topics": 0, "messages": 5,
    }  # fmt: skip
    assert found["classes"]["medical"]["messages"] == 0
    assert found["items"] == [
        {"session_id": "s", "type": 9, "class": "process", "first_seq": 1, "last_seq": 5,
         "messages": 5, "topics": 0, "deleted": False}
    ]  # fmt: skip
    assert await seqs(town) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await audit(town) == []


@pytest_twisted.ensureDeferred
async def test_a_medical_record_outlives_a_process_record(town: Town) -> None:
    await half_old(town, type_=13)
    assert applied(town) == {}
    assert await seqs(town) == list(range(1, 9))


@pytest_twisted.ensureDeferred
async def test_a_session_that_keeps_newer_messages_keeps_its_seqs(town: Town) -> None:
    await half_old(town)
    assert applied(town)["process"]["messages"] == 5
    assert await seqs(town) == [6, 7, 8]
    assert (await town.send("s", "D")).seq == 9
    session = await town.session("s")
    assert session.last_message is not None
    assert (session.last_seq, session.last_message.seq) == (9, 9)
    await check_counts(town)


@pytest_twisted.ensureDeferred
async def test_a_second_run_does_nothing_and_leaves_no_note(town: Town) -> None:
    await half_old(town)
    applied(town)
    notes = await audit(town)
    assert applied(town) == {}
    assert await audit(town) == notes


@pytest_twisted.ensureDeferred
async def test_each_deletion_is_noted_with_counts_and_seqs(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await town.start("s", "t")
    await town.end("s", "t")
    town.clock.time = NOW
    await talk(town, 1)
    applied(town)
    assert await audit(town) == [
        ("retention.cut", "s",
         {"type": 9, "messages": 2, "first_seq": 1, "last_seq": 2, "topics": ["t"]}),
        ("retention.applied", "retention",
         {"process": {"sessions": 1, "sessions_deleted": 0, "topics": 1, "messages": 2}}),
    ]  # fmt: skip
    assert (await town.ground.store.database.read(lambda tx: tx.audit.verify()))[1] is None


# ---- medical records: their time runs from the patient's last visit


ANCIENT = NOW - 16 * YEAR


async def ancient(town: Town, *members: str) -> None:
    """A medical record of sixteen years ago."""
    town.clock.time = ANCIENT
    await town.open("s", *members, type_=13)
    await town.start("s", "t", by=(members or ("P",))[0].partition(":")[0])
    await town.end("s", "t")
    town.clock.time = NOW


@pytest_twisted.ensureDeferred
async def test_a_medical_record_goes_when_the_last_visit_is_old_enough(town: Town) -> None:
    await ancient(town)
    assert applied(town)["medical"]["messages"] == 2


@pytest.mark.parametrize("where", ["here", "elsewhere", "a consult alone"])
@pytest_twisted.ensureDeferred
async def test_a_later_visit_keeps_the_whole_medical_record(town: Town, where: str) -> None:
    await ancient(town)
    town.clock.time = NOW - 14 * YEAR
    if where == "here":
        await town.send("s", "D")
    else:
        await town.open("other", "P:patient", "E:doctor", type_=1)
    if where == "elsewhere":
        await town.send("other", "E")
    if where == "a consult alone":

        def by_hand(tx: Any) -> None:
            tx.connection.run(
                "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
                " VALUES ('new', 'other', 1, 10, %s, 'P')", (town.clock.time,)
            )  # fmt: skip

        await town.house.db.write(by_hand)
    town.clock.time = NOW
    assert applied(town) == {}
    assert (await seqs(town))[:2] == [1, 2]
    await town.topic("t")


@pytest.mark.parametrize("said", ["a consult", "a message", "and a later member"])
@pytest_twisted.ensureDeferred
async def test_a_visit_is_remembered_though_its_own_record_is_gone(town: Town, said: str) -> None:
    """A visit of five years ago, in what is kept for three, still keeps the medical record."""
    await ancient(town)
    town.clock.time = NOW - 5 * YEAR
    await town.open("visit", "P:patient", "D:doctor", type_=9)
    if said == "a consult":
        await town.start("visit", "u")
        await town.end("visit", "u")
    else:
        await town.send("visit", "D")
    town.clock.time = NOW
    if said == "and a later member":
        await town.open("visit", "P:patient", "D:doctor", "F:doctor", type_=9)
    assert "medical" not in applied(town)
    assert await seqs(town, "visit") == []
    assert "medical" not in applied(town)
    assert await seqs(town) == [1, 2]


@pytest_twisted.ensureDeferred
async def test_the_doctor_who_goes_on_working_keeps_no_record(town: Town) -> None:
    await ancient(town)
    await town.open("other", "Q:patient", "D:doctor", type_=1)
    await town.send("other", "D")
    assert applied(town)["medical"]["messages"] == 2


@pytest_twisted.ensureDeferred
async def test_a_patient_is_known_by_the_directory_too(town: Town) -> None:
    await town.person("X", "patient")
    await ancient(town, "X", "D:doctor")
    await town.open("other", "X", "D:doctor", type_=1)
    await town.send("other", "D")
    assert applied(town) == {}


# ---- consults


@pytest_twisted.ensureDeferred
async def test_nothing_of_a_live_topic_is_deleted(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await talk(town, 2)
    await town.start("s", "t")
    await talk(town, 3)
    applied(town)
    assert await seqs(town) == [3, 4, 5, 6]
    assert (await town.topic("t")).status == 0
    await check_intervals(town, "s")
    assert applied(town) == {}


@pytest_twisted.ensureDeferred
async def test_a_consult_is_kept_from_its_end_on(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await town.start("s", "first")
    await town.end("s", "first")
    await town.start("s", "second")
    town.clock.time = NOW - 2 * YEAR
    await town.end("s", "second")
    assert applied(town)["process"] == {
        "sessions": 1, "sessions_deleted": 0, "topics": 1, "messages": 2,
    }  # fmt: skip
    assert await seqs(town) == [3, 4]
    with pytest.raises(TopicNotFound):
        await town.topic("first")
    assert (await town.topic("second")).start_seq == 3
    await check_intervals(town, "s")
    await check_kept(town)


@pytest_twisted.ensureDeferred
async def test_a_topic_that_an_operator_made_by_hand_protects_its_messages(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await talk(town, 2)

    def by_hand(tx: Any) -> None:
        tx.connection.run(
            "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
            " VALUES ('t', 's', 9, 0, %s, 'P')", (OLD,)
        )  # fmt: skip
        tx.sessions.set_topic("s", "t", 1)

    await town.house.db.write(by_hand)
    await talk(town, 2)
    applied(town)
    assert await seqs(town) == [3, 4]


# ---- what is left is right


@pytest_twisted.ensureDeferred
async def test_what_nobody_had_read_counts_no_more(town: Town) -> None:
    await half_old(town)
    assert (await town.ground.recount("s"))["P"] == (8, 8)
    applied(town)
    assert (await town.ground.recount("s"))["P"] == (3, 3)
    badge = await town.home.badge(SERVICE, user_id="P")
    assert badge.badge_no == 3
    read = await town.home.read(SERVICE, session_id="s", user_id="P", seq=2)
    assert (read.read_seq, read.unread) == (5, 3)
    unread = await town.home.unread_list(SERVICE, session_id="s", user_id="P", peek=True)
    assert [message.seq for message in unread.items] == [6, 7, 8]


@pytest_twisted.ensureDeferred
async def test_a_last_message_that_went_is_shown_no_more(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await talk(town, 3)
    town.clock.time = NOW
    await town.home.read(SERVICE, session_id="s", user_id="P")
    applied(town)
    session = await town.session("s")
    assert (session.last_seq, session.last_message, session.last_message_time) == (3, None, None)
    listed = await town.home.sessions(SERVICE, user_id="P")
    assert [(one.id, one.unread) for one in listed.items] == [("s", 0)]
    recent = await town.home.recent(SERVICE, user_id="P")
    assert recent.items == []
    assert (await town.send("s", "D")).seq == 4
    await check_counts(town)


@pytest_twisted.ensureDeferred
async def test_a_recalled_original_goes_with_its_message(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    for _ in range(2):
        message = await town.send("s", "D", "secret")
        await town.home.recall(SERVICE, session_id="s", message_id=message.id)
        town.clock.time = NOW
    applied(town)
    assert await town.ground.rows("SELECT message_id FROM recalls") == [(message.id,)]


@pytest_twisted.ensureDeferred
async def test_what_webhooks_were_never_told_goes_too(town: Town) -> None:
    """Of an endpoint that is configured no more, say: its events hold what the messages said."""
    await half_old(town)

    def note(tx: Any) -> None:
        for time in (OLD, NOW - 3 * YEAR, NOW):
            tx.connection.run(
                "INSERT INTO webhook_outbox (endpoint, key, id, type, time, data, due)"
                " VALUES ('e', 's', 'i', 'message.created', %s, 'what was said', %s)",
                (time, time),
            )

    await town.house.db.write(note)
    planned(town)
    assert await town.count("webhook_outbox") == 3
    applied(town, most=1)
    rows = await town.ground.rows("SELECT time FROM webhook_outbox ORDER BY time")
    assert [row[0] for row in rows] == [NOW - 3 * YEAR, NOW]


@pytest_twisted.ensureDeferred
async def test_an_own_message_beyond_ones_mark_still_counts_right(town: Town) -> None:
    """Moving over leaves such marks."""
    await half_old(town)

    def mark(tx: Any) -> None:
        tx.connection.run(
            "UPDATE participants SET read_seq = 2, read_counted = 2 + 6, own_beyond = 8"
            " WHERE participant_id = 'D'"
        )

    await town.house.db.write(mark)
    assert (await town.ground.recount("s"))["D"] == (0, 0)
    applied(town)
    assert (await town.ground.recount("s"))["D"] == (0, 0)


@pytest_twisted.ensureDeferred
async def test_history_ends_where_the_log_begins(town: Town) -> None:
    await half_old(town)
    gone = (await town.ground.log("s"))[2].id
    first = await town.home.list(SERVICE, session_id="s", size=2)
    applied(town)
    rest = await town.home.list(SERVICE, session_id="s", size=2, cursor=first.next)
    assert ([message.seq for message in rest.items], rest.next) == ([6], None)
    older = await town.home.list(SERVICE, session_id="s", before=4)
    assert (older.items, older.next) == ([], None)
    newer = await town.home.list(SERVICE, session_id="s", after=1)
    assert [message.seq for message in newer.items] == [6, 7, 8]
    with pytest.raises(MessageNotFound):
        await town.home.list(SERVICE, session_id="s", after=gone)


@pytest_twisted.ensureDeferred
async def test_recovery_from_before_the_cut_is_a_reload(town: Town) -> None:
    """Page 3.2: recovered is true only with every message after ``after_seq``."""
    await half_old(town)
    assert (await entered(town, 2)).recovered
    applied(town)
    for after_seq, recovered in ((0, False), (4, False), (5, True), (6, True), (8, True)):
        found = await entered(town, after_seq)
        assert found.recovered is recovered, after_seq
        shown = [message.seq for message in found.messages]
        assert shown == list(range(max(after_seq, 5) + 1, 9)), after_seq


@pytest_twisted.ensureDeferred
async def test_recovery_into_an_empty_log_goes_on_behind_its_end(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await talk(town, 3)
    town.clock.time = NOW
    await town.home.read(SERVICE, session_id="s", user_id="P")
    applied(town)
    found = await entered(town, 1)
    assert (found.messages, found.recovered, found.last_seq) == ([], False, 3)
    assert found.session.last_seq == 3
    assert (await entered(town, 3)).recovered


# ---- whole sessions


async def all_old(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await town.start("s", "t")
    await talk(town, 2)
    await town.end("s", "t")
    town.clock.time = NOW


@pytest_twisted.ensureDeferred
async def test_a_session_of_which_nothing_is_left_goes_itself(town: Town) -> None:
    await all_old(town)
    assert applied(town)["process"] == {
        "sessions": 1, "sessions_deleted": 1, "topics": 1, "messages": 4,
    }  # fmt: skip
    for table in ("sessions", "participants", "topics", "messages", "participant_topics",
                  "topic_tallies", "outbox"):  # fmt: skip
        assert await town.count(table) == 0, table
    with pytest.raises(SessionNotFound):
        await town.session("s")
    assert [note[:2] for note in await audit(town)] == [
        ("retention.cut", "s"), ("retention.session_deleted", "s"),
        ("retention.applied", "retention"),
    ]  # fmt: skip
    assert applied(town) == {}


@pytest_twisted.ensureDeferred
async def test_a_session_in_which_somebody_did_something_lately_stays(town: Town) -> None:
    await all_old(town)
    await town.home.read(SERVICE, session_id="s", user_id="P")
    assert applied(town)["process"]["sessions_deleted"] == 0
    assert await seqs(town) == []
    assert (await town.session("s")).id == "s"
    assert applied(town) == {}


@pytest_twisted.ensureDeferred
async def test_an_empty_session_goes_when_it_is_old(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    town.clock.time = NOW
    await town.open("young")
    assert applied(town)["process"] == {
        "sessions": 1, "sessions_deleted": 1, "topics": 0, "messages": 0,
    }  # fmt: skip
    assert [row[0] for row in await town.ground.rows("SELECT id FROM sessions")] == ["young"]


@pytest_twisted.ensureDeferred
async def test_a_session_made_again_goes_on_with_its_numbers(town: Town) -> None:
    """So a client that still knows a seq of the former one sees neither a hole nor a repeat."""
    await all_old(town)
    ((roster,),) = await town.ground.rows("SELECT roster FROM sessions")
    applied(town)
    await town.open("s", "P:patient", "N:doctor")
    session = await town.session("s")
    assert (session.last_seq, session.last_message, session.status) == (4, None, 0)
    ((again,),) = await town.ground.rows("SELECT roster FROM sessions")
    assert again > roster
    assert (await town.send("s", "N")).seq == 5
    await town.start("s", "t2")
    await check_intervals(town, "s")
    await check_counts(town)
    assert (await town.ground.recount("s"))["P"][0] == 0
    assert [m.seq for m in (await entered(town, 4)).messages] == [5, 6]
    assert not (await entered(town, 2)).recovered


@pytest_twisted.ensureDeferred
async def test_a_topic_may_make_a_deleted_session_again(town: Town) -> None:
    await all_old(town)
    applied(town)
    started = await town.start_in("t2", session_id="s", session_type=9, session_name="n",
                                  participants=["P:patient", "D:doctor"])  # fmt: skip
    assert started.topic.start_seq == 5
    await check_intervals(town, "s")
    await check_kept(town)


# ---- holds


@pytest_twisted.ensureDeferred
async def test_a_held_session_is_never_deleted(town: Town) -> None:
    await all_old(town)
    held(town, HoldKind.SESSION, "s")
    assert planned(town).held == 1
    assert applied(town) == {}
    assert await seqs(town) == [1, 2, 3, 4]
    with opened(town) as retainer:
        assert retainer.do(lambda store: store.lift(HoldKind.SESSION, "s", "closed", NOW))
        assert not retainer.do(lambda store: store.lift(HoldKind.SESSION, "s", "closed", NOW))
        assert retainer.look(lambda store: store.holds()) == []
    assert applied(town)["process"]["messages"] == 4
    assert [note for note in await audit(town) if note[0] != "retention.cut"][:2] == [
        ("retention.held", "s", {"kind": "session", "reason": "a case"}),
        ("retention.lifted", "s", {"kind": "session", "reason": "closed"}),
    ]


@pytest_twisted.ensureDeferred
async def test_a_hold_on_what_a_run_has_just_deleted_is_no_hold(town: Town) -> None:
    """Whoever holds must not believe that something is kept which went a moment before."""
    await all_old(town)
    applied(town)
    with pytest.raises(Unknown):
        held(town, HoldKind.SESSION, "s")
    with opened(town) as retainer:
        assert retainer.look(lambda store: store.holds()) == []


@pytest.mark.parametrize("role", ["member", "former speaker", "former starter"])
@pytest_twisted.ensureDeferred
async def test_a_held_user_keeps_every_session_that_is_the_users(town: Town, role: str) -> None:
    town.clock.time = OLD
    await town.open("s", "P:patient", "D:doctor", "X:doctor")
    await talk(town, 2)
    if role == "former speaker":
        await town.send("s", "X")
    if role == "former starter":
        await town.start("s", "t", by="X")
        await town.end("s", "t")
        await town.ground.store.database.write(
            lambda tx: tx.connection.run("UPDATE messages SET sender_id = 'D'")
        )
    if role != "member":
        await town.home.remove(SERVICE, session_id="s", participant_ids="X")
    await town.open("other")
    await talk(town, 2, "other")
    await town.person("X", "doctor")
    town.clock.time = NOW
    held(town, HoldKind.USER, "X")
    assert applied(town)["process"]["sessions"] == 1
    assert await seqs(town, "other") == []
    assert (await seqs(town))[0] == 1


@pytest_twisted.ensureDeferred
async def test_a_hold_that_comes_while_a_run_is_under_way_holds(town: Town) -> None:
    town.clock.time = OLD
    for number in range(3):
        await town.open(f"s{number}")
        await talk(town, 6, f"s{number}")
    town.clock.time = NOW
    rests: list[float] = []

    def pause(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 1:
            held(town, HoldKind.SESSION, "s0")
            held(town, HoldKind.SESSION, "s2")

    with opened(town) as retainer:
        found = apply(retainer, TERMS, NOW, Pace(2, lambda: 0.0, pause))
    assert found.held == 1
    assert await seqs(town, "s0") == [3, 4, 5, 6]
    assert await seqs(town, "s1") == []
    assert await seqs(town, "s2") == [1, 2, 3, 4, 5, 6]
    await check_counts(town, "s0")


# ---- runs


@pytest_twisted.ensureDeferred
async def test_a_run_is_made_of_small_transactions_with_a_rest_after_each(town: Town) -> None:
    town.clock.time = OLD
    await town.open("s")
    await talk(town, 25)
    town.clock.time = NOW
    rests: list[float] = []
    applied(town, most=10, pause=rests.append)
    assert [note[2]["messages"] for note in (await audit(town))[:3]] == [10, 10, 5]
    assert len(rests) == 3
    assert min(rests) > 0


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest_twisted.ensureDeferred
async def test_a_run_that_was_stopped_goes_on(town: Town, after: int) -> None:
    town.clock.time = OLD
    for name in ("a", "b"):
        await town.open(name)
        for number in range(2):
            await town.start(name, f"{name}{number}")
            await talk(town, 2, name)
            await town.end(name, f"{name}{number}")
    town.clock.time = NOW
    wanted = planned(town).counts()["process"]
    rests: list[float] = []

    def kill(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == after:
            raise Killed

    with opened(town) as retainer, pytest.raises(Killed):
        apply(retainer, TERMS, NOW, Pace(4, lambda: 0.0, kill))
    for name in ("a", "b"):
        if await town.ground.rows("SELECT 1 FROM sessions WHERE id = %s", name):
            await check_counts(town, name)
            await check_intervals(town, name)
    await check_kept(town)
    applied(town, most=4)
    cut = [note[2] for note in await audit(town, "retention.cut")]
    assert sum(note["messages"] for note in cut) == wanted["messages"]
    assert sorted(t for note in cut for t in note["topics"]) == ["a0", "a1", "b0", "b1"]


@pytest_twisted.ensureDeferred
async def test_nothing_is_deleted_while_moving_over_is_not_at_its_end(town: Town) -> None:
    await half_old(town)

    def run(tx: Any) -> None:
        sql = "INSERT INTO legacy_runs (source, running, report) VALUES ('im', 1, '')"
        tx.connection.run(sql)

    await town.house.db.write(run)
    with pytest.raises(Refused, match="import-legacy"):
        applied(town)
    assert await seqs(town) == list(range(1, 9))


@pytest_twisted.ensureDeferred
async def test_a_run_stops_where_moving_over_begins_meanwhile(town: Town) -> None:
    """It stores a session in several parts: the first alone may look old enough to go."""
    await half_old(town)

    def begin(seconds: float) -> None:
        with sync_transaction(town.ground.url) as tx:
            sql = "INSERT INTO legacy_runs (source, running, report) VALUES ('im', 1, '')"
            tx.connection.run(sql)

    with opened(town) as retainer, pytest.raises(Refused, match="import-legacy"):
        apply(retainer, TERMS, NOW, Pace(2, lambda: 0.0, begin))
    assert await seqs(town) == list(range(3, 9))


@pytest.mark.parametrize("seed", range(4))
@pytest_twisted.ensureDeferred
async def test_whatever_there_was_all_that_is_left_is_right(town: Town, seed: int) -> None:
    chance = random.Random(seed)
    times = sorted(chance.randrange(OLD, NOW) for _ in range(100))
    topics = 0
    live: dict[str, str] = {}
    names = [f"s{number}" for number in range(5)]
    town.clock.time = OLD
    for name in names:
        await town.open(name, type_=chance.choice((9, 9, 13, 1)))
    for time in times:
        town.clock.time, name = time, chance.choice(names)
        dice = chance.randrange(10)
        if dice == 0 and name not in live:
            live[name] = f"t{topics}"
            await town.start(name, live[name])
            topics += 1
        elif dice == 1 and name in live:
            await town.end(name, live.pop(name))
        elif dice == 2:
            await town.home.read(SERVICE, session_id=name, user_id="P")
        else:
            await town.send(name, chance.choice("PD"))
    town.clock.time = NOW
    before = {name: await town.ground.log(name) for name in names}
    applied(town, most=chance.choice((1, 3, 1000)))
    left = {row[0]: row[1] for row in await town.ground.rows("SELECT id, type FROM sessions")}
    for name in names:
        log = await town.ground.log(name)
        gone = before[name][: len(before[name]) - len(log)]
        assert before[name][len(gone) :] == log
        assert all(message.timestamp < NOW - 3 * YEAR for message in gone)
        assert not gone or left.get(name, 9) == 9
        if left.get(name) == 9 and log and log[0].topic_id is None:
            assert log[0].timestamp >= NOW - 3 * YEAR
        if name in left:
            await check_counts(town, name)
            await check_intervals(town, name)
        assert name not in live or [m.seq for m in log if m.topic_id == live[name]]
    await check_kept(town)
