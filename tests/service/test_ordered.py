from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from imd.service.ordered import OrderedService, Steps
from tests.service.fakes import Recorded


class House:
    """Three steps whose starts and stops are Deferreds in our hands."""

    names = ("store", "courier", "port")

    def __init__(self) -> None:
        self.clock = Clock()
        self.did: list[str] = []
        self.failures: list[Failure] = []
        self.starts: dict[str, Deferred[None]] = {name: Deferred() for name in self.names}
        self.stops: dict[str, Deferred[None]] = {name: Deferred() for name in self.names}
        self.service = OrderedService(self.start, self.clock, self.failures.append)

    async def start(self, steps: Steps) -> None:
        for name in self.names:
            self.did.append(f"start {name}")
            await self.starts[name]
            steps.add(name, partial(self.stop, name), 2.0)

    def stop(self, name: str) -> Deferred[None]:
        self.did.append(f"stop {name}")
        return self.stops[name]

    def up(self) -> None:
        self.service.startService()
        for name in self.names:
            self.starts[name].callback(None)
        self.did.clear()


def test_each_step_starts_after_the_former_is_up():
    house = House()
    house.service.startService()
    assert house.did == ["start store"]
    house.starts["store"].callback(None)
    assert house.did == ["start store", "start courier"]
    house.starts["courier"].callback(None)
    assert house.did[-1] == "start port"


def test_they_stop_in_reverse_each_after_the_former_is_down():
    house, done = House(), []
    house.up()
    house.service.stopService().addCallback(done.append)
    assert house.did == ["stop port"]
    house.stops["port"].callback(None)
    assert house.did == ["stop port", "stop courier"]
    house.stops["courier"].callback(None)
    house.stops["store"].callback(None)
    assert done == [None] and house.clock.getDelayedCalls() == []
    house.service.stopService().addCallback(done.append)
    assert done == [None, None] and len(house.did) == 3


def test_a_stuck_step_is_logged_and_passed():
    house, done = House(), []
    house.up()
    with Recorded() as events:
        house.service.stopService().addCallback(done.append)
        house.clock.advance(1.9)
        assert house.did == ["stop port"]
        house.clock.advance(0.1)
    assert house.did == ["stop port", "stop courier"]
    assert [event["step"] for event in events] == ["port"]
    house.stops["courier"].callback(None)
    house.stops["store"].callback(None)
    assert done == [None] and house.clock.getDelayedCalls() == []


def test_a_step_that_fails_to_stop_is_logged_and_passed():
    house, done = House(), []
    house.up()
    with Recorded() as events:
        house.service.stopService().addCallback(done.append)
        house.stops["port"].errback(OSError("no"))
    assert house.did[-1] == "stop courier"
    assert events[0]["step"] == "port" and events[0]["log_failure"].check(OSError)


def test_a_failed_start_stops_what_was_up_and_says_so_once():
    house = House()
    house.service.startService()
    house.starts["store"].callback(None)
    house.starts["courier"].errback(OSError("no"))
    assert house.did == ["start store", "start courier", "stop store"] and house.failures == []
    house.stops["store"].callback(None)
    (failure,) = house.failures
    assert failure.check(OSError)


def test_a_stop_during_the_start_cancels_it_and_stops_what_was_up():
    house, done = House(), []
    house.service.startService()
    house.starts["store"].callback(None)
    house.service.stopService().addCallback(done.append)
    assert house.did == ["start store", "start courier", "stop store"]
    house.stops["store"].callback(None)
    assert done == [None] and house.failures == []
