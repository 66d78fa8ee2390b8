"""What Autobahn offers for a fan-out: one prepared frame, sent to all other sockets.

Whoever says something is answered with it when the others have it. Prints its port.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor as _reactor

reactor: Any = _reactor
inside: set[Any] = set()


class Page(WebSocketServerProtocol):
    def onOpen(self) -> None:
        inside.add(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        prepared = self.factory.prepareMessage(payload, isBinary)
        for other in inside:
            if other is not self:
                other.sendPreparedMessage(prepared)
        self.sendMessage(payload, isBinary)  # type: ignore[no-untyped-call]

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        inside.discard(self)


if __name__ == "__main__":
    factory = WebSocketServerFactory()
    factory.protocol = Page
    print(reactor.listenTCP(0, factory, 1024, "127.0.0.1").getHost().port, flush=True)
    reactor.run()
