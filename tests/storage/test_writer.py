"""Page 4.2: the grouping writer, on both databases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from imd.actions.ports import Posted
from imd.domain.errors import (
    IdempotencyConflict,
    NotAMember,
    SessionNotFound,
    TopicEnded,
    TopicNotFound,
    Unavailable,
)
from imd.domain.message import Card
from imd.storage import writer as writer_module
from imd.storage.transaction import Transaction
from tests.storage.ground import Ground, HandClock, check_order, outcomes, together, until

HOUR = 3_600_000


@pytest.fixture
def failures() -> Iterator[list[LogEvent]]:
    """What was logged with a traceback."""
    events: list[LogEvent] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


@pytest_twisted.ensureDeferred
async def test_a_thousand_concurrent_sends_keep_their_order(ground: Ground) -> None:
    sessions = [f"s{n}" for n in range(7)]
    for session in sessions:
        await ground.session(session, "A:doctor", "B", "C")
    plan = [(sessions[n % 7], "ABC"[n % 3], f"{n}") for n in range(1000)]
    posted = await together([ground.send(*send) for send in plan])
    assert [p.message.content for p in posted] == [content for _, _, content in plan]
    assert not any(p.replayed for p in posted)
    for session in sessions:
        log = await ground.log(session)
        check_order(log)
        # One caller's sends stand in the order in which they were made.
        assert [(m.sender_id, m.content) for m in log] == [p[1:] for p in plan if p[0] == session]
        assert all(a == b for a, b in (await ground.recount(session)).values())
    # Each is announced once, and in the order of its session.
    announced = [(c.message.session_id, c.message.seq) for c in ground.commits]
    assert len(set(announced)) == len(announced) == 1000
    for session in sessions:
        seqs = [seq for where, seq in announced if where == session]
        assert seqs == sorted(seqs)


@pytest_twisted.ensureDeferred
async def test_a_bad_send_fails_alone(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await ground.session("t", "A")
    await ground.topic("t1", "s", "B")
    await ground.end_topic("t1", "s")
    await ground.topic("t2", "s", "B")
    await ground.send("s", "A", "first", client_msg_id="k")
    bad = {
        3: (ground.draft("s", "Z"), SessionNotFound),
        7: (ground.draft("s", "Z", member="named"), NotAMember),
        11: (ground.draft("nowhere", "A"), SessionNotFound),
        15: (ground.draft("s", "A", "other", client_msg_id="k"), IdempotencyConflict),
        19: (ground.draft("s", "A", "first", client_msg_id="k", type=2), IdempotencyConflict),
        23: (ground.draft("s", "A", Card("first"), client_msg_id="k"), IdempotencyConflict),
        27: (ground.draft("s", "A", topic_id="t1"), TopicEnded),
        31: (ground.draft("s", "A", topic_id="unknown"), TopicNotFound),
        35: (ground.draft("t", "A", topic_id="t2"), TopicNotFound),
        39: (ground.draft("t", "B"), SessionNotFound),
    }
    drafts = [bad[n][0] if n in bad else ground.draft("s", "AB"[n % 2], f"{n}") for n in range(50)]
    found = await outcomes([ground.store.writer.post(draft) for draft in drafts])
    for n, outcome in enumerate(found):
        if n in bad:
            assert type(outcome) is bad[n][1], n
        else:
            assert outcome.message.content == f"{n}"
            assert outcome.message.topic_id == "t2"
    log = await ground.log("s")
    check_order(log)
    assert len(log) == 3 + 50 - len(bad)
    assert await ground.log("t") == []


@pytest_twisted.ensureDeferred
async def test_a_send_that_the_database_refuses_fails_alone(ground: Ground) -> None:
    """What no check foresaw: here an id that is in use."""
    await ground.session("s", "A", "B")
    taken = ground.draft("s", "A", "first")
    await ground.store.writer.post(taken)
    drafts = [ground.draft("s", "B", f"{n}") for n in range(20)]
    drafts.insert(10, taken)
    found = await outcomes([ground.store.writer.post(draft) for draft in drafts])
    assert type(found[10]) is Unavailable
    assert [p.message.content for p in found if isinstance(p, Posted)] == [
        f"{n}" for n in range(20)
    ]
    check_order(await ground.log("s"))


@pytest_twisted.ensureDeferred
async def test_one_key_a_hundred_times_at_once_is_one_message(
    ground: Ground, failures: list[LogEvent]
) -> None:
    await ground.session("s", "A", "B")
    ahead = ground.send("s", "B", "ahead")  # the others gather behind it, in one batch
    found = await together([ground.send("s", "A", "x", client_msg_id="k") for _ in range(100)])
    await ahead
    assert failures == []  # the batch knew it without the database's refusal
    assert len({posted.message for posted in found}) == 1
    assert Counter(posted.replayed for posted in found) == {False: 1, True: 99}
    assert len(await ground.log("s")) == 2
    again = await ground.send("s", "A", "x", client_msg_id="k")
    assert again == (found[0].message, True)
    # The key belongs to its sender and its session.
    await ground.session("t", "A")
    others = [("s", "B"), ("t", "A")]
    assert not any([(await ground.send(*o, "y", client_msg_id="k")).replayed for o in others])


@pytest_twisted.ensureDeferred
async def test_a_key_used_for_two_contents_at_once_keeps_the_first(ground: Ground) -> None:
    await ground.session("s", "A")
    ahead = ground.send("s", "A", "ahead")
    found = await outcomes(
        [ground.send("s", "A", content, client_msg_id="k") for content in ("x", "y", "x")]
    )
    await ahead
    assert [type(f).__name__ for f in found] == ["Posted", "IdempotencyConflict", "Posted"]
    assert [m.content for m in await ground.log("s")] == ["ahead", "x"]


@pytest_twisted.ensureDeferred
async def test_the_time_rises_though_the_clock_goes_back_an_hour(ground: Ground) -> None:
    await ground.session("s", "A")
    for step in (0, -HOUR, 5, -2 * HOUR, 4 * HOUR, 0):
        ground.clock.time += step
        await together([ground.send("s", "A") for _ in range(3)])
    log = await ground.log("s")
    check_order(log)
    assert log[-6].timestamp == ground.clock.time


@pytest_twisted.ensureDeferred
async def test_a_caller_that_leaves_does_not_stop_the_write(ground: Ground) -> None:
    await ground.session("s", "A")
    sends = [ground.send("s", "A", f"{n}") for n in range(20)]
    for send in sends[::2]:
        send.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    await together(sends[1::2])
    assert all(send.called for send in sends)
    assert [m.content for m in await ground.log("s")] == [f"{n}" for n in range(20)]
    assert len(ground.commits) == 20


@pytest_twisted.ensureDeferred
async def test_the_first_message_of_an_ad_hoc_group_has_the_sessions_id(ground: Ground) -> None:
    await ground.session("m1", "A", "B", type_=4, adhoc=True)
    found = await together([ground.send("m1", "A", f"{n}") for n in range(3)])
    assert [p.message.id == "m1" for p in found] == [True, False, False]
    assert (await ground.send("m1", "B")).message.id != "m1"
    check_order(await ground.log("m1"))


@pytest_twisted.ensureDeferred
async def test_a_send_moves_its_senders_marks_and_nobody_elses(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await together([ground.send("s", "B"), ground.send("s", "B")])
    assert await ground.recount("s") == {"A": (2, 2), "B": (0, 0)}
    await ground.send("s", "A")
    assert await ground.recount("s") == {"A": (0, 0), "B": (1, 1)}
    rows = await ground.rows(
        "SELECT participant_id, read_seq, delivered_seq, last_fetch_time FROM participants"
        " ORDER BY 1"
    )
    stamps = [m.timestamp for m in await ground.log("s")]
    assert rows == [("A", 3, 3, stamps[2]), ("B", 2, 2, stamps[1])]


@pytest_twisted.ensureDeferred
async def test_an_uncounted_message_moves_neither_unread_nor_last_message(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    first = await ground.send("s", "A", "seen")
    await ground.send("s", "A", Card('{"message_id":"m","version":2}'), type=2105, member="none")
    assert await ground.recount("s") == {"A": (0, 0), "B": (1, 1)}
    session = await ground.store.database.read(lambda tx: tx.sessions.view("s"))
    assert session is not None
    assert session.last_message is not None
    assert session.last_message.id == first.message.id
    assert (session.last_seq, session.last_message_time) == (2, first.message.timestamp)


@pytest_twisted.ensureDeferred
async def test_the_first_counted_message_of_a_doctor_answers_the_topic_once(ground: Ground) -> None:
    await ground.session("s", "P:patient", "D:doctor", "E:doctor")
    await ground.topic("t", "s", "P")
    sends = [("P", {}), ("D", {"type": 14}), ("D", {}), ("E", {}), ("D", {})]
    found = await together(
        [ground.send("s", who, f"{n}", **how) for n, (who, how) in enumerate(sends)]
    )
    answered = [c.answered for c in ground.commits if c.answered]
    assert [(t.reply, t.reply_by, t.reply_message_id) for t in answered] == [
        (1, "D", found[2].message.id)
    ]
    topic = await ground.store.database.read(lambda tx: tx.topics.get("t"))
    assert topic is not None
    assert (topic.reply, topic.reply_by, topic.reply_time) == (
        1, "D", found[2].message.timestamp,
    )  # fmt: skip


# ---- marks


@pytest_twisted.ensureDeferred
async def test_marks_only_rise_and_never_pass_the_newest(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await together([ground.send("s", "B", f"{n}") for n in range(5)])
    steps = [
        (2, True, (2, 2, 3, True)),
        (4, False, (2, 4, 3, False)),
        (1, True, (2, 4, 3, False)),
        (3, True, (3, 4, 2, True)),
        (0, True, (3, 4, 2, False)),
        (999, True, (5, 5, 0, True)),
        (None, True, (5, 5, 0, False)),
        (2**62, False, (5, 5, 0, False)),
    ]
    for seq, read, expected in steps:
        assert (await ground.mark("s", "A", seq, read))[2:6] == expected
    assert (await ground.recount("s"))["A"] == (0, 0)
    stamps = [m.timestamp for m in await ground.log("s")]
    fetched = await ground.rows(
        "SELECT last_fetch_time FROM participants WHERE participant_id = 'A'"
    )
    assert fetched == [(stamps[4],)]


@pytest_twisted.ensureDeferred
async def test_marks_of_one_member_in_one_batch_add_up(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await together([ground.send("s", "B", f"{n}") for n in range(5)])
    found = await together([ground.mark("s", "A", seq) for seq in (2, 1, 4, 3)])
    assert [(m.read_seq, m.unread, m.moved) for m in found] == [
        (2, 3, True), (2, 3, False), (4, 1, True), (4, 1, False),
    ]  # fmt: skip
    assert (await ground.recount("s"))["A"] == (1, 1)


@pytest_twisted.ensureDeferred
async def test_a_stranger_has_no_marks(ground: Ground) -> None:
    await ground.session("s", "A")
    found = await outcomes(
        [ground.mark("s", "Z"), ground.mark("nowhere", "A"), ground.mark("s", "A")]
    )
    assert [type(f).__name__ for f in found] == ["SessionNotFound", "SessionNotFound", "Marked"]


@pytest_twisted.ensureDeferred
async def test_a_mark_without_seq_covers_what_was_sent_before_it(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    sends = [ground.send("s", "B", f"{n}") for n in range(3)]
    mark = await ground.mark("s", "A")
    assert (mark.read_seq, mark.unread) == (3, 0)
    await together(sends)


# ---- bounds


@pytest_twisted.ensureDeferred
async def test_the_queue_is_bounded(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 10)
    await ground.session("s", "A")
    found = await outcomes([ground.send("s", "A", f"{n}") for n in range(30)])
    refused = [f for f in found if isinstance(f, Unavailable)]
    # The first one is under way at once, ten wait.
    assert len(refused) == 19
    assert len(await ground.log("s")) == 11


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_stored_in_time_is_unavailable(migrated_url: str) -> None:
    """The other connection holds what the writer needs; the deadline answers."""
    holder = await Ground(migrated_url, HandClock()).open()
    await holder.session("s", "A")
    ground = await Ground(migrated_url, HandClock()).open(timeout=1.0)
    held, release = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        transaction.sessions.lock("s")
        held.set()
        release.wait(30)

    holding = holder.store.database.write(hold)
    await until(held.is_set)
    found = await outcomes([ground.send("s", "A", "late")])
    assert type(found[0]) is Unavailable
    release.set()
    await holding
    await ground.send("s", "A", "later")
    assert "later" in [m.content for m in await ground.log("s")]
    await ground.close()
    await holder.close()


@pytest_twisted.ensureDeferred
async def test_idle_fires_when_everything_is_stored(ground: Ground) -> None:
    await ground.session("s", "A")
    sends = [ground.send("s", "A", f"{n}") for n in range(600)]
    await ground.store.writer.idle()
    assert all(send.called for send in sends)
    assert len(await ground.log("s")) == 600
    await ground.store.writer.idle()


@pytest_twisted.ensureDeferred
async def test_a_send_whose_session_is_held_is_not_overtaken(ground: Ground) -> None:
    """I3: who is answered may send again at once, and must not pass one that has to wait."""
    if not ground.postgres:
        pytest.skip("SQLite has one writer, and holds nothing")
    for session in ("s1", "s2"):
        await ground.session(session, "A")
    writer, later = ground.store.writer, []
    with closing(psycopg2.connect(ground.url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT id FROM im.sessions WHERE id = 's1' FOR UPDATE")

        def answered(posted: Posted) -> Posted:
            holder.rollback()
            later.append(writer.post(ground.draft("s1", "A", "second")))
            return posted

        busy = writer.post(ground.draft("s2", "A", "keeps the writer busy"))
        first = writer.post(ground.draft("s1", "A", "first"))
        beside = writer.post(ground.draft("s2", "A", "beside it")).addCallback(answered)
        await together([busy, first, beside])
        await together(later)
    assert [message.content for message in await ground.log("s1")] == ["first", "second"]
