"""I8: what is committed after a member was shut out never reaches that member, hint or no hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from imd.delivery.feeds import RETRY
from imd.domain.participant import Marked
from imd.wire.closing import Close
from tests.delivery.links import FakeLink, FakeOrigin
from tests.delivery.several import EVERY, S, Town, topic
from tests.delivery.test_feed import Stage


def test_a_message_after_a_removal_does_not_reach_the_removed() -> None:
    stage = Stage()
    doctor, patient = stage.join(FakeLink("d")), stage.join(FakeLink("p"))
    stage.store()
    stage.tell(1)
    stage.world.unseat(S, "p")
    stage.store()
    stage.tell(2)
    assert (doctor.seqs, patient.seqs) == ([1], [1]), "neither, until the database is asked"
    stage.clock.advance(0)
    assert (doctor.seqs, patient.seqs) == ([1, 2], [1])
    assert (doctor.closed, patient.closed) == (None, Close.NOT_A_MEMBER)
    stage.store()
    stage.tell(3)
    assert doctor.seqs == [1, 2, 3]
    assert stage.db.reads == 1, "one look for each change"


def test_a_message_before_the_removal_is_not_held_back() -> None:
    stage = Stage()
    stage.store()
    stage.world.unseat(S, "p")
    link = stage.join(FakeLink("d"))
    stage.store()
    stage.tell(1, 2)
    assert link.seqs == [2]
    assert stage.db.reads == 0


def test_the_sender_gets_its_result_after_the_look() -> None:
    stage = Stage()
    sender = stage.join(FakeLink("d"))
    stage.world.unseat(S, "p")
    stage.store()
    origin = FakeOrigin(sender)
    stage.tell(1, origin=origin)
    assert origin.taken
    assert sender.frames == []
    stage.clock.advance(0)
    assert [method for method, _ in sender.told()] == ["result"]


def test_nothing_is_told_while_the_database_cannot_say_who_is_a_member() -> None:
    stage = Stage()
    doctor, patient = stage.join(FakeLink("d")), stage.join(FakeLink("p"))
    stage.world.unseat(S, "p")
    stage.store()
    stage.db.away = True
    stage.tell(1)
    stage.clock.advance(0)
    assert (doctor.frames, patient.frames) == ([], [])
    stage.db.away = False
    stage.clock.advance(RETRY)
    assert (doctor.seqs, patient.seqs) == ([1], [])


def test_who_was_let_in_by_an_older_look_waits_for_the_next() -> None:
    """Found to be a member before the removal, and written to after it."""
    stage = Stage()
    late = FakeLink("p")
    stage.expect(late)  # its snapshot is read now, at roster 0
    stage.world.unseat(S, "p")
    doctor = stage.join(FakeLink("d"))
    stage.store()
    stage.tell(1)
    stage.settle(late, 0, 0)
    assert (doctor.seqs, late.seqs) == ([1], [])
    stage.clock.advance(0)
    assert (late.seqs, late.closed) == ([], Close.NOT_A_MEMBER)


def test_a_member_who_was_let_in_by_an_older_look_misses_nothing() -> None:
    stage = Stage()
    stage.world.seat(S, "q")
    late = FakeLink("q")
    stage.expect(late)
    stage.world.unseat(S, "p")
    stage.join(FakeLink("d"))
    stage.store(2)
    stage.tell(1, 2)
    stage.settle(late, 0, 1)
    assert late.seqs == []
    stage.clock.advance(0)
    assert (late.seqs, late.closed) == ([1, 2], None)


def test_who_comes_in_while_it_is_looked_does_not_vouch_for_others() -> None:
    """Its own snapshot was newer than what the others were looked at by."""
    stage = Stage()
    patient = stage.join(FakeLink("p"))
    stage.world.unseat(S, "p")
    doctor = stage.join(FakeLink("d"))
    stage.store()
    stage.tell(1)
    assert (doctor.seqs, patient.seqs) == ([], [])
    stage.clock.advance(0)
    assert (doctor.seqs, patient.seqs) == ([1], [])


def test_who_comes_in_while_a_look_is_under_way_is_looked_at_next() -> None:
    stage = Stage()
    doctor = stage.join(FakeLink("d"))
    late = FakeLink("p")
    stage.expect(late)
    stage.db.patient = True
    stage.world.unseat(S, "p")
    stage.store()
    stage.tell(1)
    stage.clock.advance(0)
    stage.settle(late, 0, 0)
    stage.db.go()
    assert late.seqs == []
    stage.clock.advance(0)
    stage.db.go()
    assert (doctor.seqs, late.seqs, late.closed) == ([1], [], Close.NOT_A_MEMBER)


def test_who_came_in_while_a_hint_was_followed_holds_nobody_up() -> None:
    stage = Stage()
    stage.world.seat(S, "q")
    doctor = stage.join(FakeLink("d"))
    late = FakeLink("q")
    stage.expect(late)
    stage.world.unseat(S, "p")
    stage.store()
    stage.db.patient = True
    stage.feeds.hint(S, 1)
    stage.clock.advance(0)
    stage.settle(late, 0, 1)
    stage.db.go()
    stage.clock.advance(0)
    stage.db.go()
    assert (doctor.seqs, late.seqs) == ([1], [1])


def test_nothing_else_is_told_to_the_removed_either() -> None:
    town = Town()
    town.lose()
    doctor, patient = town.there.inside("d"), town.there.inside("p")
    made = town.there.send()
    town.world.unseat(S, "p")
    before, courier = len(patient.frames), town.there.courier
    courier.updated(made, 1)
    courier.session_changed(town.world.sessions.session(S), 1)
    courier.topic_changed(topic(), 1)
    courier.marked(Marked(S, "d", 1, 1, 0, True, 1))
    town.at_once()
    told = [method for method, _ in doctor.told()]
    assert told == ["message", "update", "session", "topic", "read"]
    assert len(patient.frames) == before
    assert patient.closed is Close.NOT_A_MEMBER


def test_what_a_hint_makes_read_is_not_told_to_the_removed() -> None:
    """Redis brings the update, but lost the removal."""
    town = Town()
    doctor, patient = town.there.inside("d"), town.there.inside("p")
    made = town.here.send()
    town.at_once()
    town.world.unseat(S, "p")
    town.here.courier.updated(made, 1)
    town.at_once()
    assert (len(doctor.told("update")), len(patient.told("update"))) == (1, 0)
    assert patient.closed is Close.NOT_A_MEMBER


def test_without_redis_the_first_message_ends_the_removed() -> None:
    town = Town()
    town.lose()
    doctor, patient = town.there.inside("d"), town.there.inside("p")
    town.world.unseat(S, "p")
    town.here.courier.expelled(S, ["p"])
    town.there.send()
    town.at_once()
    assert town.clock.seconds() < EVERY
    assert (doctor.seqs, patient.seqs) == ([1], [])
    assert patient.closed is Close.NOT_A_MEMBER


USERS = ("d", "p", "q", "r")
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            "store store tell tell expect snapshot settle unseat seat hint wait away patient go"
            " note".split()
        ),
        st.integers(0, 50),
    ),
    max_size=70,
)


class Play:
    """Random steps of members who come, are shut out, and are told of what is stored."""

    def __init__(self) -> None:
        self.stage, self.notes = Stage(), 0
        self.world = self.stage.world
        for user_id in USERS[2:]:
            self.world.seat(S, user_id)
        self.untold: list[int] = []
        self.expected: list[FakeLink] = []
        self.snapshots: dict[FakeLink, tuple[int, int]] = {}
        self.settled: dict[FakeLink, int] = {}
        #: the last seq before each user was shut out, and the last note
        self.shut: dict[str, tuple[int, int]] = {}

    @property
    def newest(self) -> int:
        return len(self.world.logs[S])

    def store(self, _: int) -> None:
        self.stage.store()
        self.untold.append(self.newest)

    def tell(self, pick: int) -> None:
        if self.untold:
            self.stage.tell(self.untold.pop(pick % len(self.untold)))

    def note(self, _: int) -> None:
        """What has no seq and is committed just now."""
        self.notes += 1
        frame = b'{"method":"note","params":%d}' % self.notes
        head = b"\x81" + bytes([len(frame)])
        feed = self.stage.feeds.open(S)
        feed.tell(head + frame, self.world.rosters[S])
        self.stage.feeds.mend(feed)

    def expect(self, pick: int) -> None:
        link = FakeLink(USERS[pick % len(USERS)])
        self.stage.expect(link)
        self.expected.append(link)

    def snapshot(self, pick: int) -> None:
        if self.expected:
            link = self.expected.pop(pick % len(self.expected))
            if link.user_id in self.world.members[S]:
                self.snapshots[link] = self.newest, self.world.rosters[S]
            else:
                self.stage.feeds.open(S).forsake(link)

    def settle(self, pick: int) -> None:
        if self.snapshots:
            link = list(self.snapshots)[pick % len(self.snapshots)]
            after, roster = self.snapshots.pop(link)
            self.settled[link] = after
            self.stage.settle(link, after, roster)

    def unseat(self, pick: int) -> None:
        user_id = USERS[1 + pick % (len(USERS) - 1)]
        if user_id in self.world.members[S]:
            self.world.unseat(S, user_id)
            self.shut[user_id] = self.newest, self.notes

    def seat(self, pick: int) -> None:
        self.world.seat(S, f"other{pick}")

    def hint(self, _: int) -> None:
        self.stage.feeds.hint(S, self.newest)

    def wait(self, ms: int) -> None:
        self.stage.clock.advance(ms / 100)

    def away(self, away: int) -> None:
        self.stage.db.away = bool(away % 2)

    def patient(self, patient: int) -> None:
        self.stage.db.patient = bool(patient % 2)

    def go(self, _: int) -> None:
        if self.stage.db.waiting:
            self.stage.db.go()

    def check(self) -> None:
        for link, after in self.settled.items():
            assert link.seqs == list(range(after + 1, after + 1 + len(link.seqs)))
            last, noted = self.shut.get(link.user_id, (self.newest, self.notes))
            assert all(seq <= last for seq in link.seqs)
            assert all(note <= noted for note in link.told("note"))

    def end(self) -> None:
        """The database is there, and everything is told once more."""
        db = self.stage.db
        db.away = db.patient = False
        while db.waiting:
            db.go()
        self.store(0)
        self.hint(0)
        self.stage.clock.pump([RETRY] * 5)


@given(_STEPS)
def test_no_interleaving_tells_the_removed_or_leaves_a_member_out(
    steps: list[tuple[str, int]],
) -> None:
    play = Play()
    for name, argument in steps:
        step: Callable[[int], Any] = getattr(play, name)
        step(argument)
        play.check()
    play.end()
    play.check()
    for link, after in play.settled.items():
        if link.user_id in play.shut:
            assert link.closed is Close.NOT_A_MEMBER
        else:
            assert link.closed is None
            assert link.seqs == list(range(after + 1, play.newest + 1))
    assert not play.settled or not play.stage.feeds.open(S)._late
