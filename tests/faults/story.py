"""A history read back: calls with their ends, sockets with their frames, what the store has.

Checkers take a :class:`Story` and nothing else. It draws no conclusions, save what follows from
the order of events alone: when somebody was certainly no member, what had certainly been said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tests.faults.history import Event

#: seconds in which a request that nobody answered may still be carried out
LINGER = 15.0
#: longer than any run
NEVER = float("inf")
#: types that count as nothing (page 1.4), and that only the server makes
UNCOUNTED, SERVER_MADE = frozenset({2105}), frozenset({6, 7, 10, 14, 2105})


class Violation(NamedTuple):
    """A promise that was broken: which, in which session, and the witness."""

    promise: str
    session: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise} {self.session}: {self.what}"


@dataclass(slots=True)
class Call:
    """Something that was asked; ``end`` is NEVER where no answer came."""

    who: str
    op: str
    args: Event
    begin: float
    end: float = NEVER
    ok: bool | None = None
    got: Event = field(default_factory=dict)

    @property
    def session(self) -> str:
        return str(self.args.get("session", ""))

    @property
    def message(self) -> dict[str, Any]:
        """What a send, a recall or an edit was answered with."""
        return dict(self.got["message"])


class Frame(NamedTuple):
    """A JSON-RPC frame that a page wrote (``said``) or read (``heard``)."""

    t: float
    way: str
    frame: dict[str, Any]


@dataclass(slots=True)
class Socket:
    """One connection of a page, from its opening to its end."""

    conn: int
    who: str
    node: int
    begin: float
    end: float = NEVER
    code: int | None = None
    frames: list[Frame] = field(default_factory=list)


class Span(NamedTuple):
    """A time in which somebody was certainly not a member."""

    begin: float
    end: float


class Story:
    """One run; ``truth`` is what SQL found at its end, None when it was not reached."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.meta: Event = {}
        self.truth: Event | None = None
        self.calls: list[Call] = []
        self.sockets: dict[int, Socket] = {}
        self._open: dict[int, Call] = {}
        for event in self.events:
            getattr(self, f"_on_{event['kind']}", self._ignore)(event)

    def _ignore(self, event: Event) -> None:
        """Some checkers look at these themselves."""

    def _on_meta(self, event: Event) -> None:
        self.meta = {**self.meta, **event}

    def _on_truth(self, event: Event) -> None:
        self.truth = event

    def _on_ask(self, event: Event) -> None:
        call = Call(event["who"], event["op"], event, event["t"])
        self.calls.append(call)
        self._open[event["id"]] = call

    def _on_got(self, event: Event) -> None:
        call = self._open.pop(event["id"])
        call.end, call.ok, call.got = event["t"], event["ok"], event

    def _on_up(self, event: Event) -> None:
        conn = event["conn"]
        self.sockets[conn] = Socket(conn, event["who"], event.get("node", 0), event["t"])

    def _on_said(self, event: Event) -> None:
        frame = Frame(event["t"], event["kind"], event["frame"])
        self.sockets[event["conn"]].frames.append(frame)

    _on_heard = _on_said

    def _on_down(self, event: Event) -> None:
        if self.truth is not None:
            return  # The run was over.
        socket = self.sockets[event["conn"]]
        socket.end, socket.code = event["t"], event.get("code")

    # ---- picking

    def of(self, *ops: str) -> Iterator[Call]:
        """The calls of these operations, in the order in which they were made."""
        return (call for call in self.calls if call.op in ops)

    def kind(self, kind: str) -> Iterator[Event]:
        return (event for event in self.events if event["kind"] == kind)

    @cached_property
    def messages(self) -> dict[str, list[dict[str, Any]]]:
        """The stored messages by session, by seq."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in self.sessions}
        for row in (self.truth or {}).get("messages", ()):
            found.setdefault(row["session_id"], []).append(row)
        for log in found.values():
            log.sort(key=lambda message: int(message["seq"]))
        return found

    @cached_property
    def sessions(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in (self.truth or {}).get("sessions", ())}

    @cached_property
    def participants(self) -> dict[tuple[str, str], dict[str, Any]]:
        rows = (self.truth or {}).get("participants", ())
        return {(row["session_id"], row["participant_id"]): row for row in rows}

    @cached_property
    def heard_messages(self) -> list[tuple[float, str, dict[str, Any]]]:
        """``(time, who, message)`` for every message that anybody was shown, by whatever road."""
        found = [
            (frame.t, socket.who, message)
            for socket in self.sockets.values()
            for frame in socket.frames
            if frame.way == "heard"
            for message in messages_in(frame.frame)
        ]
        for call in self.calls:
            if call.ok:
                for message in call.got.get("items", ()):
                    if "seq" in message:
                        found.append((call.end, call.who, message))
                if "message" in call.got:
                    found.append((call.end, call.who, call.message))
        return found

    @cached_property
    def _changes(self) -> dict[tuple[str, str], list[Call]]:
        """What was done about each user's membership of each session, in order."""
        acts: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in self.of("open", "add", "remove"):
            for user in call.args.get("users", ()):
                acts[call.session, user].append(call)
        return acts

    def surely_member(self, session: str, user: str, begin: float, end: float) -> bool:
        """Whether the user was certainly a member all the time."""
        calls = self._changes.get((session, user), ())
        added = [call.end for call in calls if call.op != "remove" and call.ok and call.end < begin]
        if not added:
            return False
        return not any(
            call.op == "remove"
            and call.begin < end
            and not any(at > _over(call) for at in added)
            and _over(call) > min(added)
            for call in calls
        )

    @cached_property
    def outsiders(self) -> dict[tuple[str, str], list[Span]]:
        """When each user was certainly outside each session: after a removal that was answered,
        or from the beginning, until somebody began to add it."""
        found: dict[tuple[str, str], list[Span]] = defaultdict(list)
        for place, calls in self._changes.items():
            if calls[0].op != "remove":
                found[place].append(Span(0.0, calls[0].begin))
            for number, call in enumerate(calls):
                if call.op != "remove" or not _surely_done(call):
                    continue
                # An addition that was not answered may come late, even after this removal.
                lingering = [
                    other.begin + LINGER
                    for other in calls[:number]
                    if other.op != "remove" and other.ok is None
                ]
                begin = max([call.end, *lingering])
                until = min(
                    (later.begin for later in calls[number + 1 :] if later.op != "remove"),
                    default=NEVER,
                )
                if begin < until:
                    found[place].append(Span(begin, until))
        return found

    @cached_property
    def hurts(self) -> list[tuple[float, float, str]]:
        """``(begin, end, name)`` of every fault; NEVER for the end of one that lasts."""
        found: list[tuple[float, float, str]] = []
        lasting: dict[str, float] = {}
        for event in self.kind("fault"):
            if event["phase"] == "begin":
                lasting[event["name"]] = event["t"]
            else:
                found.append((lasting.pop(event["name"], 0.0), event["t"], event["name"]))
        return found + [(begin, NEVER, name) for name, begin in lasting.items()]

    @cached_property
    def outsiders_later(self) -> set[tuple[str, str]]:
        """Who was removed from where at some time, or may have been."""
        return {(call.session, user) for call in self.of("remove") for user in call.args["users"]}

    @property
    def end(self) -> float:
        """When the history ends."""
        return float(self.events[-1]["t"]) if self.events else 0.0


def _over(call: Call) -> float:
    """When it can have an effect no more."""
    return call.end if call.ok is not None else call.begin + LINGER


def _surely_done(removal: Call) -> bool:
    """A 404 says that nobody of that name is a member, which is as good."""
    return bool(removal.ok) or removal.got.get("code") == "not_found"


class Stay(NamedTuple):
    """A socket inside a session: when it asked to be let in, was, and had left."""

    session: str
    asked: float
    entered: float
    left: float


def stays(socket: Socket) -> list[Stay]:
    """Where a socket was, one after another."""
    asked: dict[Any, tuple[float, str | None]] = {}
    found: list[Stay] = []
    for t, way, frame in socket.frames:
        if way == "said" and frame.get("method") in ("login", "enter"):
            asked[frame.get("id")] = (t, frame["params"].get("session_id"))
        elif way == "heard" and frame.get("id") in asked and "result" in frame:
            begin, session = asked.pop(frame["id"])
            if session is not None:
                if found:
                    found[-1] = found[-1]._replace(left=t)
                found.append(Stay(session, begin, t, socket.end))
    return found


def messages_in(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """The message objects of a frame that a page read."""
    if frame.get("method") in ("message", "update"):
        return [frame["params"]]
    result = frame.get("result")
    if not isinstance(result, dict):
        return []
    if "message" in result:
        return [result["message"]]
    items = [*result.get("messages", ()), *result.get("items", ())]
    return [item for item in items if "seq" in item]


def counted(message: dict[str, Any]) -> bool:
    """Whether it counts as unread for whoever did not send it."""
    return message["type"] not in UNCOUNTED
