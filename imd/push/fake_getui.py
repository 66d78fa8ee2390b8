"""A Getui (REST v2) to try imd with: it checks signatures, token life, ids, lengths and repeats.

``imdctl fake-wechat`` serves it beside the WeChat, the tests stand it in Getui's place.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from imd.push.getui import signature

#: an answer that is not in the documents: status, headers, body
Odd = tuple[int, dict[str, str], bytes]
#: gives seconds
Clock = Callable[[], float]


class FakeGetui(Resource):
    """One application. ``unknown`` are devices that it does not know; ``script`` as WeChat's."""

    isLeaf = True

    def __init__(
        self,
        now: Clock,
        app_id: str = "gt-app",
        app_key: str = "gt-key",
        master_secret: str = "gt-master",
        token_seconds: int = 86_400,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now, self._app_id, self._app_key = now, app_id, app_key
        self._master_secret, self.token_seconds = master_secret, token_seconds
        self.script: deque[int | Odd | None] = deque()
        self.unknown: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self._tokens: dict[str, float] = {}
        self._ids: set[str] = set()
        self._held: list[Request] = []

    def render_POST(self, request: Request) -> bytes | int:
        path = (request.path or b"").decode()
        self.calls[path] += 1
        said = json.loads(request.content.read())  # type: ignore[union-attr]
        if path == f"/v2/{self._app_id}/auth":
            return _answer(request, self._auth(said))
        if path != f"/v2/{self._app_id}/push/single/cid":
            request.setResponseCode(404)
            return b""
        if self.script:
            odd = self.script.popleft()
            if odd is None:
                self._held.append(request)
                return NOT_DONE_YET
            if not isinstance(odd, int):
                request.setResponseCode(odd[0])
                return odd[2]
            return _answer(request, {"code": odd, "msg": "scripted"})
        token = request.getHeader("token") or ""
        if self._tokens.get(token, 0.0) <= self._now():
            request.setResponseCode(401)
            return _answer(request, {"code": 10001, "msg": "token is invalid"})
        return _answer(request, self._push(said))

    def expire_tokens(self) -> None:
        """From now on every token that was handed out is too old."""
        self._tokens = {}

    def _auth(self, said: dict[str, Any]) -> dict[str, Any]:
        timestamp = str(said.get("timestamp", ""))
        expected = signature(self._app_key, timestamp, self._master_secret)
        if said.get("appkey") != self._app_key or said.get("sign") != expected:
            return {"code": 10003, "msg": "sign is invalid"}
        if abs(int(timestamp) / 1000 - self._now()) > 600:
            return {"code": 10003, "msg": "timestamp is invalid"}
        token = f"gt-token-{sum(self.calls.values())}"
        ends = self._now() + self.token_seconds
        self._tokens[token] = ends
        return {
            "code": 0,
            "msg": "",
            "data": {"token": token, "expire_time": str(round(ends * 1000))},
        }

    def _push(self, said: dict[str, Any]) -> dict[str, Any]:
        id_, cids = said.get("request_id"), said.get("audience", {}).get("cid")
        if not isinstance(id_, str) or not 10 <= len(id_) <= 32:
            return {"code": 20001, "msg": "request_id is invalid"}
        if not isinstance(cids, list) or len(cids) != 1:
            return {"code": 20001, "msg": "audience is invalid"}
        notification = said.get("push_message", {}).get("notification", {})
        if not 0 < len(notification.get("title", "")) <= 50:
            return {"code": 20001, "msg": "title is invalid"}
        if not 0 < len(notification.get("body", "")) <= 256:
            return {"code": 20001, "msg": "body is invalid"}
        if cids[0] in self.unknown:
            return {"code": 20001, "msg": "target user is invalid"}
        if id_ not in self._ids:  # a repeat is answered as if it went out, and does not
            self._ids.add(id_)
            self.sent.append({**said, "time": self._now()})
        return {"code": 0, "msg": "", "data": {"task": {cids[0]: "successed_offline"}}}


def _answer(request: Request, value: dict[str, Any]) -> bytes:
    request.setHeader("Content-Type", "application/json;charset=utf-8")
    return json.dumps(value, ensure_ascii=False).encode()
