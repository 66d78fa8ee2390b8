"""Who comes and goes: once for any number of sockets, and not for a change of pages."""

from __future__ import annotations

from twisted.internet.task import Clock

from imd.delivery.bus import MemoryBus, Street
from imd.delivery.courier import Courier
from imd.delivery.presence import LocalPresence
from imd.delivery.registry import Registry
from imd.domain.client_types import ClientType
from imd.service.comings import PATIENCE, Comings
from tests.delivery.links import FakeLink


class World:
    def __init__(self) -> None:
        self.clock, self.said = Clock(), list[tuple[str, bool]]()
        registry = Registry(0)
        bus = MemoryBus(Street(), self.clock, epoch="e", origin="o", now=lambda: 0)
        courier = Courier(None, registry, self.clock, lambda: 0, bus)  # type: ignore[arg-type]
        self.comings = Comings(self.clock, registry, courier.feeds, courier.badges)
        self.comings.watch(LocalPresence(registry), self.tell)

    async def tell(self, user_id: str, online: bool) -> None:
        self.said.append((user_id, online))

    def come(self, user_id: str = "P1") -> FakeLink:
        link = FakeLink(user_id, ClientType.PATIENT_SYSTEM)
        self.comings.admit(link)
        return link


def test_a_user_with_several_sockets_comes_once_and_goes_with_the_last() -> None:
    world = World()
    first, second = world.come(), world.come()
    assert world.said == [("P1", True)]
    world.comings.leave(first)
    world.clock.advance(PATIENCE)
    assert world.said == [("P1", True)]
    world.comings.leave(second)
    world.clock.advance(PATIENCE - 0.1)
    assert world.said == [("P1", True)]
    world.clock.advance(0.2)
    assert world.said == [("P1", True), ("P1", False)]


def test_a_change_of_pages_is_no_going() -> None:
    world = World()
    for _ in range(5):
        world.comings.leave(world.come())
        world.clock.advance(PATIENCE / 2)
    assert world.said == [("P1", True)]
    world.clock.advance(PATIENCE)
    assert world.said == [("P1", True), ("P1", False)]


def test_at_a_stop_nobody_is_said_to_be_gone() -> None:
    world = World()
    world.comings.leave(world.come())
    world.comings.stop()
    world.clock.advance(2 * PATIENCE)
    assert world.said == [("P1", True)]
    assert world.clock.getDelayedCalls() == []
