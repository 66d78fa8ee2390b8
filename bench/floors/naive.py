"""One PostgreSQL transaction for each send, as one writes it on the first day.

Klein, a pool of eight threads with a connection each, three statements in a transaction, then a
frame to the other member's socket. It is the floor of the database's work for a send that is not
grouped, and of the time that a lightly loaded server takes. ``naive.py URL``, of a database with
``seed.sql``, prints its port; the socket takes a login that names ``session_id`` and answers it,
and nothing else.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from typing import Any

import psycopg2
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from klein import Klein
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource
from twisted.web.server import Site

reactor: Any = _reactor
app = Klein()
pool = ThreadPool(8, 8)
local = threading.local()
inside: dict[str, Any] = {}


def store(session_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = local.connection = psycopg2.connect(sys.argv[1])
    id_, now = uuid.uuid4().hex, time.time_ns() // 1_000_000
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM n_members WHERE session_id = %s AND user_id = 'd'", (session_id,)
        )
        assert cursor.fetchone()
        cursor.execute(
            "INSERT INTO n_messages VALUES (%s, %s, 'd', %s, %s, %s, %s)",
            (id_, session_id, fields["type"], fields["content"], fields["client_msg_id"], now),
        )
        cursor.execute(
            "UPDATE n_sessions SET last_id = %s, last_time = %s WHERE id = %s",
            (id_, now, session_id),
        )
    return {"id": id_, "session_id": session_id, "sender_id": "d", "timestamp": now, **fields}


@app.route("/sessions/<session_id>/messages", methods=["POST"])
def post_message(request: Any, session_id: str) -> Deferred[bytes]:
    fields = json.loads(request.content.read())

    def stored(message: dict[str, Any]) -> bytes:
        page = inside.get(session_id)
        if page is not None:
            frame = {"jsonrpc": "2.0", "method": "message", "params": message}
            page.sendMessage(json.dumps(frame, ensure_ascii=False).encode())
        request.setHeader(b"Content-Type", b"application/json")
        request.setResponseCode(201)
        answer = json.dumps(message, ensure_ascii=False).encode()
        request.setHeader(b"Content-Length", b"%d" % len(answer))
        return answer

    return deferToThreadPool(reactor, pool, store, session_id, fields).addCallback(stored)


class Page(WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        login = json.loads(payload)
        inside[login["params"]["session_id"]] = self
        answer = json.dumps({"jsonrpc": "2.0", "id": login["id"], "result": {}})
        self.sendMessage(answer.encode())  # type: ignore[no-untyped-call]


class Root(Resource):
    def getChild(self, path: bytes, request: Any) -> Resource:
        request.prepath.pop()
        request.postpath.insert(0, path)
        rest: Resource = app.resource()
        return rest


if __name__ == "__main__":
    pool.start()
    factory = WebSocketServerFactory()
    factory.protocol = Page
    root = Root()  # type: ignore[no-untyped-call]
    root.putChild(b"ws", WebSocketResource(factory))
    site = Site(root, parsePOSTFormSubmission=False)
    print(reactor.listenTCP(0, site, 512, "127.0.0.1").getHost().port, flush=True)
    reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
    reactor.run()
