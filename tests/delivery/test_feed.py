"""I4: every link sees a dense run, each seq once, whatever comes late, twice, early or never."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from imd.delivery.feeds import PATIENCE, RETRY, Feeds
from tests.delivery.links import FakeLink, FakeOrigin
from tests.websocket.fakes_live import FakeDatabase, World

S = "s"


class Stage:
    """Feeds over a world whose messages are stored first and told of later, or never."""

    def __init__(self) -> None:
        self.world, self.clock = World(), Clock()
        self.world.open(S, "d", "p")
        self.db = FakeDatabase(self.world)
        self.sent: list[int] = []
        self.feeds = Feeds(self.db, self.clock, lambda entry: self.sent.append(entry.message.seq))

    def store(self, number: int = 1) -> None:
        for _ in range(number):
            self.world.store(S)

    def tell(self, *seqs: int, origin: object = None) -> None:
        for seq in seqs:
            self.feeds.offer(self.world.committed(self.world.logs[S][seq - 1], origin))

    def join(self, link: FakeLink | None = None) -> FakeLink:
        link = link or FakeLink()
        self.expect(link)
        self.settle(link, len(self.world.logs[S]), self.world.rosters[S])
        return link

    def expect(self, link: FakeLink) -> None:
        self.feeds.open(S).expect(link)

    def settle(self, link: FakeLink, after: int, roster: int = 0) -> None:
        feed = self.feeds.open(S)
        feed.settle(link, after, roster)
        self.feeds.mend(feed)


def test_messages_go_out_in_order_each_once() -> None:
    stage = Stage()
    link = stage.join()
    stage.store(4)
    stage.tell(2, 1, 1, 4, 2, 3, 4)
    assert link.seqs == [1, 2, 3, 4]
    assert stage.feeds.open(S)._held == {}, "what was told twice is not kept"
    assert stage.sent == [1, 2, 3, 4]
    assert stage.db.reads == 0


def test_a_frame_is_made_once_for_all_links() -> None:
    stage = Stage()
    links = [stage.join() for _ in range(3)]
    stage.store()
    stage.tell(1)
    assert len({id(link.frames[0]) for link in links}) == 1


def test_a_hole_is_read_after_its_patience() -> None:
    stage = Stage()
    link = stage.join()
    stage.store(3)
    stage.tell(3)
    stage.clock.advance(PATIENCE - 0.01)
    assert link.seqs == []
    stage.clock.advance(0.02)
    assert link.seqs == [1, 2, 3]
    assert stage.db.reads == 1


def test_a_hole_survives_an_absent_database() -> None:
    stage = Stage()
    link = stage.join()
    stage.store(2)
    stage.db.away = True
    stage.tell(2)
    stage.clock.advance(PATIENCE)
    stage.db.away = False
    stage.clock.advance(RETRY)
    assert link.seqs == [1, 2]


def test_what_is_stored_while_the_snapshot_is_read_comes_after_it() -> None:
    stage = Stage()
    first, link = stage.join(), FakeLink()
    stage.store(2)
    stage.expect(link)
    stage.tell(1, 2)
    stage.store(2)
    stage.tell(3)
    stage.settle(link, 3)
    stage.tell(4)
    assert (first.seqs, link.seqs) == ([1, 2, 3, 4], [4])


def test_a_snapshot_ahead_of_the_feed_brings_no_repeat() -> None:
    stage = Stage()
    stage.join()
    stage.store(3)
    link = stage.join()
    stage.tell(1, 2, 3)
    stage.store()
    stage.tell(4)
    assert link.seqs == [4]


def test_a_snapshot_behind_the_feed_leaves_no_hole() -> None:
    stage = Stage()
    first, late = FakeLink(), FakeLink()
    stage.expect(late)
    stage.store(3)
    stage.expect(first)
    stage.settle(first, 3)
    stage.settle(late, 1)
    assert late.seqs == []
    stage.store()
    stage.tell(4)
    stage.clock.advance(PATIENCE)
    assert (first.seqs, late.seqs) == ([4], [2, 3, 4])


def test_the_first_join_may_be_told_of_messages_before_its_snapshot() -> None:
    stage = Stage()
    first, second = FakeLink(), FakeLink()
    stage.expect(first)
    stage.expect(second)
    stage.store(4)
    stage.tell(1, 2, 3, 4)
    stage.settle(first, 3)
    stage.settle(second, 1)
    assert (first.seqs, second.seqs) == ([4], [2, 3, 4])


def test_a_hint_reads_at_once_and_a_false_one_does_no_harm() -> None:
    stage = Stage()
    link = stage.join()
    stage.store(2)
    stage.feeds.hint(S, 2)
    stage.clock.advance(0)
    assert link.seqs == [1, 2]
    stage.feeds.hint(S, 10**9)
    stage.clock.advance(0)
    reads = stage.db.reads
    stage.clock.pump([1.0] * 10)
    assert stage.db.reads == reads
    stage.feeds.hint("elsewhere", 5)


def test_a_hint_that_comes_while_reading_is_not_forgotten() -> None:
    stage = Stage()
    link = stage.join()
    stage.feeds.hint(S, 1)
    stage.db.patient = True
    stage.clock.advance(0)
    stage.feeds.hint(S, 2)
    stage.db.go()  # sees nothing yet
    stage.store(2)
    stage.db.patient = False
    stage.clock.pump([RETRY, RETRY])
    assert link.seqs == [1, 2]


def test_a_long_absence_is_read_in_pieces() -> None:
    stage = Stage()
    link = stage.join()
    stage.store(450)
    stage.feeds.hint(S, 450)
    stage.clock.pump([0, 0, 0, 0])
    assert link.seqs == list(range(1, 451))


def test_the_sender_gets_its_result_in_the_messages_place() -> None:
    stage = Stage()
    sender, other = stage.join(), stage.join()
    origin = FakeOrigin(sender)
    stage.store(3)
    stage.tell(2, origin=origin)
    assert origin.taken, "held because of a hole, and still the courier's to answer"
    assert sender.frames == []
    stage.tell(1, 3)
    assert [method for method, _ in sender.told()] == ["message", "result", "message"]
    assert [method for method, _ in other.told()] == ["message"] * 3


def test_a_sender_outside_the_session_answers_for_itself() -> None:
    stage = Stage()
    stage.join()
    outside = FakeOrigin(FakeLink())
    stage.store()
    stage.tell(1, origin=outside)
    assert not outside.taken
    assert outside.link.frames == []


def test_the_sender_is_known_when_the_database_tells_first() -> None:
    stage = Stage()
    sender = stage.join(FakeLink("d"))
    stage.world.store(S, client_msg_id="k")
    origin = sender.sends[S, "k"] = FakeOrigin(sender)
    stage.feeds.hint(S, 1)
    stage.clock.advance(0)
    stage.tell(1, origin=origin)
    assert [method for method, _ in sender.told()] == ["result"]
    assert origin.taken


def test_after_leaving_nothing_comes_and_the_feed_is_forgotten() -> None:
    stage = Stage()
    link = stage.join()
    feed = stage.feeds.open(S)
    feed.leave(link)
    stage.feeds.close(feed)
    stage.store()
    stage.tell(1)
    assert link.seqs == []
    assert len(stage.feeds) == 0


def test_other_notifications_reach_a_joining_link_after_its_messages() -> None:
    stage = Stage()
    stage.join()
    link = FakeLink()
    stage.expect(link)
    stage.store()
    stage.tell(1)
    stage.feeds.open(S).tell(b"\x81\x1d" + b'{"method":"x","params":{}}   ', 0)
    stage.settle(link, 0)
    assert [method for method, _ in link.told()] == ["message", "x"]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(1, 4)),
        st.tuples(st.just("tell"), st.integers(0, 50)),
        st.tuples(st.just("expect"), st.just(0)),
        st.tuples(st.just("snapshot"), st.integers(0, 5)),
        st.tuples(st.just("settle"), st.integers(0, 5)),
        st.tuples(st.just("hint"), st.integers(-3, 3)),
        st.tuples(st.just("wait"), st.integers(0, 200)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("away"), st.booleans().map(int)),
    ),
    max_size=60,
)


class Play:
    """Random steps; in the end each settled link must have seen a dense run to the newest."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.untold: list[int] = []
        self.expected: list[FakeLink] = []
        self.snapshots: dict[FakeLink, int] = {}
        self.settled: dict[FakeLink, int] = {}

    def store(self, number: int) -> None:
        before = len(self.stage.world.logs[S])
        self.stage.store(number)
        self.untold += range(before + 1, before + number + 1)

    def tell(self, pick: int) -> None:
        """Tell of any message not told yet, in any order; some are never told."""
        if self.untold:
            self.stage.tell(self.untold.pop(pick % len(self.untold)))

    def expect(self, _: int) -> None:
        link = FakeLink()
        self.stage.expect(link)
        self.expected.append(link)

    def snapshot(self, pick: int) -> None:
        if self.expected:
            link = self.expected.pop(pick % len(self.expected))
            self.snapshots[link] = len(self.stage.world.logs[S])

    def settle(self, pick: int) -> None:
        if self.snapshots:
            link = list(self.snapshots)[pick % len(self.snapshots)]
            after = self.settled[link] = self.snapshots.pop(link)
            self.stage.settle(link, after)

    def leave(self, pick: int) -> None:
        if self.settled:
            link = list(self.settled)[pick % len(self.settled)]
            self.check_dense(link, self.settled.pop(link))
            feed = self.stage.feeds.open(S)
            feed.leave(link)
            self.stage.feeds.close(feed)

    def hint(self, offset: int) -> None:
        self.stage.feeds.hint(S, max(0, len(self.stage.world.logs[S]) + offset))

    def wait(self, ms: int) -> None:
        self.stage.clock.advance(ms / 1000)

    def away(self, away: int) -> None:
        self.stage.db.away = bool(away)

    def check_dense(self, link: FakeLink, after: int) -> None:
        assert link.seqs == list(range(after + 1, after + 1 + len(link.seqs)))


@given(_STEPS)
def test_any_interleaving_is_a_dense_run_for_each_link(steps: list[tuple[str, int]]) -> None:
    play = Play()
    for name, argument in steps:
        step: Callable[[int], None] = getattr(play, name)
        step(argument)
        for link, after in play.settled.items():
            play.check_dense(link, after)
    play.away(0)
    newest = len(play.stage.world.logs[S])
    play.hint(0)
    play.stage.clock.pump([RETRY] * 5)
    for link, after in play.settled.items():
        assert link.seqs == list(range(after + 1, newest + 1))
