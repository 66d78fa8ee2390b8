"""I4: what each socket was shown, frame by frame: in order, each once, without a hole.

A socket stands in one session at a time, at the last seq that it was shown. Its own first sends
are answered in their place; the answer to a repeat may come early, and then be told again or not
(page 3.2, "Order on one socket").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.faults.story import NEVER, Socket, Story, Violation

#: what recovery brings at most, and how much a login brings without it (page 3.2)
MOST_RECOVERED, NEWEST = 200, 20


def complete(story: Story) -> Iterator[Violation]:
    """I4: dense streams, recoveries without holes, nobody left behind at the end."""
    acknowledged = _Acknowledged(story)
    tried: set[tuple[str, str, str]] = {
        (call.session, call.args["sender"], call.args["key"])
        for call in story.of("send")
        if call.args.get("road") == "rest"
    }
    for socket in sorted(story.sockets.values(), key=lambda socket: socket.begin):
        stream = _Stream(story, socket, acknowledged, tried)
        yield from stream.violations()
        if story.truth is not None and socket.end == NEVER and stream.session is not None:
            yield from _left_behind(story, socket, stream)
    for event in story.kind("note"):
        yield Violation("I4", event.get("session", ""), f"{event['who']}: {event['text']}")


def _left_behind(story: Story, socket: Socket, stream: _Stream) -> Iterator[Violation]:
    assert stream.session is not None
    last = story.sessions.get(stream.session, {}).get("last_seq", 0)
    if stream.position < last:
        what = f"{socket.who} on socket {socket.conn} was left at {stream.position} of {last}"
        yield Violation("I4", stream.session, what)


class _Acknowledged:
    """How far each session had certainly come at a time."""

    def __init__(self, story: Story) -> None:
        self._ends: dict[str, list[tuple[float, int]]] = {}
        for call in sorted(story.of("send"), key=lambda call: call.end):
            if call.ok:
                ends = self._ends.setdefault(call.session, [])
                seq = max(call.message["seq"], ends[-1][1] if ends else 0)
                ends.append((call.end, seq))

    def before(self, session: str, at: float) -> int:
        seqs = [seq for end, seq in self._ends.get(session, ()) if end < at]
        return seqs[-1] if seqs else 0


class _Stream:
    """One socket's frames, read in order."""

    def __init__(
        self,
        story: Story,
        socket: Socket,
        acknowledged: _Acknowledged,
        tried: set[tuple[str, str, str]],
    ) -> None:
        self._story, self._socket = story, socket
        self._acknowledged, self._tried = acknowledged, tried
        self._asked: dict[Any, tuple[float, dict[str, Any], bool]] = {}
        self.session: str | None = None
        self.position = 0
        #: answers to repeats: shown before their place, and at it
        self._early: set[int] = set()
        self._again: set[int] = set()

    def violations(self) -> Iterator[Violation]:
        for t, way, frame in self._socket.frames:
            if way == "said":
                if "id" in frame:
                    self._asked[frame["id"]] = (t, frame, self._is_repeat(frame))
            elif frame.get("method") == "message":
                yield from self._message(t, frame["params"])
            elif "result" in frame and frame.get("id") in self._asked:
                yield from self._answered(t, frame)
        while self.position + 1 in self._early:
            self.position += 1

    def _is_repeat(self, frame: dict[str, Any]) -> bool:
        if frame["method"] != "send":
            return False
        user, params = self._socket.who.partition("/")[0], frame["params"]
        key = (params["session_id"], user, params["client_msg_id"])
        repeat = key in self._tried
        self._tried.add(key)
        return repeat

    def _say(self, t: float, what: str) -> Violation:
        who = f"{self._socket.who} on socket {self._socket.conn} at {t:.3f}"
        return Violation("I4", self.session or "", f"{who}: {what}")

    def _answered(self, t: float, frame: dict[str, Any]) -> Iterator[Violation]:
        asked, request, repeat = self._asked.pop(frame["id"])
        if request["method"] in ("login", "enter"):
            yield from self._entered(t, asked, request["params"], frame["result"])
        elif request["method"] == "send":
            yield from self._sent(t, frame["result"]["message"], repeat)

    def _entered(
        self, t: float, asked: float, params: dict[str, Any], result: dict[str, Any]
    ) -> Iterator[Violation]:
        if result["session"] is None:
            return
        self.session, last = result["session"]["id"], result["session"]["last_seq"]
        self._early, self._again = set(), set()
        seqs = [message["seq"] for message in result["messages"]]
        self.position = seqs[-1] if seqs else last
        after = params.get("after_seq")
        certain = self._acknowledged.before(self.session or "", asked)
        if last < certain:
            yield self._say(t, f"a snapshot of {last} when {certain} was acknowledged before")
        if seqs and seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            yield self._say(t, f"the login result has a hole: {seqs}")
        if seqs and seqs[-1] != last:
            yield self._say(t, f"the login result ends at {seqs[-1]}, the session at {last}")
        if result["recovered"]:
            if after is None:
                yield self._say(t, "recovered, and nothing was asked to be")
            elif seqs != list(range(after + 1, last + 1)):
                yield self._say(t, f"recovered after {after} up to {last} with {seqs}")
        else:
            yield from self._refused_recovery(t, params, result, last)

    def _refused_recovery(
        self, t: float, params: dict[str, Any], result: dict[str, Any], last: int
    ) -> Iterator[Violation]:
        after = params.get("after_seq")
        if len(result["messages"]) < min(NEWEST, last):
            yield self._say(t, f"only {len(result['messages'])} of the newest {NEWEST}")
        # Messages of a run are small: the limit in bytes is never the reason.
        if after is None or params.get("epoch") != result["epoch"]:
            return
        if after <= last and last - after <= MOST_RECOVERED:
            yield self._say(t, f"recovery after {after} of {last} was refused")

    def _sent(self, t: float, message: dict[str, Any], repeat: bool) -> Iterator[Violation]:
        seq = message["seq"]
        if message["session_id"] != self.session:
            return
        if not repeat:
            yield from self._message(t, message, own=True)
        elif seq > self.position + 1:
            self._early.add(seq)
        elif seq == self.position + 1:
            self._again.add(seq)
            self.position = seq

    def _message(
        self, t: float, message: dict[str, Any], *, own: bool = False
    ) -> Iterator[Violation]:
        seq = message["seq"]
        if message["session_id"] != self.session:
            what = f"{message['session_id']} seq {seq} was shown inside {self.session}"
            yield self._say(t, what)
            return
        if seq in self._again:
            self._again.discard(seq)
            return
        while self.position + 1 in self._early and seq != self.position + 1:
            self.position += 1
            self._early.discard(self.position)
        self._early.discard(seq)
        word = "its own send" if own else "a message"
        if seq <= self.position:
            yield self._say(t, f"a repeat: {word}, seq {seq} after {self.position}")
        elif seq > self.position + 1:
            yield self._say(t, f"a hole: {word}, seq {seq} after {self.position}")
        self.position = max(self.position, seq)
