"""How soon messages arrive: at once over the bus, within a sweep without it (page 4.3).

Only what is certain is judged: sends that were acknowledged, and sockets that were inside the
session all the time. While the database, a node or a client is being hurt, nothing is promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.faults.story import NEVER, Story, Violation, messages_in, stays

#: seconds beyond a sweep in which a message arrives, whatever the bus does (F10)
BEYOND = 3.0
#: in peace, most messages arrive within so many seconds; and how much peace is needed before
AT_ONCE, QUIET = 0.7, 3.0
#: the part of messages that must, and how many there must be to judge
MOST, ENOUGH = 0.75, 20
_BUS = ("bus-", "redis-", "forged-")


class Arrival(NamedTuple):
    """An acknowledged message at a socket that was inside its session all the time."""

    session: str
    who: str
    seq: int
    acknowledged: float
    took: float
    #: whether it came through another node than the socket's
    across: bool


def prompt(story: Story) -> Iterator[Violation]:
    """Arrivals are within a sweep while only the bus is hurt, and at once in peace."""
    sweep = story.meta.get("sweep")
    if sweep is None:
        return
    hurt = story.hurts
    late = sweep + BEYOND
    came = list(arrivals(story, late))
    if all(name.startswith(_BUS) for _, _, name in hurt):
        for one in came:
            if one.took > late:
                what = f"{one.who} was shown seq {one.seq} {one.took:.1f} s late, or never"
                yield Violation("prompt", one.session, what)
    calm = [
        one
        for one in came
        if one.across
        and not any(begin < one.acknowledged + 1 and one.acknowledged < end + QUIET
                    for begin, end, _ in hurt)
    ]  # fmt: skip
    quick = sum(one.took <= AT_ONCE for one in calm)
    if len(calm) >= ENOUGH and quick < MOST * len(calm):
        what = f"in peace {quick} of {len(calm)} messages came to other nodes within {AT_ONCE} s"
        yield Violation("prompt", "", what)


def arrivals(story: Story, late: float) -> Iterator[Arrival]:
    """What each socket must have been shown within ``late`` seconds, and how long it took."""
    sends = [(call.session, call.message["seq"], call) for call in story.of("send") if call.ok]
    over = story.truth["t"] if story.truth is not None else story.end
    for socket in story.sockets.values():
        heard: dict[tuple[str, int], float] = {}
        for frame in socket.frames:
            if frame.way == "heard":
                for message in messages_in(frame.frame):
                    heard.setdefault((message["session_id"], message["seq"]), frame.t)
        inside = stays(socket)
        for session, seq, call in sends:
            until = min(call.end + late, over)
            if not any(
                stay.session == session and stay.entered < call.begin and until <= stay.left
                for stay in inside
            ):
                continue  # fmt: skip
            took = max(0.0, heard.get((session, seq), NEVER) - call.end)
            node = call.got.get("node", call.args.get("node"))
            yield Arrival(session, socket.who, seq, call.end, took, node != socket.node)
