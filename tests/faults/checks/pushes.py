"""I7: who has not seen a message within the grace time is told by a push that covers it.

Needs what the provider was told (events ``pushed``) and ``push`` in the run's meta: ``grace`` and
``bound`` in seconds (how long after the grace time a push may come) and ``users`` who can be
pushed to. A run without a provider has neither, and nothing to check.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.faults.checks.marks import Bounds
from tests.faults.history import Event
from tests.faults.story import NEVER, Socket, Story, Violation, counted


def pushed(story: Story) -> Iterator[Violation]:
    """I7: every message that was not seen in time is covered by a push."""
    settings = story.meta.get("push")
    if settings is None or story.truth is None:
        return
    grace, bound, users = settings["grace"], settings["bound"], set(settings["users"])
    over = max((event["t"] for event in story.kind("fault")), default=0.0)
    seen = _Seen(story)
    accepted: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in story.kind("pushed"):
        if event["accepted"]:
            accepted[event["session"], event["user"]].append(event)
    acknowledged = {
        (call.session, call.message["seq"]): call for call in story.of("send") if call.ok
    }
    for (session, user), row in story.participants.items():
        if user not in users or (session, user) in story.outsiders_later:
            continue
        for message in story.messages[session]:
            call = acknowledged.get((session, message["seq"]))
            if call is None or not counted(message) or message["sender_id"] == user:
                continue
            # Only what is still unseen long after its time must have been pushed.
            due = max(call.end + grace, over) + bound
            if seen.before(session, user, due) >= message["seq"] or story.end < due:
                continue
            if not any(
                event["upto_seq"] >= message["seq"] and event["t"] > call.begin
                for event in accepted[session, user]
            ):
                what = f"{user} has not seen seq {message['seq']} and was not told by a push"
                yield Violation("I7", session, what)
        del row
    for place, events in accepted.items():
        yield from _needless(story, place, events, seen)


def _needless(
    story: Story, place: tuple[str, str], events: list[Event], seen: _Seen
) -> Iterator[Violation]:
    """Pushes twice for the same, without a fault to excuse it, and pushes of what was seen."""
    calm = not any(True for _ in story.kind("fault"))
    highest = 0
    for event in sorted(events, key=lambda event: float(event["t"])):
        if calm and event["upto_seq"] <= highest:
            what = f"{place[1]} was told twice of everything up to {event['upto_seq']}"
            yield Violation("I7", place[0], what)
        highest = max(highest, event["upto_seq"])
        if calm and seen.before(*place, event["claimed"]) >= event["upto_seq"]:
            what = f"{place[1]} was told of {event['upto_seq']}, which it had seen"
            yield Violation("I7", place[0], what)


class _Seen:
    """How far each member had certainly seen a session: acknowledged inside it, or read."""

    def __init__(self, story: Story) -> None:
        self._bounds = Bounds(story)
        for socket in story.sockets.values():
            self._acknowledgements(socket)

    def _acknowledgements(self, socket: Socket) -> None:
        user = socket.who.partition("/")[0]
        asked: dict[Any, str] = {}
        for frame in socket.frames:
            if frame.way == "said" and frame.frame["method"] == "ack" and "id" in frame.frame:
                asked[frame.frame["id"]] = frame.frame["params"]["session_id"]
            elif frame.frame.get("id") in asked and "result" in frame.frame:
                session = asked.pop(frame.frame["id"])
                reached = frame.frame["result"]["delivered_seq"]
                self._bounds.known[session, user].least.add(frame.t, reached)

    def before(self, session: str, user: str, at: float = NEVER) -> int:
        return self._bounds.known[session, user].least.before(at)
