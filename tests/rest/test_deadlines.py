"""Waiting requests end when their time is over, each at its own moment (page 2.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from imd.rest.deadlines import Deadlines
from imd.rest.exchange import Exchange


class Waiting:
    def __init__(self) -> None:
        self.clock = Clock()
        self.over: list[tuple[str, float]] = []
        self.deadlines = Deadlines(self.clock, 10.0, self._overdue)
        self.sore: set[str] = set()

    def add(self, name: str) -> Exchange:
        nothing: Any = None
        exchange = Exchange(nothing, name, self.clock.seconds())
        self.deadlines.add(exchange)
        return exchange

    def _overdue(self, exchange: Exchange) -> None:
        self.over.append((exchange.request_id, self.clock.seconds()))
        if exchange.request_id in self.sore:
            raise ZeroDivisionError


def test_each_is_told_at_its_own_time():
    waiting = Waiting()
    waiting.add("a")
    waiting.clock.advance(3)
    waiting.add("b")
    waiting.add("c")
    for _ in range(20):
        waiting.clock.advance(0.5)
    assert waiting.over == [("a", 10.0), ("b", 13.0), ("c", 13.0)]
    assert waiting.clock.getDelayedCalls() == []


def test_who_is_dropped_is_not_told_and_costs_no_timer():
    waiting = Waiting()
    first = waiting.add("a")
    for number in range(100):
        waiting.deadlines.drop(waiting.add(str(number)))
    waiting.clock.advance(1)
    waiting.add("b")
    waiting.deadlines.drop(first)
    waiting.deadlines.drop(first)
    assert len(waiting.clock.getDelayedCalls()) == 1
    waiting.clock.advance(9)
    assert waiting.over == [] and len(waiting.clock.getDelayedCalls()) == 1
    waiting.clock.advance(1)
    assert waiting.over == [("b", 11.0)]
    assert waiting.clock.getDelayedCalls() == []
    waiting.add("c")
    waiting.clock.advance(10)
    assert waiting.over[1:] == [("c", 21.0)]


def test_one_that_fails_does_not_keep_the_others():
    waiting = Waiting()
    waiting.sore = {"a"}
    for name in "abc":
        waiting.add(name)
    with pytest.raises(ZeroDivisionError):
        waiting.clock.advance(10)
    waiting.clock.advance(0)
    assert [name for name, _ in waiting.over] == ["a", "b", "c"]
