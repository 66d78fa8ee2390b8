"""The floor of any HTTP answer of Twisted: a bare ``twisted.web`` resource, JSON in and out.

Prints the port it listens on. Form parsing is off, as in imd.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

reactor: Any = _reactor


class Messages(Resource):
    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        fields = json.loads(request.content.read())
        request.setHeader(b"Content-Type", b"application/json")
        request.setResponseCode(201)
        answer = {"session_id": request.postpath[1].decode(), **fields}
        return json.dumps(answer, ensure_ascii=False).encode()


if __name__ == "__main__":
    site = Site(Messages(), parsePOSTFormSubmission=False)
    print(reactor.listenTCP(0, site, 512, "127.0.0.1").getHost().port, flush=True)
    reactor.run()
