"""I6: at most one live topic in a session, and its interval of seq holds exactly its messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.story import Story, Violation

TOPIC_START, TOPIC_END = 6, 7
LIVE, ENDED = 0, 10


def one_topic(story: Story) -> Iterator[Violation]:
    """I6, by the tables and by what was answered."""
    if story.truth is None:
        return
    topics: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in story.truth["topics"]:
        topics[row["session_id"]].append(row)
    for session, log in story.messages.items():
        yield from _session(story, session, topics[session], log)
    stored = {row["id"]: row for row in story.truth["topics"]}
    for call in story.of("start_topic", "end_topic"):
        row = stored.get(call.got.get("topic", ""))
        if call.ok and row is None:
            yield Violation("I6", call.session, f"{call.op} was answered, and there is none")
        elif call.ok and row is not None and call.op == "end_topic" and row["status"] != ENDED:
            yield Violation("I6", call.session, f"ended, and lives on: {row['id']}")


def _session(
    story: Story, session: str, topics: list[dict[str, Any]], log: list[dict[str, Any]]
) -> Iterator[Violation]:
    live = [row["id"] for row in topics if row["status"] == LIVE]
    if len(live) > 1:
        yield Violation("I6", session, f"several topics are live: {live}")
    current = story.sessions[session]["current_topic_id"]
    if [current] != (live or [None]):
        yield Violation("I6", session, f"the session names {current}, live is {live}")
    if story.sessions[session]["status"] != len(live):
        yield Violation("I6", session, f"status {story.sessions[session]['status']}, live {live}")
    last = len(log)
    ordered = sorted(topics, key=lambda row: int(row["start_seq"]))
    for before, after in pairwise(ordered):
        if (before["end_seq"] or last + 1) >= after["start_seq"]:
            what = f"{before['id']} goes on when {after['id']} starts at {after['start_seq']}"
            yield Violation("I6", session, what)
    for topic in ordered:
        yield from _interval(session, topic, log)
    known = {row["id"] for row in topics}
    for row in log:
        if row["topic_id"] is not None and row["topic_id"] not in known:
            yield Violation("I6", session, f"seq {row['seq']} is of no topic: {row['topic_id']}")


def _interval(
    session: str, topic: dict[str, Any], log: list[dict[str, Any]]
) -> Iterator[Violation]:
    name, first, last = topic["id"], topic["start_seq"], topic["end_seq"] or len(log)
    inside = {row["seq"] for row in log if first <= row["seq"] <= last}
    marked = {row["seq"] for row in log if row["topic_id"] == name}
    if inside != marked:
        odd = sorted(inside ^ marked)[:5]
        yield Violation("I6", session, f"{name} is {first}..{last}, and not by seqs {odd}")
    ends = [row["seq"] for row in log if row["topic_id"] == name and row["type"] == TOPIC_END]
    starts = [row["seq"] for row in log if row["topic_id"] == name and row["type"] == TOPIC_START]
    if starts != [first]:
        yield Violation("I6", session, f"{name} starts at {first}, TOPIC_START is at {starts}")
    if ends != ([topic["end_seq"]] if topic["status"] == ENDED else []):
        yield Violation("I6", session, f"{name} ends at {topic['end_seq']}, TOPIC_END at {ends}")
