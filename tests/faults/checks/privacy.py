"""I8: nobody reads, sends to, or learns of a session without being a member or a service.

What was asked for after a removal had been answered must not reach the removed one, by any road,
until somebody adds it again; its sockets inside the session end with 4403. That holds in every
process, whether a hint told it of the removal or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.faults.checks.marks import Bounds
from tests.faults.story import NEVER, Socket, Span, Story, Violation, stays

#: seconds after a removal in which a socket of the removed one may still be closing
CLOSING = 5.0


def private(story: Story) -> Iterator[Violation]:
    """I8, by what was heard, by what was answered, and by how sockets ended."""
    services = set(story.meta.get("services", ()))
    bounds = Bounds(story)
    for session, who, t, what, seq in _learned(story):
        user = who.partition("/")[0]
        if user in services:
            continue
        for span in _outside(story, session, user):
            # What was stored, or on its way, before the removal was answered may still arrive.
            if seq is None:
                late = t > span.begin + CLOSING
            else:
                late = seq > bounds.newest(session, span.begin)
            if span.begin < t < span.end and late:
                yield Violation("I8", session, f"{who} is outside and was shown at {t:.3f}: {what}")
    for call in story.calls:
        if call.who.partition("/")[0] in services or not call.ok or not call.session:
            continue
        for span in _outside(story, call.session, call.who.partition("/")[0]):
            if span.begin < call.begin and call.end < span.end:
                what = f"{call.who} is outside, and {call.op} at {call.begin:.3f} was carried out"
                yield Violation("I8", call.session, what)
    for socket in story.sockets.values():
        yield from _stayed(story, socket)


def _outside(story: Story, session: str, user: str) -> list[Span]:
    if (session, user) in story.outsiders:
        return story.outsiders[session, user]
    members = {call.session for call in story.of("open", "add") if user in call.args["users"]}
    return [] if session in members else [Span(0.0, NEVER)]


def _learned(story: Story) -> Iterator[tuple[str, str, float, str, int | None]]:
    """``(session, who, time, what, seq)`` of whatever sockets were told of a session."""
    for socket in story.sockets.values():
        for frame in socket.frames:
            if frame.way != "heard":
                continue
            for session, what, seq in _told(frame.frame):
                yield session, socket.who, frame.t, what, seq


def _told(frame: dict[str, Any]) -> Iterator[tuple[str, str, int | None]]:
    method, params = frame.get("method"), frame.get("params", {})
    if method in ("message", "notice"):
        seq = params["seq"] if method == "message" else params["last_message"]["seq"]
        yield params["session_id"], f"{method} seq {seq}", seq
    elif method in ("update", "topic", "read", "typing"):
        yield params["session_id"], method, None
    elif method == "session":
        yield params["id"], method, None


def _stayed(story: Story, socket: Socket) -> Iterator[Violation]:
    """A socket inside a session at a removal is closed; one of an outsider is not let in."""
    user = socket.who.partition("/")[0]
    for stay in stays(socket):
        for span in _outside(story, stay.session, user):
            if span.begin < stay.asked and stay.entered < span.end:
                what = f"{socket.who} is outside since {span.begin:.3f}, in at {stay.entered:.3f}"
                yield Violation("I8", stay.session, what)
            elif stay.entered < span.begin:
                until = min(stay.left, story.end, span.end)
                if until > span.begin + CLOSING:
                    what = f"{socket.who} was removed at {span.begin:.3f}, stayed until {until:.3f}"
                    yield Violation("I8", stay.session, what)
