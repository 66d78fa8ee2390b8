"""The floor of any REST answer here: one Klein route, JSON in and out, nothing else done.

Prints the port it listens on. Form parsing is off, as in imd.
"""

from __future__ import annotations

import json
from typing import Any

from klein import Klein
from twisted.internet import reactor as _reactor
from twisted.web.server import Site

reactor: Any = _reactor
app = Klein()


@app.route("/sessions/<session_id>/messages", methods=["POST"])
def post_message(request: Any, session_id: str) -> bytes:
    fields = json.loads(request.content.read())
    request.setHeader(b"Content-Type", b"application/json")
    request.setResponseCode(201)
    answer = json.dumps({"session_id": session_id, **fields}, ensure_ascii=False).encode()
    request.setHeader(b"Content-Length", b"%d" % len(answer))
    return answer


if __name__ == "__main__":
    site = Site(app.resource(), parsePOSTFormSubmission=False)
    print(reactor.listenTCP(0, site, 512, "127.0.0.1").getHost().port, flush=True)
    reactor.run()
