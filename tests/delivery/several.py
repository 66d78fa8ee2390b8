"""Two processes of one store in one test: a world, a street between two couriers, a clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from imd.delivery.admission import Admission
from imd.delivery.bus import MemoryBus, Street
from imd.delivery.courier import Courier
from imd.delivery.hearing import Hearing
from imd.delivery.registry import Registry
from imd.delivery.sweep import Sweep
from imd.domain.client_types import ClientType
from imd.domain.message import Message
from imd.domain.topic import Topic
from imd.wire.hints import AnyHint, Bundle
from tests.delivery.links import FakeLink
from tests.websocket.fakes_live import NOW, FakeDatabase, World

S, T = "s", "t"
EVERY = 2.0


class Process:
    """One process; ``up`` False takes its hearing away, as a Redis that is gone."""

    def __init__(self, town: Town, name: str) -> None:
        self.town, self.up = town, True
        self.db = FakeDatabase(town.world)
        self.registry = Registry(0)
        self.bus = MemoryBus(
            town.street, town.clock, epoch=self.db.epoch, origin=name, now=town.now
        )
        self.courier = Courier(self.db, self.registry, town.clock, town.now, self.bus)
        self.admission = Admission(self.registry, self.courier.feeds, self.courier.badges)
        self.sweep = Sweep(self.db, self.courier, town.clock, town.now, lambda: self.up, EVERY)
        self.looks = 0
        self.hearing = Hearing(self.db, self.courier, self.sweep, town.clock, town.now, self._look)
        self.bus._listener = self
        town.street.seats.append(self.bus)
        self.sweep.start()

    def _look(self) -> None:
        self.looks += 1

    # ---- the listener

    def regained(self) -> None:
        self.hearing.regained()

    def hear(self, bundle: Bundle) -> None:
        if self.up:
            self.hearing.hear(bundle)

    def forged(self, *hints: AnyHint) -> None:
        self.hear(Bundle(self.db.epoch, "forger", 1, list(hints)))

    # ---- what happens here

    def inside(self, user_id: str = "p", session_id: str = S, **more: Any) -> FakeLink:
        link = FakeLink(user_id, **more)
        self.admission.admit(link)
        self.admission.expect(link, session_id)
        self.admission.settle(
            link, len(self.town.world.logs[session_id]), self.town.world.rosters[session_id]
        )
        return link

    def outer(self, user_id: str, **more: Any) -> FakeLink:
        kind = ClientType.PATIENT_SYSTEM if user_id == "p" else ClientType.DOCTOR_SYSTEM
        link = FakeLink(user_id, kind, **more)
        self.admission.admit(link)
        total = sum(self.town.world.sessions.unread(user_id, link.sid).values())
        self.admission.welcome(link, total)
        return link

    def send(self, session_id: str = S, sender: str = "d", **changes: Any) -> Message:
        made = self.town.world.store(session_id, sender, timestamp=self.town.now(), **changes)
        self.courier.committed([self.town.world.committed(made)])
        return made


class Town:
    """Two processes over sessions s and t of d and p; x is a stranger."""

    def __init__(self) -> None:
        self.world, self.clock, self.street = World(), Clock(), Street()
        for session_id in (S, T):
            self.world.open(session_id, "d", "p")
        self.here, self.there = Process(self, "here"), Process(self, "there")

    def now(self) -> int:
        return NOW + round(self.clock.seconds() * 1000)

    def after(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def at_once(self) -> None:
        """Let what is under way arrive."""
        for _ in range(4):
            self.clock.advance(0)

    def lose(self) -> None:
        """Redis goes."""
        self.here.up = self.there.up = False

    def regain(self) -> None:
        self.here.up = self.there.up = True
        self.here.regained()
        self.there.regained()


def topic(session_id: str = S) -> Topic:
    marks: dict[str, Any] = dict.fromkeys(Topic.__slots__)
    marks.update(id="c1", session_id=session_id, session_type=9, status=0, reply=1)
    return Topic(**marks)
