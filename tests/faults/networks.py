"""Faults of the network: on the ways from clients to nodes, from nodes to database and Redis.

:mod:`tests.faults.catalogue` has them with the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Final

from tests.faults.fault import Fault, Shelf
from tests.faults.proxy import FINE, Proxy, Weather
from tests.faults.world import Node, World

_shelf = Shelf()
_fault = _shelf.put


def _weather(name: str, weather: Weather) -> None:
    """The weather on one node's way to each of the three."""

    def make(way: str, pick: Callable[[Node], Proxy | None], needs: str) -> None:
        async def fault(world: World, random: Random) -> AsyncIterator[None]:
            proxy = pick(random.choice(world.nodes))
            assert proxy is not None
            proxy.set(weather)
            yield
            proxy.set(FINE)

        fault.__name__ = f"{way}-{name}"
        fault.__doc__ = f"{way}: {weather}"
        _fault(f"{way}-network", needs)(fault)

    make("net", lambda node: node.clients, "")
    make("db", lambda node: node.database, "postgres")
    make("bus", lambda node: node.bus, "redis")


_weather("slow", Weather(delay=0.15))
_weather("silent", Weather(silent=True))
_weather("refusing", Weather(refusing=True))
_weather("deaf", Weather(deaf_to="server"))
_weather("cut-answers", Weather(cut_answers=True))


def _strokes(name: str, stroke: Callable[[Proxy, Random], None]) -> None:
    """What is done to open connections, several times while the fault lasts."""

    def make(way: str, pick: Callable[[Node], Proxy | None], needs: str) -> None:
        async def fault(world: World, random: Random) -> AsyncIterator[None]:
            async def strike() -> None:
                while True:
                    for node in world.nodes:
                        proxy = pick(node)
                        if proxy is not None:
                            stroke(proxy, random)
                    await asyncio.sleep(random.uniform(0.2, 0.8))

            striking = asyncio.ensure_future(strike())
            yield
            striking.cancel()

        fault.__name__ = f"{way}-{name}"
        _fault(f"{way}-network", needs)(fault)

    make("net", lambda node: node.clients, "")
    make("db", lambda node: node.database, "postgres")
    make("bus", lambda node: node.bus, "redis")


def _half_close(proxy: Proxy, random: Random) -> None:
    proxy.half_close(random.choice(("client", "server")))


# A cut of all clients at once is a storm of them coming back (F16).
_strokes("cut", lambda proxy, random: proxy.cut())
_strokes("half-close", _half_close)

NETWORK_FAULTS: Final[dict[str, Fault]] = _shelf.faults
