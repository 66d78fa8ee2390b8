"""Pages 3.3 and 4.3 across processes: everything reaches the sockets of every process."""

from __future__ import annotations

import pytest

from imd.delivery.badges import PAUSE
from imd.delivery.courier import TYPING_PAUSE
from imd.delivery.hearing import RETRY, STALE
from imd.delivery.sweep import MOST_USERS
from imd.domain.participant import Marked
from imd.wire import hints
from imd.wire.closing import Close
from tests.delivery.links import FakeLink
from tests.delivery.several import EVERY, S, T, Town, topic


@pytest.fixture
def town() -> Town:
    return Town()


def test_messages_of_both_processes_come_in_order_each_once(town: Town) -> None:
    links = [town.here.inside("p"), town.there.inside("p"), town.there.inside("d")]
    for number in range(20):
        (town.here, town.there)[number % 2].send()
        if number % 3 == 0:
            town.at_once()
    town.after(1)
    assert [link.seqs for link in links] == [list(range(1, 21))] * 3


def test_a_hint_is_enough_and_nobody_waits_for_the_sweep(town: Town) -> None:
    link = town.there.inside("p")
    town.here.send()
    town.at_once()
    assert link.seqs == [1]
    assert town.there.sweep.found == 0


def test_hints_of_many_sessions_are_one_query(town: Town) -> None:
    links = [town.there.inside("p", S), town.there.inside("p", T)]
    reads = town.there.db.reads
    for session_id in (S, T, S):
        town.here.send(session_id)
    town.at_once()
    assert town.there.db.reads == reads + 1
    assert [len(link.seqs) for link in links] == [2, 1]


def test_whoever_has_nobody_to_tell_asks_nothing(town: Town) -> None:
    town.there.inside("p", T)
    reads = town.there.db.reads
    town.here.send(S)
    town.here.courier.session_changed(town.world.sessions.session(S), 0)
    town.here.courier.marked(Marked(S, "p", 1, 1, 0, True, 0))
    town.at_once()
    assert town.there.db.reads == reads


def test_what_was_missed_comes_with_the_sweep(town: Town) -> None:
    link = town.there.inside("p")
    town.lose()
    for _ in range(3):
        town.here.send()
    town.at_once()
    assert link.seqs == []
    town.after(EVERY + 0.2)
    assert link.seqs == [1, 2, 3] and town.there.sweep.found == 1


def test_the_bus_back_is_a_sweep_at_once(town: Town) -> None:
    link = town.there.inside("p")
    town.after(EVERY + 0.5)
    town.lose()
    town.here.send()
    town.regain()
    town.after(0.2)
    assert link.seqs == [1]


def test_the_sweep_outlives_an_absent_database(town: Town) -> None:
    link = town.there.inside("p")
    town.lose()
    town.here.send()
    town.there.db.away = True
    town.after(3 * EVERY)
    town.there.db.away = False
    town.after(EVERY + 0.2)
    assert link.seqs == [1]


def test_everything_else_reaches_the_other_process(town: Town) -> None:
    inside, outer, stranger = town.there.inside("d"), town.there.outer("d"), town.there.outer("x")
    made = town.here.send()
    town.world.topics.known = topic()
    town.at_once()
    town.world.members[S]["p"].read_seq = 1
    courier = town.here.courier
    courier.updated(made, 0)
    courier.session_changed(town.world.sessions.session(S), 0)
    courier.topic_changed(topic(), 0)
    courier.marked(Marked(S, "p", 1, 1, 0, True, 0))
    town.at_once()
    assert sorted(method for method, _ in inside.told()) == [
        "message", "read", "session", "topic", "update"
    ]  # fmt: skip
    assert inside.told("read") == [{"session_id": S, "user_id": "p", "read_seq": 1}]
    assert inside.told("update")[0]["id"] == made.id
    assert sorted(method for method, _ in outer.told()) == ["session", "topic"]
    assert stranger.told() == []


def test_hints_wait_for_an_absent_database(town: Town) -> None:
    inside = town.there.inside("d")
    town.there.db.away = True
    town.here.courier.session_changed(town.world.sessions.session(S), 0)
    town.at_once()
    town.there.db.away = False
    town.after(RETRY + 0.1)
    assert [method for method, _ in inside.told()] == ["session"]


def test_notices_and_badges_come_from_other_processes(town: Town) -> None:
    link, sender = town.there.outer("p"), town.there.outer("d")
    first = town.here.send()
    town.here.send(T)
    town.here.send(type=2105)
    town.at_once()
    notices = sorted(link.told("notice"), key=lambda n: n["session_id"])
    assert [(n["session_id"], n["unread"]) for n in notices] == [(S, 1), (T, 1)]
    assert notices[0]["last_message"]["id"] == first.id
    assert sender.told("notice") == []
    town.after(PAUSE + 0.1)
    assert [b["badge_no"] for b in link.told("badge")][-1] == 2
    town.world.members[S]["p"].read_seq = 2
    town.here.courier.marked(Marked(S, "p", 2, 2, 0, True, 0))
    town.after(PAUSE + 0.1)
    assert [b["badge_no"] for b in link.told("badge")][-1] == 1


def test_notices_of_both_processes_keep_their_order_and_come_once(town: Town) -> None:
    link = town.there.outer("p")
    town.here.send()
    town.at_once()
    for _ in range(5):
        town.here.send()
        town.there.send()
        town.here.send()
    town.after(1)
    assert [n["last_message"]["seq"] for n in link.told("notice")] == list(range(1, 17))


def test_an_answered_topic_follows_a_message_that_was_read(town: Town) -> None:
    inside, outer = town.there.inside("p"), town.there.outer("p")
    made = town.world.store(S, timestamp=town.now())
    town.world.answered[S, made.seq] = topic()
    town.here.courier.committed([town.world.committed(made)._replace(answered=topic())])
    town.at_once()
    assert [method for method, _ in inside.told()] == ["message", "topic"]
    assert [method for method, _ in outer.told()][:2] == ["notice", "topic"]


def test_typing_is_relayed_across_at_most_every_three_seconds(town: Town) -> None:
    typist, other = town.here.inside("p"), town.there.inside("d")
    for _ in range(3):
        town.here.courier.typing(S, "p", typist)
    town.at_once()
    assert other.told("typing") == [{"session_id": S, "user_id": "p"}]
    for _ in range(5):
        town.there.forged(hints.Typing(S, "p"))
    town.there.forged(hints.Typing(S, "x"))
    town.at_once()
    assert len(other.told("typing")) == 1
    town.after(TYPING_PAUSE / 1000)
    town.here.courier.typing(S, "p", typist)
    town.at_once()
    assert len(other.told("typing")) == 2


def test_a_removed_members_link_is_closed_there_at_once(town: Town) -> None:
    gone, stays = town.there.inside("p"), town.there.inside("d")
    town.world.unseat(S, "p")
    town.here.courier.expelled(S, {"p"})
    town.at_once()
    assert (gone.closed, stays.closed) == (Close.NOT_A_MEMBER, None)
    town.here.send()
    town.at_once()
    assert gone.seqs == [] and stays.seqs == [1]


def test_without_the_bus_a_removed_members_link_is_closed_by_the_sweep(town: Town) -> None:
    gone, stays = town.there.inside("p"), town.there.inside("d")
    town.lose()
    town.world.unseat(S, "p")
    town.here.courier.expelled(S, {"p"})
    town.after(EVERY + 0.2)
    assert (gone.closed, stays.closed) == (Close.NOT_A_MEMBER, None)


def test_what_is_read_is_joined_to_current_membership(town: Town) -> None:
    gone = town.there.inside("p")
    town.world.unseat(S, "p")
    town.here.send()
    town.at_once()
    assert gone.closed is Close.NOT_A_MEMBER and gone.seqs == []


def test_a_forged_removal_closes_nobody(town: Town) -> None:
    link = town.there.inside("p")
    town.there.forged(hints.Expelled(S, "p"))
    town.at_once()
    assert link.closed is None


def test_who_joined_after_the_look_began_is_not_judged_by_it(town: Town) -> None:
    gone = town.there.inside("p")
    town.there.db.patient = True
    town.after(EVERY)
    late = town.there.inside("p")
    town.world.unseat(S, "p")
    town.there.db.go()
    assert (gone.closed, late.closed) == (Close.NOT_A_MEMBER, None)


def test_a_revoked_token_makes_the_others_look_into_the_store(town: Town) -> None:
    link = town.here.inside("p", fingerprint="f")
    town.here.courier.revoked("f")
    town.at_once()
    assert link.closed is Close.NOT_A_MEMBER
    assert (town.here.looks, town.there.looks) == (0, 1)


def test_outer_sockets_are_made_right_after_an_outage(town: Town) -> None:
    link = town.there.outer("p")
    town.here.send()
    town.after(EVERY + 0.5)
    town.lose()
    for _ in range(3):
        town.here.send()
    town.after(EVERY + PAUSE + 0.5)
    assert [n["last_message"]["seq"] for n in link.told("notice")] == [1, 2, 3, 4]
    assert link.told("badge")[-1] == {"badge_no": 4}
    town.here.send(T)
    town.regain()
    town.after(0.5)
    town.here.send()
    town.after(EVERY + PAUSE + 0.5)
    told = [(n["session_id"], n["last_message"]["seq"]) for n in link.told("notice")]
    assert told == [(S, 1), (S, 2), (S, 3), (S, 4), (T, 1), (S, 5)]


def test_what_was_said_long_before_an_outage_is_no_news(town: Town) -> None:
    town.world.store(T, timestamp=town.now())
    town.after(60)
    link = town.there.outer("p")
    town.lose()
    town.here.send()
    town.after(EVERY + 0.5)
    assert [n["session_id"] for n in link.told("notice")] == [S]


def test_a_late_or_forged_hint_about_the_past_is_no_news(town: Town) -> None:
    town.world.store(T, timestamp=town.now())
    town.after(STALE / 1000 + 1)
    link = town.there.outer("p")
    town.there.forged(hints.Stored(T, 1, 1))
    town.at_once()
    assert link.told("notice") == []


def test_who_comes_back_is_not_told_of_what_it_reloads(town: Town) -> None:
    link, _ = town.there.outer("p"), town.there.outer("x")
    town.here.send()
    town.at_once()
    town.there.admission.leave(link)
    for _ in range(4):
        town.here.send()
        town.at_once()
    back = town.there.outer("p")
    town.here.send()
    town.at_once()
    assert [n["last_message"]["seq"] for n in link.told("notice")] == [1]
    assert [n["last_message"]["seq"] for n in back.told("notice")] == [6]


def test_one_who_lost_hints_makes_the_others_look(town: Town) -> None:
    link = town.there.outer("p")
    town.after(EVERY)
    town.world.store(S, timestamp=town.now())
    town.there.forged(hints.Missed(town.now()))
    town.after(0.2)
    assert len(link.told("notice")) == 1


def test_while_hints_arrive_outer_sockets_cost_no_sweep(town: Town) -> None:
    for number in range(5):
        town.there.outer("dp"[number % 2])
    reads = town.there.db.reads
    town.after(20 * EVERY)
    assert town.there.db.reads == reads


def test_many_outer_users_are_looked_after_some_at_a_time(town: Town) -> None:
    for number in range(MOST_USERS + 50):
        town.there.outer(f"u{number}")
    town.world.members[S].update({f"u{MOST_USERS + 40}": town.world.members[S]["p"]})
    town.lose()
    town.here.send()
    town.after(2 * EVERY + 0.5)
    (link,) = town.there.registry.outer(f"u{MOST_USERS + 40}")
    assert isinstance(link, FakeLink)
    assert len(link.told("notice")) == 1


def test_forged_hints_only_cause_reads(town: Town) -> None:
    inside, outer = town.there.inside("p"), town.there.outer("p")
    town.here.send()
    town.at_once()
    town.after(STALE / 1000 + 1)
    told = len(inside.told()), len(outer.told())
    many: list[hints.AnyHint] = [
        hints.Stored(S, 1, 1), hints.Stored(S, 10**9, 1), hints.Stored(S, 10**9, 10**9),
        hints.Stored("none", 5, 1), hints.Stored(S, 1, 5), hints.Updated(S, "none"),
        hints.SessionChanged("none"), hints.TopicChanged(S, "none"), hints.Read(S, "x"),
        hints.Typing(S, "x"), hints.Expelled(S, "p"), hints.Expelled("none", "p"),
    ]  # fmt: skip
    for hint in many * 3:
        town.there.forged(hint)
        town.at_once()
    town.after(3)
    assert (len(inside.told()), len(outer.told())) == told
    assert inside.closed is outer.closed is None
    town.here.send()
    town.after(1)
    assert inside.seqs == [1, 2]
    assert [n["last_message"]["seq"] for n in outer.told("notice")] == [1, 2]


def test_after_stop_no_timer_is_left(town: Town) -> None:
    town.there.inside("p")
    town.there.db.patient = True
    town.here.send()
    town.here.courier.session_changed(town.world.sessions.session(S), 0)
    town.after(EVERY)
    for process in (town.here, town.there):
        process.sweep.stop()
        process.hearing.stop()
        process.courier.stop()
    town.after(5)
    assert town.clock.getDelayedCalls() == []
