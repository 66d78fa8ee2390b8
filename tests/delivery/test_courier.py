"""Page 3.3: who is told what; page 2.7: who is closed."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.actions.ports import Committed, Presence
from imd.actions.ports import Courier as CourierPort
from imd.delivery.admission import Admission
from imd.delivery.badges import PAUSE
from imd.delivery.courier import TYPING_PAUSE, Courier
from imd.delivery.notices import RETRY
from imd.delivery.presence import LocalPresence
from imd.delivery.registry import Registry
from imd.domain.client_types import ClientType
from imd.domain.errors import RateLimited
from imd.domain.message import Message
from imd.domain.participant import Marked
from imd.domain.topic import Topic
from imd.wire.closing import Close
from tests.delivery.links import FakeLink
from tests.websocket.fakes_live import NOW, FakeDatabase, World

S, T = "s", "t"
OUTER_P, OUTER_D = ClientType.PATIENT_SYSTEM, ClientType.DOCTOR_SYSTEM


def topic(session_id: str = S) -> Topic:
    marks: dict[str, Any] = dict.fromkeys(Topic.__slots__)
    marks.update(id="c1", session_id=session_id, session_type=9, status=0, reply=1)
    return Topic(**marks)


class Post:
    """A courier over a world of two sessions of d and p; x is a stranger."""

    def __init__(self, most: int = 20) -> None:
        self.world, self.clock, self.news = World(), Clock(), list[tuple[str, bool]]()
        for session_id in (S, T):
            self.world.open(session_id, "d", "p")
        self.db = FakeDatabase(self.world)
        self.registry = Registry(most)
        self.registry.watch = lambda user, online: self.news.append((user, online))
        now = lambda: NOW + round(self.clock.seconds() * 1000)  # noqa: E731
        self.courier = Courier(self.db, self.registry, self.clock, now)
        self.admission = Admission(self.registry, self.courier.feeds, self.courier.badges)

    def inside(self, user_id: str = "p", session_id: str = S, **more: Any) -> FakeLink:
        link = FakeLink(user_id, **more)
        self.admission.admit(link)
        self.admission.expect(link, session_id)
        self.admission.settle(
            link, len(self.world.logs[session_id]), self.world.rosters[session_id]
        )
        return link

    def outer(self, user_id: str, **more: Any) -> FakeLink:
        link = FakeLink(user_id, OUTER_P if user_id == "p" else OUTER_D, **more)
        self.admission.admit(link)
        total = sum(self.world.sessions.unread(user_id, link.sid).values())
        self.admission.welcome(link, total)
        return link

    def send(self, session_id: str = S, sender: str = "d", **changes: Any) -> Message:
        made = self.world.store(session_id, sender, **changes)
        self.courier.committed([self.world.committed(made)])
        return made

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def post() -> Post:
    return Post()


def test_it_is_what_actions_ask_for(post: Post) -> None:
    courier: CourierPort = post.courier
    presence: Presence = LocalPresence(post.registry)
    assert isinstance(courier, Courier)
    assert isinstance(presence, LocalPresence)


def test_a_notice_for_each_counted_message_to_the_others_outer_sockets(post: Post) -> None:
    patient, doctor, stranger = post.outer("p"), post.outer("d"), post.outer("x")
    first = post.send()
    post.send(type=2105)
    post.send(T)
    notices = patient.told("notice")
    assert [(n["session_id"], n["session_type"], n["unread"]) for n in notices] == [
        (S, 9, 1),
        (T, 9, 1),
    ]
    assert notices[0]["last_message"] == {
        "id": first.id,
        "seq": 1,
        "sender_id": "d",
        "sender_name": None,
        "type": 1,
        "content": "第1",
        "timestamp": first.timestamp,
    }
    assert patient.told("message") == []
    assert doctor.told() == stranger.told() == []


def test_without_outer_sockets_nothing_is_asked(post: Post) -> None:
    post.inside()
    post.send()
    post.courier.session_changed(post.world.sessions.session(S), 0)
    assert post.db.reads == 0


def test_one_query_at_a_time_for_all_that_gathered(post: Post) -> None:
    link = post.outer("p")
    post.db.patient = True
    post.send()
    post.send(T)
    post.send()
    assert len(post.db.waiting) == 1
    post.db.go()
    assert len(post.db.waiting) == 1
    post.db.go()
    assert post.db.waiting == []
    assert [(n["session_id"], n["last_message"]["seq"]) for n in link.told("notice")] == [
        (S, 1),
        (T, 1),
        (S, 2),
    ]


def test_notices_wait_for_an_absent_database(post: Post) -> None:
    link = post.outer("p")
    post.db.away = True
    post.send()
    post.send()
    post.db.away = False
    post.after(RETRY)
    assert [n["last_message"]["seq"] for n in link.told("notice")] == [1, 2]


def test_badges_come_at_most_once_a_second_and_the_last_one_always(post: Post) -> None:
    link, sender = post.outer("p"), post.outer("d")
    for number in range(10):
        post.send((S, T)[number % 2])
        post.after(0.01)
    assert [b["badge_no"] for b in link.told("badge")] == [1]
    post.after(PAUSE)
    assert [b["badge_no"] for b in link.told("badge")] == [1, 10]
    post.world.members[S]["p"].read_seq = 5
    post.courier.marked(Marked(S, "p", 5, 5, 0, True, 0))
    post.after(PAUSE)
    assert [b["badge_no"] for b in link.told("badge")] == [1, 10, 5]
    assert sender.told("badge") == []
    reads = post.db.reads
    post.after(60)
    assert post.db.reads == reads


def test_a_badge_that_did_not_change_is_not_sent(post: Post) -> None:
    post.world.store(S)
    link = post.outer("p")
    post.courier.badges.stale("p")
    post.after(PAUSE)
    assert link.told("badge") == []


def test_a_sender_who_had_unread_messages_has_fewer(post: Post) -> None:
    post.world.store(S, "d")
    link = post.outer("p")
    post.send(S, "p")
    post.after(PAUSE)
    assert [b["badge_no"] for b in link.told("badge")] == [0]


def test_a_badge_is_tried_again_when_the_database_is_back(post: Post) -> None:
    link = post.outer("p")
    post.send()
    post.db.away = True
    post.after(0)
    post.db.away = False
    post.after(PAUSE)
    assert [b["badge_no"] for b in link.told("badge")] == [1]


def test_a_token_limited_to_sessions_learns_of_no_other(post: Post) -> None:
    link = post.outer("p", sid=frozenset({S}))
    post.send(T)
    post.send(S)
    post.after(PAUSE)
    assert [n["session_id"] for n in link.told("notice")] == [S]
    assert [b["badge_no"] for b in link.told("badge")] == [1]


def test_session_and_topic_reach_inside_and_outer_members(post: Post) -> None:
    links = [post.inside("p"), post.outer("p"), post.outer("d")]
    others = [post.outer("x"), post.inside("p", T)]
    post.courier.session_changed(post.world.sessions.session(S), 0)
    post.courier.topic_changed(topic(), 0)
    for link in links:
        assert [m for m, _ in link.told()] == ["session", "topic"]
    assert all(link.told() == [] for link in others)


def test_an_answered_topic_follows_its_message(post: Post) -> None:
    inside, outer = post.inside("p"), post.outer("p")
    made = post.world.store(S)
    post.courier.committed([Committed(made, 9, 1, 0, answered=topic())])
    assert [m for m, _ in inside.told()] == ["message", "topic"]
    assert [m for m, _ in outer.told()] == ["notice", "topic"]


def test_update_and_read_reach_inside_sockets_only(post: Post) -> None:
    inside, outer = post.inside("d"), post.outer("d")
    post.courier.updated(post.world.store(S), 0)
    post.courier.marked(Marked(S, "p", 3, 3, 0, True, 0))
    post.courier.marked(Marked(S, "p", 3, 4, 0, False, 0))
    assert [m for m, _ in inside.told()] == ["update", "read"]
    assert inside.told("read") == [{"session_id": S, "user_id": "p", "read_seq": 3}]
    assert outer.told() == []


def test_typing_is_relayed_to_the_others_at_most_every_three_seconds(post: Post) -> None:
    typist, other = post.inside("p"), post.inside("d")
    post.courier.typing(S, "p", typist)
    post.courier.typing(S, "p", typist)
    post.courier.typing(S, "d", other)
    post.after(TYPING_PAUSE / 1000)
    post.courier.typing(S, "p", typist)
    post.courier.typing("elsewhere", "p", typist)
    assert other.told("typing") == [{"session_id": S, "user_id": "p"}] * 2
    assert len(typist.told("typing")) == 1


def test_an_expelled_member_is_closed_and_hears_nothing_more(post: Post) -> None:
    gone, joining, elsewhere = post.inside("p"), FakeLink("p"), post.inside("p", T)
    stays = post.inside("d")
    post.admission.admit(joining)
    post.admission.expect(joining, S)
    post.courier.expelled(S, {"p"})
    post.send()
    post.admission.settle(joining, 0, 0)
    assert (gone.closed, joining.closed) == (Close.NOT_A_MEMBER, Close.NOT_A_MEMBER)
    assert gone.told() == joining.told() == []
    assert (elsewhere.closed, stays.closed) == (None, None)
    assert stays.seqs == [1]


def test_a_revoked_token_ends_all_its_links(post: Post) -> None:
    links = [post.inside("p", fingerprint="f"), post.outer("p", fingerprint="f")]
    joining = FakeLink("p", fingerprint="f")
    post.admission.admit(joining)
    other = post.inside("p", fingerprint="g")
    post.courier.revoked("f")
    assert all(link.closed is Close.NOT_A_MEMBER for link in [*links, joining])
    assert other.closed is None


def test_moving_to_another_session(post: Post) -> None:
    link = post.inside("p", S)
    post.admission.expect(link, T)
    post.send(S)
    post.send(T)
    post.admission.depart(link)
    post.send(S)
    post.admission.settle(link, 0, 0)
    assert [(m["session_id"], m["seq"]) for m in link.told("message")] == [(S, 1), (T, 1)]


def test_a_refused_move_changes_nothing(post: Post) -> None:
    link = post.inside("p", S)
    post.admission.expect(link, T)
    post.admission.forsake(link)
    post.send(S)
    post.send(T)
    assert [(m["session_id"], m["seq"]) for m in link.told("message")] == [(S, 1)]


def test_entering_the_same_session_again(post: Post) -> None:
    link = post.inside("p", S)
    post.admission.expect(link, S)
    post.send()
    post.admission.depart(link)
    post.admission.settle(link, 1, 0)
    post.send()
    assert link.seqs == [1, 2]


def test_a_user_has_so_many_sockets_and_no_more() -> None:
    post = Post(most=2)
    first = post.inside("p")
    post.outer("p")
    with pytest.raises(RateLimited):
        post.inside("p")
    post.inside("d")
    post.admission.leave(first)
    post.admission.leave(first)
    post.inside("p")


def test_presence_follows_the_links(post: Post) -> None:
    presence, found = LocalPresence(post.registry), list[object]()
    inside, outer = post.inside("p"), post.outer("p")
    Deferred.fromCoroutine(presence.clients(["p", "d"])).addCallback(found.append)
    assert found == [{"p": ["patient", "patient_system"]}]
    assert post.registry.counts[ClientType.PATIENT] == 1
    for link in (inside, outer):
        post.admission.leave(link)
    assert post.news == [("p", True), ("p", False)]
    assert len(post.courier.feeds) == 0
    assert not post.registry.users


def test_after_stop_no_timer_is_left(post: Post) -> None:
    post.outer("p")
    post.inside("p")
    post.send()
    post.courier.feeds.hint(S, 9)
    post.db.away = True
    post.send()
    post.courier.stop()
    post.after(10)
    assert post.clock.getDelayedCalls() == []
