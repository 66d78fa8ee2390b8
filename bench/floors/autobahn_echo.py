"""The floor of any socket answer here: Autobahn sends back what it got. Prints its port."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor as _reactor

reactor: Any = _reactor


class Echo(WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    print(reactor.listenTCP(0, factory, 512, "127.0.0.1").getHost().port, flush=True)
    reactor.run()
