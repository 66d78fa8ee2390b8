"""Healthy again within 30 s after the last fault, no 500 at any time, no traceback in any log."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.story import Socket, Story, Violation

#: seconds from the end of the last fault until everything must work again
HEALING = 30.0


def healthy_again(story: Story) -> Iterator[Violation]:
    """Each node answered readiness and a send within 30 s; nothing was left unanswered."""
    over = max((event["t"] for event in story.kind("fault")), default=0.0)
    healthy: dict[int, float] = {}
    for event in story.kind("healthy"):
        if event["t"] >= over:
            healthy.setdefault(event["node"], event["t"])
    for node in range(story.meta.get("nodes", 0)):
        at = healthy.get(node)
        if at is None:
            yield Violation("healthy", "", f"node {node} did not become healthy again")
        elif at - over > HEALING:
            what = f"node {node} was healthy {at - over:.1f} s after the last fault"
            yield Violation("healthy", "", what)
    if story.truth is None:
        yield Violation("healthy", "", "the run did not come to its end")


def no_fault_of_its_own(story: Story) -> Iterator[Violation]:
    """Whatever happens around it, imd says 503 and not 500, and logs no traceback."""
    for call in story.calls:
        status = call.got.get("status") or 0
        if (status >= 500 and status != 503) or call.got.get("code") == "internal":
            what = f"{call.op} of {call.who} at {call.begin:.3f} was answered {status}"
            yield Violation("errors", call.session, f"{what} {call.got.get('code')}")
    for socket in story.sockets.values():
        if socket.code == 1011 and not _was_unavailable(socket):
            what = f"socket {socket.conn} of {socket.who} was closed with 1011 at {socket.end:.3f}"
            yield Violation("errors", "", what)
    for event in story.kind("trouble"):
        yield Violation("errors", "", f"node {event['node']}: {event['text']}")


def _was_unavailable(socket: Socket) -> bool:
    """A login that the database does not answer ends so, after saying why."""
    return any(
        frame.frame.get("error", {}).get("data", {}).get("code") == "unavailable"
        for frame in socket.frames
        if frame.way == "heard"
    )
