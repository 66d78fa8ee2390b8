"""Every checker passes a good history and names what is wrong with a bad one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.checks.everything import CHECKERS, judge
from tests.faults.scripts import S, Script, message

#: what is wrong -> the promise that is broken, and the history
BAD: dict[str, tuple[str, Callable[[], Script]]] = {}


def _bad(promise: str) -> Callable[[Callable[[], Script]], Callable[[], Script]]:
    def register(make: Callable[[], Script]) -> Callable[[], Script]:
        BAD[make.__name__] = (promise, make)
        return make

    return register


def good() -> Script:
    """Two members talk; one is on a socket, is cut off, and recovers."""
    script = Script()
    one = script.send(1)
    script.login(10, "p1/page", [one], 1)
    two = script.send(2)
    script.tell(10, two)
    own = message(3, "p1")
    script.ask("p1/page", "send", session=S, sender="p1", key="k3", content="c3", road="socket")
    script.say(10, "s", "send", session_id=S, client_msg_id="k3")
    script.stored.append(own)
    script.marks["p1"] = (3, 3)
    script.hear(10, "s", message=own)
    script.got(True, message=own)
    script.call("D1", "unread", session=S, user="D1", got={"count": 1})
    script.add("down", conn=10, code=1006, reason="")
    four = script.send(4)
    script.login(11, "p1/page", [four], 4, recovered=True, after=3)
    script.call("p1", "read", session=S, user="p1", seq=None, got={"read_seq": 4, "unread": 0})
    script.marks["p1"] = (4, 4)
    script.end()
    return script


def test_a_good_history_has_nothing_wrong() -> None:
    assert judge(good().events) == []


@pytest.mark.parametrize("promise", CHECKERS)
def test_each_checker_takes_a_history_that_broke_off(promise: str) -> None:
    whole = good().events
    for length in range(len(whole)):
        script = Script()
        script.events = whole[:length]
        found = script.found(promise)
        assert [one for one in found if one.promise != "healthy"] == []


# ---- the log


@_bad("I1")
def an_acknowledged_message_is_lost() -> Script:
    script = good()
    for place in (script.truth["messages"], script.truth["api"]["messages"]):
        del place[-1]
    return script


@_bad("I1")
def a_message_is_kept_otherwise_than_acknowledged() -> Script:
    script = good()
    for place in (script.truth["messages"], script.truth["api"]["messages"]):
        place[1]["content"] = "其他"
    return script


@_bad("I1")
def history_hides_a_message() -> Script:
    script = good()
    del script.truth["api"]["messages"][0]
    return script


@_bad("I1")
def somebody_was_shown_what_was_never_stored() -> Script:
    script = good()
    script.events.insert(-1, {
        "t": 3.0, "kind": "heard", "conn": 11,
        "frame": {"method": "message", "params": message(5, id="phantom")},
    })  # fmt: skip
    return script


@_bad("I2")
def one_key_is_two_messages() -> Script:
    script = good()
    script.truth["messages"].append(message(5, client_msg_id="k4"))
    return script


@_bad("I2")
def a_repeat_is_answered_with_another_message() -> Script:
    script = Script()
    script.send(1)
    script.send(2, client_msg_id="k1")
    script.end()
    return script


@_bad("I2")
def a_message_that_nobody_sent() -> Script:
    script = good()
    script.truth["messages"].append(message(5))
    return script


@_bad("I2")
def a_content_that_nobody_said() -> Script:
    script = Script()
    script.send(1, ok=False)
    script.stored[0]["content"] = "别人"
    script.end()
    return script


@_bad("I3")
def a_seq_is_missing() -> Script:
    script = good()
    for row in script.truth["messages"][1:]:
        row["seq"] += 1
    return script


@_bad("I3")
def two_readers_see_two_orders() -> Script:
    script = good()
    script.events.insert(-1, {
        "t": 3.0, "kind": "heard", "conn": 11,
        "frame": {"method": "update", "params": message(2, id="m4")},
    })  # fmt: skip
    return script


@_bad("I3")
def a_later_send_stands_before_an_acknowledged_one() -> Script:
    script = Script()
    script.send(2)
    script.send(1)
    script.stored.sort(key=lambda row: int(row["seq"]))
    script.end()
    return script


@_bad("I3")
def pipelined_sends_change_places() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    for seq, key in ((2, "a"), (1, "b")):
        script.say(10, key, "send", session_id=S, client_msg_id=key)
        script.hear(10, key, message=message(seq, "p1", client_msg_id=key))
        script.stored.insert(0, message(seq, "p1", client_msg_id=key))
    script.end()
    return script


@_bad("stamps")
def a_timestamp_falls() -> Script:
    script = good()
    script.truth["messages"][2]["timestamp"] = 1
    return script


# ---- streams


@_bad("I4")
def a_socket_has_a_hole() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    script.send(1)
    script.tell(10, script.send(2))
    script.end()
    return script


@_bad("I4")
def a_socket_is_told_twice() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    one = script.send(1)
    script.tell(10, one)
    script.tell(10, one)
    script.end()
    return script


@_bad("I4")
def a_recovery_begins_one_too_late() -> Script:
    script = Script()
    for seq in (1, 2, 3):
        script.send(seq)
    script.login(10, "p1/page", [message(3)], 3, recovered=True, after=1)
    script.end()
    return script


@_bad("I4")
def a_recovery_is_refused_without_need() -> Script:
    script = Script()
    for seq in (1, 2, 3):
        script.send(seq)
    script.login(10, "p1/page", [message(seq) for seq in (1, 2, 3)], 3, after=1)
    script.end()
    return script


@_bad("I4")
def a_login_does_not_know_what_was_acknowledged() -> Script:
    script = Script()
    script.send(1)
    script.send(2)
    script.login(10, "p1/page", [message(1)], 1)
    script.tell(10, message(2))
    script.end()
    return script


@_bad("I4")
def a_socket_is_left_behind() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    script.send(1)
    script.end()
    return script


@_bad("I4")
def ones_own_send_comes_as_a_notification_too() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    script.say(10, "s", "send", session_id=S, client_msg_id="k1")
    script.stored.append(message(1, "p1"))
    script.hear(10, "s", message=message(1, "p1"))
    script.tell(10, message(1, "p1"))
    script.end()
    return script


@_bad("I4")
def a_page_by_the_rules_saw_a_hole() -> Script:
    script = good()
    script.add("note", who="p1/page", text="a hole: 3 after 1")
    return script


# ---- marks


@_bad("I5")
def an_unread_count_is_impossible() -> Script:
    script = Script()
    script.send(1)
    script.call("p1", "unread", session=S, user="p1", got={"count": 0})
    script.end()
    return script


@_bad("I5")
def ones_own_messages_are_unread() -> Script:
    script = Script()
    script.send(1)
    script.call("D1", "unread", session=S, user="D1", got={"count": 1})
    script.end()
    return script


@_bad("I5")
def unread_is_wrong_at_the_end() -> Script:
    script = good()
    script.truth["api"]["unread"][0]["count"] += 1
    return script


@_bad("I5")
def a_badge_is_no_sum() -> Script:
    script = good()
    script.truth["api"]["badges"][0]["count"] += 1
    return script


@_bad("I5")
def a_login_shows_a_wrong_count() -> Script:
    script = Script()
    script.send(1)
    script.up(10, "p1/page")
    script.say(10, "login", "login", session_id=S)
    session = {"id": S, "last_seq": 1, "unread": 5}
    script.hear(10, "login", epoch="e", session=session, messages=[message(1)], recovered=False)
    script.end()
    return script


@_bad("I5")
def a_badge_is_impossible_when_it_is_told() -> Script:
    script = Script()
    script.send(1)
    script.call("p1", "badge", user="p1", got={"count": 2})
    script.end()
    return script


@_bad("marks")
def a_mark_falls() -> Script:
    script = good()
    for read in (4, 2):
        item = {"participant_id": "p1", "read_seq": read, "delivered_seq": 4}
        script.call("D1", "members", session=S, got={"items": [item]})
    return script


@_bad("marks")
def a_mark_moves_that_nobody_moved() -> Script:
    script = Script()
    script.send(1)
    script.marks["p1"] = (1, 1)
    script.end()
    return script


@_bad("marks")
def making_a_session_again_moves_a_mark() -> Script:
    script = Script()
    script.send(1)
    script.call("hospital", "open", session=S, users=["D1", "p1"])
    script.marks["p1"] = (1, 1)
    script.end()
    return script


def test_who_joins_has_read_what_stands_before() -> None:
    script = Script()
    script.send(1)
    script.call("hospital", "remove", session=S, users=["p1"])
    script.call("hospital", "add", session=S, users=["p1"])
    script.marks["p1"] = (1, 1)
    script.end()
    assert script.found("marks") == []


@_bad("marks")
def a_mark_that_was_acknowledged_is_lost() -> Script:
    script = Script()
    script.send(1)
    script.call("p1", "read", session=S, user="p1", seq=1, got={"read_seq": 1, "unread": 0})
    script.end()
    return script


@_bad("marks")
def a_mark_is_past_the_newest() -> Script:
    script = good()
    script.truth["participants"][0]["delivered_seq"] = 9
    return script


# ---- topics


def _topic(number: int, first: int, last: int | None) -> dict[str, object]:
    status = 0 if last is None else 10
    return {
        "id": f"c{number}", "session_id": S, "status": status, "reply": 0,
        "start_seq": first, "end_seq": last,
    }  # fmt: skip


def _with_topics(*topics: dict[str, object]) -> Script:
    script = Script()
    script.topics = list(topics)
    types = {1: 6, 3: 7, 4: 6}
    for seq in range(1, 6):
        name = "c1" if seq <= 3 else "c2"
        script.send(seq, type=types.get(seq, 1), topic_id=name)
    script.end()
    return script


def test_topics_one_after_another_are_good() -> None:
    assert _with_topics(_topic(1, 1, 3), _topic(2, 4, None)).found("I6") == []


@_bad("I6")
def two_topics_are_live() -> Script:
    return _with_topics(_topic(1, 1, None), _topic(2, 4, None))


@_bad("I6")
def topics_overlap() -> Script:
    return _with_topics(_topic(1, 1, 4), _topic(2, 4, None))


@_bad("I6")
def a_message_of_the_interval_has_no_topic() -> Script:
    script = _with_topics(_topic(1, 1, 3), _topic(2, 4, None))
    script.truth["messages"][1]["topic_id"] = None
    return script


@_bad("I6")
def a_topic_that_was_ended_lives_on() -> Script:
    script = _with_topics(_topic(1, 1, 3), _topic(2, 4, None))
    script.call("D1", "end_topic", session=S, topic="current", got={"topic": "c2"})
    return script


@_bad("I6")
def a_topic_that_was_started_is_lost() -> Script:
    script = _with_topics(_topic(1, 1, 3), _topic(2, 4, None))
    script.call("D1", "start_topic", session=S, topic="c3", got={"topic": "c3"})
    return script


@_bad("I6")
def the_session_names_a_topic_that_is_over() -> Script:
    script = _with_topics(_topic(1, 1, 3), _topic(2, 4, None))
    script.truth["sessions"][0]["current_topic_id"] = "c1"
    return script


# ---- privacy


def _removed() -> Script:
    script = Script()
    script.login(10, "p1/page", [], 0)
    script.call("hospital", "remove", session=S, users=["p1"])
    return script


def test_a_removed_member_that_hears_nothing_more_is_good() -> None:
    script = _removed()
    script.add("down", conn=10, code=4403, reason="")
    script.send(1)
    script.end()
    assert script.found("I8") == []


@_bad("I8")
def a_removed_member_is_shown_a_later_message() -> Script:
    script = _removed()
    script.tell(10, script.send(1))
    script.end()
    return script


def _removed_elsewhere(*, hurt: bool, later: bool) -> Script:
    """Two nodes, and a message of the moment before the removal or after it."""
    script = Script()
    script.events[0]["nodes"] = 2
    script.login(10, "p1/page", [], 0)
    if hurt:
        script.add("fault", name="redis-kill", phase="begin")
    if later:
        script.call("hospital", "remove", session=S, users=["p1"])
    one = script.send(1)
    if not later:
        script.call("hospital", "remove", session=S, users=["p1"])
    script.at += 0.1
    script.tell(10, one)
    script.add("down", conn=10, code=4403, reason="")
    script.end()
    return script


def test_what_was_stored_before_the_removal_may_arrive_after_it() -> None:
    for hurt in (False, True):
        assert _removed_elsewhere(hurt=hurt, later=False).found("I8") == []


@_bad("I8")
def another_process_tells_the_removed_before_a_hint_came() -> Script:
    return _removed_elsewhere(hurt=False, later=True)


@_bad("I8")
def another_process_tells_the_removed_while_redis_is_away() -> Script:
    return _removed_elsewhere(hurt=True, later=True)


@_bad("I8")
def a_removed_member_gets_a_later_notice() -> Script:
    script = _removed()
    one = script.send(1)
    script.up(12, "p1/outer")
    script.tell(12, {"session_id": S, "unread": 1, "last_message": one}, "notice")
    script.end()
    return script


@_bad("I8")
def a_removed_members_socket_stays() -> Script:
    script = _removed()
    script.at += 10
    script.end()
    return script


@_bad("I8")
def a_stranger_reads() -> Script:
    script = Script()
    script.send(1)
    script.call("p9", "list", session=S, user="p9", peek=True, got={"items": [message(1)]})
    script.end()
    return script


@_bad("I8")
def a_stranger_is_let_in() -> Script:
    script = Script()
    script.login(10, "p9/page", [], 0)
    script.end()
    return script


def test_an_addition_without_an_answer_may_come_late() -> None:
    script = Script()
    script.call("hospital", "add", None, session=S, users=["p1"])
    script.call("hospital", "remove", session=S, users=["p1"])
    script.login(10, "p1/page", [], 0)
    script.end()
    assert script.found("I8") == []


# ---- health


@_bad("healthy")
def a_node_does_not_come_back() -> Script:
    script = Script()
    script.add("fault", name="kill", phase="end")
    script.at += 40
    script.end()
    return script


@_bad("healthy")
def the_run_does_not_come_to_its_end() -> Script:
    return Script()


@_bad("errors")
def a_request_is_a_500() -> Script:
    script = good()
    script.call("D1", "unread", None, session=S, user="D1", got={"status": 500})
    return script


@_bad("errors")
def the_log_has_a_traceback() -> Script:
    script = good()
    script.add("trouble", node=0, text="Traceback")
    return script


# ---- push


def _push(script: Script, **more: object) -> Script:
    script.events[0]["push"] = {"grace": 3.0, "bound": 10.0, "users": ["p1"], **more}
    return script


def _unseen(*pushes: tuple[float, int]) -> Script:
    script = _push(Script())
    script.send(1)
    for after, upto in pushes:
        script.at += after
        script.add("pushed", user="p1", session=S, upto_seq=upto, accepted=True, claimed=script.at)
    script.at += 30
    script.end()
    return script


def test_a_push_that_covers_what_was_not_seen_is_good() -> None:
    assert _unseen((3.5, 1)).found("I7") == []


@_bad("I7")
def nobody_is_told_of_what_was_not_seen() -> Script:
    return _unseen()


@_bad("I7")
def a_message_is_pushed_twice() -> Script:
    return _unseen((3.5, 1), (1.0, 1))


@_bad("I7")
def what_was_seen_is_pushed() -> Script:
    script = _push(Script())
    script.send(1)
    script.call("p1", "read", session=S, user="p1", seq=1, got={"read_seq": 1, "unread": 0})
    script.marks["p1"] = (1, 1)
    script.at += 4
    script.add("pushed", user="p1", session=S, upto_seq=1, accepted=True, claimed=script.at)
    script.end()
    return script


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found_out(name: str) -> None:
    promise, make = BAD[name]
    found = make().found(promise)
    assert found and {one.promise for one in found} == {promise}
