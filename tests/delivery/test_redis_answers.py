"""An answer of Redis arrives as it was sent, whatever it is made of."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor

from imd.delivery.redis_line import Line, place_of
from tests.redis_server import RedisServer
from tests.storage.ground import until

reactor: Any = _reactor


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        ("{{'a'},{'b'},{'c'}}", [[b"a"], [b"b"], [b"c"]]),
        ("{'a','b','c','d','e'}", [b"a", b"b", b"c", b"d", b"e"]),
        ("{{'a'},{'b'},{'c'},{'d'}}", [[b"a"], [b"b"], [b"c"], [b"d"]]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_list_is_whole_however_many_processes_there_are(made: str, wanted: object) -> None:
    with RedisServer() as redis:
        line = Line(place_of(redis.url, None, reactor), reactor, Random(1))
        line.start()
        try:
            await until(lambda: line.connection is not None)
            assert line.connection is not None
            answer = line.connection.ask("EVAL", f"return {made}", 0)
            answer.addTimeout(5, reactor)
            assert await answer == wanted
        finally:
            line.stop()
