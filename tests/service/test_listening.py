"""A crowd at the port is let in a few at a time, whatever came before it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from imd.service.listening import ACCEPTS, Doorstep

reactor: Any = _reactor


class Counted(Factory):
    def __init__(self) -> None:
        self.number = 0

    def buildProtocol(self, addr: object) -> Protocol:
        self.number += 1
        return Protocol()


@pytest.mark.parametrize("crowds", [[12], [1, 12], [2, 12, 12]], ids=str)
@ensureDeferred
async def test_a_turn_accepts_a_few_of_a_crowd_and_leaves_nobody_outside(crowds) -> None:
    factory = Counted()
    here = TCP4ServerEndpoint(reactor, 0, backlog=50, interface="127.0.0.1")
    port: Any = await Doorstep(factory).listen(here)
    clients = []
    try:
        for crowd in crowds:
            for _ in range(crowd):
                clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            turns: list[int] = []
            while not turns or turns[-1]:
                before = factory.number
                port.doRead()
                turns.append(factory.number - before)
            assert max(turns) <= ACCEPTS and sum(turns) == crowd
            assert len(turns) - 1 == -(-crowd // ACCEPTS)
    finally:
        for client in clients:
            client.close()
        await port.stopListening()
