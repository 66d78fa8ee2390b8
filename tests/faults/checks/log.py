"""What is stored: I1 durable, I2 once, I3 one order, and timestamps that rise with seq."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.story import NEVER, SERVER_MADE, Call, Socket, Story, Violation

#: what a message keeps for ever; its content may be edited or recalled
_FIXED = ("id", "session_id", "seq", "sender_id", "type", "timestamp", "client_msg_id", "topic_id")


def durable(story: Story) -> Iterator[Violation]:
    """I1: what was acknowledged, or shown to anybody, is in the store, by SQL and by REST."""
    if story.truth is None:
        return
    stored = {row["id"]: row for log in story.messages.values() for row in log}
    served = {row["id"]: row for row in story.truth["api"]["messages"]}
    for message_id, row in stored.items():
        if message_id not in served:
            yield Violation("I1", row["session_id"], f"history does not return {_brief(row)}")
        elif difference := _difference(row, served[message_id], content=True):
            yield Violation("I1", row["session_id"], f"history returns another: {difference}")
    changed = {
        call.args["message_id"] for call in story.of("edit", "recall") if call.ok is not False
    }
    for call in story.of("send"):
        if call.ok:
            message, kept = call.message, stored.get(call.message["id"])
            if kept is None:
                yield Violation("I1", call.session, f"acknowledged and lost: {_brief(message)}")
            elif difference := _difference(message, kept, content=kept["id"] not in changed):
                yield Violation("I1", call.session, f"acknowledged otherwise: {difference}")
    for call in story.of("edit", "recall"):
        if call.ok and (kept := stored.get(call.message["id"])) is not None:
            yield from _kept_change(call, kept)
    told: set[str] = set()
    for at, who, message in story.heard_messages:
        if message["id"] not in stored and message["id"] not in told:
            told.add(message["id"])
            what = f"{who} was shown at {at:.3f} what is not stored: {_brief(message)}"
            yield Violation("I1", message["session_id"], what)


def _kept_change(call: Call, row: dict[str, Any]) -> Iterator[Violation]:
    if call.op == "recall" and not row["recalled"]:
        yield Violation("I1", call.session, f"a recall was acknowledged and lost: {_brief(row)}")
    if call.op == "edit" and row["version"] < call.message["version"]:
        yield Violation("I1", call.session, f"an edit was acknowledged and lost: {_brief(row)}")


def _difference(one: dict[str, Any], other: dict[str, Any], *, content: bool) -> str:
    names = (*_FIXED, "content") if content else _FIXED
    return "; ".join(
        f"{name} {one[name]!r} and {other[name]!r}"
        for name in names
        if name in one and name in other and one[name] != other[name]
    )


def _brief(message: dict[str, Any]) -> str:
    return f"seq {message['seq']}, id {message['id']}, key {message.get('client_msg_id')}"


def once(story: Story) -> Iterator[Violation]:
    """I2: a key is at most one message, every answer names that one, nothing was made up."""
    sent: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    answers: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for call in story.of("send"):
        name = (call.session, call.args["sender"], call.args["key"])
        sent[name].append(call.args["content"])
        if call.ok:
            answers[name].add(call.message["id"])
            told = call.message
            if (told["session_id"], told["sender_id"], told["client_msg_id"]) != name:
                yield Violation("I2", name[0], f"key {name[2]} was answered with {_brief(told)}")
    for call in story.of("send"):
        name = (call.session, call.args["sender"], call.args["key"])
        conflict = call.got.get("code") == "idempotency_conflict"
        if conflict and all(content == call.args["content"] for content in sent[name]):
            what = f"key {name[2]} was refused, and was used for nothing else"
            yield Violation("I2", name[0], what)
    for name, ids in answers.items():
        if len(ids) > 1:
            yield Violation("I2", name[0], f"key {name[2]} was answered with {sorted(ids)}")
    for session, log in story.messages.items():
        seen: set[tuple[str, str, str]] = set()
        for row in log:
            if row["type"] in SERVER_MADE:
                continue
            key = (session, row["sender_id"], row["client_msg_id"])
            if key in seen:
                yield Violation("I2", session, f"twice: {_brief(row)} of {row['sender_id']}")
            elif key not in sent:
                yield Violation("I2", session, f"nobody sent {_brief(row)} of {row['sender_id']}")
            elif not row["recalled"] and row["version"] == 1 and row["content"] not in sent[key]:
                yield Violation("I2", session, f"nobody said that: {_brief(row)}")
            seen.add(key)


def one_order(story: Story) -> Iterator[Violation]:
    """I3: dense, the same for every reader, in the order in which things were acknowledged."""
    for session, log in story.messages.items():
        seqs = [row["seq"] for row in log]
        odd = next((seq for place, seq in enumerate(seqs, 1) if seq != place), None)
        if odd is not None:
            yield Violation("I3", session, f"seqs are not dense: {odd} is out of place")
        last = story.sessions.get(session, {}).get("last_seq", len(log))
        if last != len(log):
            yield Violation("I3", session, f"last_seq is {last}, there are {len(log)} messages")
    places: dict[tuple[str, int], tuple[str, str]] = {}
    for at, who, message in story.heard_messages:
        place, id_ = (message["session_id"], message["seq"]), message["id"]
        first = places.setdefault(place, (id_, who))
        if first[0] != id_:
            what = f"seq {place[1]} is {first[0]} for {first[1]} and {id_} for {who} at {at:.3f}"
            yield Violation("I3", place[0], what)
    yield from _real_time(story)
    yield from _pipelined(story)


def _real_time(story: Story) -> Iterator[Violation]:
    """Acknowledged before another was asked for: then it stands before it."""
    first: dict[tuple[str, str], Call] = {}
    for call in story.of("send"):
        if call.ok:
            key = (call.session, call.message["id"])
            # A repeat is answered late; the message is as old as its first attempt.
            begin = min(call.begin, first[key].begin) if key in first else call.begin
            end = min(call.end, first[key].end) if key in first else call.end
            first[key] = Call(call.who, "send", call.args, begin, end, True, call.got)
    attempts: dict[tuple[str, str, str], float] = {}
    for call in story.of("send"):
        name = (call.session, call.args["sender"], call.args["key"])
        attempts[name] = min(attempts.get(name, NEVER), call.begin)
    by_session: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for call in first.values():
        begin = attempts[call.session, call.args["sender"], call.args["key"]]
        by_session[call.session].append((begin, call.end, call.message["seq"]))
    for session, sends in by_session.items():
        ended = sorted(sends, key=lambda send: send[1])
        highest, place = 0, 0
        for begin, _, seq in sorted(sends):
            while place < len(ended) and ended[place][1] < begin:
                highest = max(highest, ended[place][2])
                place += 1
            if seq < highest:
                what = f"seq {seq} was asked for at {begin:.3f}, after {highest} was acknowledged"
                yield Violation("I3", session, what)


def _pipelined(story: Story) -> Iterator[Violation]:
    """Sends of one socket, written one after another, keep their order.

    Only first attempts that were answered there tell: a repeat has the place of its first attempt,
    and one that was refused gets its place later.
    """
    stored = {
        (session, row["sender_id"], row["client_msg_id"]): row["seq"]
        for session, log in story.messages.items()
        for row in log
    }
    tried: set[tuple[str, str, str]] = set()
    for socket in story.sockets.values():
        newest: dict[str, int] = {}
        answered = {
            frame.frame.get("id")
            for frame in socket.frames
            if frame.way == "heard" and "result" in frame.frame
        }
        for id_, name in _sends(socket).items():
            seq = stored.get(name)
            if seq is None or id_ not in answered or name in tried:
                continue
            if seq < newest.get(name[0], 0):
                what = f"{socket.who} wrote key {name[2]} (seq {seq}) after seq {newest[name[0]]}"
                yield Violation("I3", name[0], what)
            newest[name[0]] = max(seq, newest.get(name[0], 0))
        tried.update(_sends(socket).values())


def _sends(socket: Socket) -> dict[Any, tuple[str, str, str]]:
    """What was sent over a socket, by the frames' ids, in order: session, sender, key."""
    return {
        frame["id"]: (
            frame["params"]["session_id"],
            user_of(socket.who),
            frame["params"]["client_msg_id"],
        )
        for _, way, frame in socket.frames
        if way == "said" and frame["method"] == "send"
    }


def user_of(who: str) -> str:
    """``D1`` of the actor ``D1/page2``."""
    return who.partition("/")[0]


def stamps_rise(story: Story) -> Iterator[Violation]:
    """Timestamps rise strictly with seq, whatever the clocks do."""
    for session, log in story.messages.items():
        for before, after in pairwise(log):
            if after["timestamp"] <= before["timestamp"]:
                what = f"seq {after['seq']} is not later than {before['seq']}"
                yield Violation("stamps", session, f"{what}: {after['timestamp']}")
