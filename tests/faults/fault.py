"""What a fault is, and how one is put on a shelf."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import NamedTuple

from tests.faults.world import World

#: begins with the ``with`` block, is over with it
Begin = Callable[[World, Random], AbstractAsyncContextManager[None]]
_Made = Callable[[World, Random], AsyncIterator[None]]


class Fault(NamedTuple):
    """``part`` is what it hurts: two faults of a pair never hurt the same. ``needs`` is what the
    world must have."""

    name: str
    part: str
    needs: str
    begin: Begin


class Shelf:
    """Faults by name; a function's name with hyphens is its fault's."""

    def __init__(self) -> None:
        self.faults: dict[str, Fault] = {}

    def put(self, part: str, needs: str = "") -> Callable[[_Made], Begin]:
        """Makes a fault of the generator that follows."""

        def register(function: _Made) -> Begin:
            name = function.__name__.replace("_", "-")
            begin = asynccontextmanager(function)
            self.faults[name] = Fault(name, part, needs, begin)
            return begin

        return register
