"""I5 exact unread, and marks that never fall and that nobody but their member moves.

What a member had certainly read, and what it may have read at most, follows from what was asked
and answered; so does how far a session had come. Every number that the server gave lies between
the two counts that these bounds allow, and at the end it is exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.story import LINGER, NEVER, Call, Frame, Socket, Story, Violation, counted

Place = tuple[str, str]


class Steps:
    """A number that only rises: its value just before a time."""

    def __init__(self) -> None:
        self._steps: list[tuple[float, int]] = []
        self._times: list[float] = []
        self._values: list[int] = []

    def add(self, at: float, value: int) -> None:
        self._steps.append((at, value))
        self._times.clear()

    def before(self, at: float) -> int:
        if len(self._times) != len(self._steps):
            self._steps.sort()
            self._times, self._values, highest = [], [], 0
            for time, value in self._steps:
                highest = max(highest, value)
                self._times.append(time)
                self._values.append(highest)
        place = bisect_left(self._times, at)
        return self._values[place - 1] if place else 0


@dataclass
class Known:
    """What can be said of one member's read mark: certain from a time on, possible from one on."""

    least: Steps = field(default_factory=Steps)
    most: Steps = field(default_factory=Steps)


class Bounds:
    """How far sessions and marks had come, at least and at most, at any time."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.known: dict[Place, Known] = defaultdict(Known)
        self._at_least: dict[str, Steps] = defaultdict(Steps)
        self._at_most: dict[str, Steps] = defaultdict(Steps)
        self._counts: dict[str, list[int]] = {}
        self._own: dict[Place, list[int]] = {}
        for t, _, message in story.heard_messages:
            self._at_least[message["session_id"]].add(t, message["seq"])
        self._sends()
        for call in story.calls:
            self._call(call)
        for socket in story.sockets.values():
            _SocketMarks(self, socket).collect()

    def _sends(self) -> None:
        """When each message can have been stored at the earliest; what its sender has read."""
        begun: dict[tuple[str, str, str], float] = {}
        ends: dict[tuple[str, str, str], float] = {}
        for call in self.story.of("send"):
            name = (call.session, call.args["sender"], call.args["key"])
            begun[name] = min(begun.get(name, NEVER), call.begin)
            if call.ok:
                ends[name] = min(ends.get(name, NEVER), call.end)
        for session, log in self.story.messages.items():
            earliest = 0.0
            for row in log:
                name = (session, row["sender_id"], row["client_msg_id"])
                earliest = max(earliest, begun.get(name, 0.0))
                self._at_most[session].add(earliest, row["seq"])
                known = self.known[session, row["sender_id"]]
                known.most.add(earliest, row["seq"])
                if name in ends:
                    known.least.add(ends[name], row["seq"])

    def newest(self, session: str, at: float) -> int:
        """The last seq that the session can have had at a time."""
        return self._at_most[session].before(at)

    def _call(self, call: Call) -> None:
        session = call.session
        if call.op in ("open", "add"):
            until = call.end if call.ok is not None else call.begin + LINGER
            for user in call.args.get("users", ()):
                # Who joins begins with everything read; nothing moves for who is a member.
                if not self.story.surely_member(session, user, call.begin, until):
                    self.known[session, user].most.add(call.begin, self.newest(session, until))
        if call.op not in ("read", "list", "list_unread") or call.args.get("peek"):
            return
        self.may_read(session, call.args["user"], call.begin, *_reach(self, call))
        reached = call.got.get("read_seq") if call.op == "read" else None
        if call.ok and reached is not None:
            self.known[session, call.args["user"]].least.add(call.end, reached)

    def may_read(self, session: str, user: str, begin: float, seq: int) -> None:
        self.known[session, user].most.add(begin, seq)

    # ---- counting

    def unread(self, place: Place, read: int, last: int) -> int:
        """Counted messages after ``read`` up to ``last`` that others sent."""
        session, user = place
        if session not in self._counts:
            self._counts[session] = _totals(counted(row) for row in self.story.messages[session])
        if place not in self._own:
            log = self.story.messages[session]
            self._own[place] = _totals(counted(row) and row["sender_id"] == user for row in log)
        counts, own = self._counts[session], self._own[place]
        top = len(counts) - 1
        read, last = min(read, top), min(last, top)
        if last <= read:
            return 0
        return counts[last] - counts[read] - (own[last] - own[read])

    def range(self, place: Place, begin: float, end: float) -> tuple[int, int]:
        """What an unread count asked for at ``begin`` and told at ``end`` may be."""
        session, known = place[0], self.known[place]
        least = self.unread(place, known.most.before(end), self._at_least[session].before(begin))
        most = self.unread(place, known.least.before(begin), self.newest(session, end))
        return least, most


def _reach(bounds: Bounds, call: Call) -> tuple[int]:
    """How far a call that moves marks may have moved them."""
    until = call.end if call.ok is not None else call.begin + LINGER
    newest = bounds.newest(call.session, until)
    if call.op == "read" and call.args.get("seq") is not None:
        return (min(call.args["seq"], newest),)
    if call.op != "read" and call.ok:
        return (max((item["seq"] for item in call.got["items"]), default=0),)
    return (newest,)


def _totals(flags: Iterator[bool] | Any) -> list[int]:
    totals = [0]
    for flag in flags:
        totals.append(totals[-1] + bool(flag))
    return totals


class _SocketMarks:
    """The marks that one socket asked for and was told."""

    def __init__(self, bounds: Bounds, socket: Socket) -> None:
        self._bounds, self._socket = bounds, socket
        self._user = socket.who.partition("/")[0]
        self._asked: dict[Any, Frame] = {}

    def collect(self) -> None:
        for frame in self._socket.frames:
            method = frame.frame.get("method")
            if frame.way == "said":
                if "id" in frame.frame:
                    self._asked[frame.frame["id"]] = frame
                params = frame.frame.get("params", {})
                if method in ("read", "ack") and params.get("read") is not False:
                    self._may_read(frame, params)
            elif isinstance(result := frame.frame.get("result"), dict):
                asked = self._asked.pop(frame.frame.get("id"), None)
                if asked is not None and "read_seq" in result:
                    session = asked.frame["params"]["session_id"]
                    known = self._bounds.known[session, self._user]
                    known.least.add(frame.t, result["read_seq"])

    def _may_read(self, frame: Frame, params: dict[str, Any]) -> None:
        newest = self._bounds.newest(params["session_id"], frame.t + LINGER)
        seq = min(params.get("seq", newest), newest)
        self._bounds.may_read(params["session_id"], self._user, frame.t, seq)


def exact_unread(story: Story) -> Iterator[Violation]:
    """I5: every count is possible when it is given, and exact at the end; badges are sums."""
    if story.truth is None:
        return
    bounds = Bounds(story)
    for call in story.of("unread"):
        if call.ok:
            place = (call.session, call.args["user"])
            yield from _within(bounds, place, call.begin, call.end, call.got["count"], call.who)
    for call in story.of("read"):
        if call.ok and "unread" in call.got:
            place = (call.session, call.args["user"])
            yield from _within(bounds, place, call.begin, call.end, call.got["unread"], call.who)
    for call in story.of("badge"):
        if call.ok:
            yield from _badge(bounds, call)
    for socket in story.sockets.values():
        yield from _shown(bounds, socket)
    yield from _at_the_end(story, bounds)


def _within(
    bounds: Bounds, place: Place, begin: float, end: float, said: int, who: str
) -> Iterator[Violation]:
    least, most = bounds.range(place, begin, end)
    if not least <= said <= most:
        what = f"{who} was told at {end:.3f} that {place[1]} has {said} unread, not {least}"
        yield Violation("I5", place[0], what + (f"..{most}" if most != least else ""))


def _badge(bounds: Bounds, call: Call) -> Iterator[Violation]:
    user = call.args["user"]
    least = most = 0
    for (session, member), known in bounds.known.items():
        if member != user or session not in bounds.story.sessions:
            continue
        low, high = bounds.range((session, member), call.begin, call.end)
        # A session that the user was outside of at any moment adds nothing for certain.
        spans = bounds.story.outsiders.get((session, member), ())
        outside = any(span.begin < call.end and call.begin < span.end for span in spans)
        changing = _changing(bounds.story, session, member, call)
        least, most = least + (0 if outside or changing else low), most + high
        del known
    if not least <= call.got["count"] <= most:
        what = f"the badge of {user} was {call.got['count']} at {call.end:.3f}, not {least}..{most}"
        yield Violation("I5", "", what)


def _changing(story: Story, session: str, user: str, asked: Call) -> bool:
    """Whether somebody was adding or removing this user meanwhile."""
    return any(
        call.session == session
        and user in call.args.get("users", ())
        and call.begin < asked.end
        and asked.begin < (call.end if call.ok is not None else call.begin + LINGER)
        for call in story.of("add", "remove", "open")
    )


def _shown(bounds: Bounds, socket: Socket) -> Iterator[Violation]:
    """What logins and notices said."""
    user = socket.who.partition("/")[0]
    asked: dict[Any, Frame] = {}
    for frame in socket.frames:
        if frame.way == "said" and "id" in frame.frame:
            asked[frame.frame["id"]] = frame
        session = (frame.frame.get("result") or {}) if frame.way == "heard" else {}
        session = session.get("session") if isinstance(session, dict) else None
        request = asked.get(frame.frame.get("id"))
        if session and request is not None and "unread" in session:
            place = (session["id"], user)
            begin, said = request.t, session["unread"]
            yield from _within(bounds, place, begin, frame.t, said, socket.who)


def _at_the_end(story: Story, bounds: Bounds) -> Iterator[Violation]:
    assert story.truth is not None
    told = {(row["session"], row["user"]): row["count"] for row in story.truth["api"]["unread"]}
    sums: dict[str, int] = defaultdict(int)
    for place, row in story.participants.items():
        last = len(story.messages[place[0]])
        exact = bounds.unread(place, row["read_seq"], last)
        sums[place[1]] += exact
        if told.get(place, exact) != exact:
            what = f"{place[1]} has {told[place]} unread at the end, a recount says {exact}"
            yield Violation("I5", place[0], what)
    for row in story.truth["api"]["badges"]:
        if row["count"] != sums[row["user"]]:
            what = f"the badge of {row['user']} is {row['count']}, the sum {sums[row['user']]}"
            yield Violation("I5", "", what)


def marks_rise(story: Story) -> Iterator[Violation]:
    """Marks never fall, never pass the newest, and move by their member's acts alone."""
    if story.truth is None:
        return
    bounds = Bounds(story)
    for place, row in story.participants.items():
        last, known = len(story.messages[place[0]]), bounds.known[place]
        if not row["read_seq"] <= row["delivered_seq"] <= last:
            what = f"{place[1]} has read {row['read_seq']}, got {row['delivered_seq']} of {last}"
            yield Violation("marks", place[0], what)
        least, most = known.least.before(NEVER), known.most.before(NEVER)
        if row["read_seq"] < least:
            what = f"{place[1]} had read {least}, and at the end only {row['read_seq']}"
            yield Violation("marks", place[0], what)
        if row["read_seq"] > most:
            what = f"{place[1]} has read {row['read_seq']}, but asked for {most} at most"
            yield Violation("marks", place[0], what)
    for name, looks in _looks(story).items():
        highest, place_ = 0, 0
        ended = sorted(looks, key=lambda look: look[1])
        for begin, end, value in sorted(looks):
            while place_ < len(ended) and ended[place_][1] < begin:
                highest = max(highest, ended[place_][2])
                place_ += 1
            if value < highest:
                what = f"{name[2]} of {name[1]} fell from {highest} to {value} at {end:.3f}"
                yield Violation("marks", name[0], what)


def _looks(story: Story) -> dict[tuple[str, str, str], list[tuple[float, float, int]]]:
    """Every sight of a mark: when it was asked for and told, and its value."""
    looks: dict[tuple[str, str, str], list[tuple[float, float, int]]] = defaultdict(list)
    for call in story.of("members"):
        for item in call.got.get("items", ()) if call.ok else ():
            for mark in ("read_seq", "delivered_seq"):
                name = (call.session, item["participant_id"], mark)
                looks[name].append((call.begin, call.end, item[mark]))
    for call in story.of("read"):
        if call.ok:
            name = (call.session, call.args["user"], "read_seq")
            looks[name].append((call.begin, call.end, call.got["read_seq"]))
    for socket in story.sockets.values():
        asked: dict[Any, Frame] = {}
        for frame in socket.frames:
            if frame.way == "said":
                asked[frame.frame.get("id")] = frame
                continue
            result = frame.frame.get("result")
            request = asked.get(frame.frame.get("id"))
            if request is None or not isinstance(result, dict):
                continue
            user = socket.who.partition("/")[0]
            for mark in ("read_seq", "delivered_seq"):
                if mark in result:
                    name = (request.frame["params"]["session_id"], user, mark)
                    looks[name].append((request.t, frame.t, result[mark]))
    return looks
