"""A WeChat to try imd with: as strict as the real one about what it documents, and scriptable.

``imdctl fake-wechat`` serves it, the tests stand it in WeChat's place. It checks tokens and their
life, the shape and length of every value, quotas and repeats, and keeps what it was sent.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from imd.push.fake_getui import Clock, FakeGetui, Odd
from imd.push.fitting import LENGTHS, LONGEST, kind_of

_DAY: Final = 86_400.0


class FakeWechat(Resource):
    """One account. ``now`` gives seconds; ``token_seconds`` is the life of its tokens.

    ``script`` holds what the next sends are answered in place of the truth: an errcode, an
    :data:`Odd` answer, or None for no answer at all. ``refusing`` maps an openid to its errcode.
    """

    isLeaf = True

    def __init__(
        self,
        now: Clock,
        app_id: str = "wx0123456789abcdef",
        secret: str = "0123456789abcdef0123456789abcdef",
        token_seconds: int = 7200,
        templates: frozenset[str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now, self._app_id, self._secret = now, app_id, secret
        self.token_seconds, self._templates = token_seconds, templates
        self.daily_quota, self.minute_quota = 100_000, 10_000
        self.script: deque[int | Odd | None] = deque()
        self.token_script: deque[int | Odd | None] = deque()
        self.refusing: dict[str, int] = {}
        #: what was accepted, each once; and how often each path was asked
        self.sent: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.call_times: list[float] = []
        #: openids of the mini-program and how many messages they still agreed to
        self.credits: dict[str, int] = {}
        self._tokens: dict[str, float] = {}
        self._current = ""
        self._repeats: dict[tuple[str, str], float] = {}
        self._held: list[Request] = []

    # ---- HTTP

    def render_POST(self, request: Request) -> bytes | int:
        path = (request.path or b"").decode()
        self.calls[path] += 1
        body = request.content.read()  # type: ignore[union-attr]
        try:
            said = json.loads(body)
        except ValueError:
            return self._answer(request, {"errcode": 47001, "errmsg": "data format error"})
        if path == "/cgi-bin/stable_token":
            return self._scripted(request, self.token_script, lambda: self._token(said))
        if path == "/cgi-bin/message/template/send":
            self.call_times.append(self._now())
            return self._scripted(request, self.script, lambda: self._template(request, said))
        if path == "/cgi-bin/message/subscribe/send":
            self.call_times.append(self._now())
            return self._scripted(request, self.script, lambda: self._subscribe(request, said))
        request.setResponseCode(404)
        return b""

    def render_GET(self, request: Request) -> bytes:
        """What was sent, for people: ``/_sent``."""
        if request.path != b"/_sent":
            request.setResponseCode(404)
            return b""
        return self._answer(request, self.told())

    def told(self) -> dict[str, Any]:
        """What was accepted, and how often each path was asked."""
        return {"sent": self.sent, "calls": dict(self.calls)}

    def _scripted(
        self,
        request: Request,
        script: deque[int | Odd | None],
        truth: Callable[[], dict[str, Any]],
    ) -> bytes | int:
        if not script:
            return self._answer(request, truth())
        odd = script.popleft()
        if odd is None:
            self._held.append(request)
            return NOT_DONE_YET
        if isinstance(odd, int):
            return self._answer(request, {"errcode": odd, "errmsg": "scripted"})
        status, headers, body = odd
        request.setResponseCode(status)
        for name, value in headers.items():
            request.setHeader(name, value)
        return body

    @staticmethod
    def _answer(request: Request, value: dict[str, Any]) -> bytes:
        request.setHeader("Content-Type", "application/json; encoding=utf-8")
        return json.dumps(value, ensure_ascii=False).encode()

    # ---- tokens

    def _token(self, said: dict[str, Any]) -> dict[str, Any]:
        if said.get("grant_type") != "client_credential":
            return _error(40002)
        if said.get("appid") != self._app_id:
            return _error(40013)
        if said.get("secret") != self._secret:
            return _error(40125)
        now = self._now()
        if said.get("force_refresh") or self._tokens.get(self._current, 0.0) <= now:
            self._tokens.pop(self._current, None)
            self._current = f"token-{len(self._tokens)}-{self.calls['/cgi-bin/stable_token']}"
            self._tokens[self._current] = now + self.token_seconds
        left = round(self._tokens[self._current] - now)
        return {"access_token": self._current, "expires_in": max(1, left)}

    def expire_tokens(self) -> None:
        """From now on every token that was handed out is too old."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def _bad_token(self, request: Request) -> int | None:
        (token,) = (request.args or {}).get(b"access_token", [b""])[:1]
        ends = self._tokens.get(token.decode())
        if ends is None:
            return 40001
        return 42001 if ends <= self._now() else None

    # ---- messages

    def _template(self, request: Request, said: dict[str, Any]) -> dict[str, Any]:
        wrong = self._bad_token(request) or self._bad_message(said)
        if wrong:
            return _error(wrong)
        openid, now = said["touser"], self._now()
        repeat = (openid, said.get("client_msg_id", ""))
        if repeat[1] and self._repeats.get(repeat, -_DAY) + 600 > now:
            return {"errcode": 0, "errmsg": "ok", "msgid": 1}
        if spent := self._spent(now):
            return _error(spent)
        self._repeats[repeat] = now
        self.sent.append({**said, "time": now})
        return {"errcode": 0, "errmsg": "ok", "msgid": len(self.sent)}

    def _subscribe(self, request: Request, said: dict[str, Any]) -> dict[str, Any]:
        wrong = self._bad_token(request) or self._bad_message(said)
        if wrong:
            return _error(wrong)
        if self.credits.get(said["touser"], 0) <= 0:
            return _error(43101)
        self.credits[said["touser"]] -= 1
        self.sent.append({**said, "time": self._now()})
        return {"errcode": 0, "errmsg": "ok"}

    def _bad_message(self, said: dict[str, Any]) -> int | None:
        openid, template, data = (said.get(key) for key in ("touser", "template_id", "data"))
        if not isinstance(openid, str) or not openid:
            return 40003
        if openid in self.refusing:
            return self.refusing[openid]
        if not template or (self._templates is not None and template not in self._templates):
            return 40037
        if not isinstance(data, dict):
            return 47001
        return next((47003 for key, value in data.items() if not _fits(key, value)), None)

    def _spent(self, now: float) -> int | None:
        today = sum(message["time"] > now - _DAY for message in self.sent)
        minute = sum(message["time"] > now - 60 for message in self.sent)
        if today >= self.daily_quota:
            return 45009
        return 45011 if minute >= self.minute_quota else None


class Providers(FakeWechat):
    """A WeChat with a Getui behind the same port: the latter's paths begin with ``/v2/``."""

    def __init__(self, now: Clock, getui: FakeGetui, app_id: str, secret: str) -> None:
        super().__init__(now, app_id, secret)
        self._getui = getui

    def render_POST(self, request: Request) -> bytes | int:
        if (request.path or b"").startswith(b"/v2/"):
            return self._getui.render_POST(request)
        return super().render_POST(request)

    def told(self) -> dict[str, Any]:
        """What both were sent."""
        return {**super().told(), "app": self._getui.sent}


def _fits(key: str, value: object) -> bool:
    text = value.get("value") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        return False
    return len(text) <= LENGTHS.get(kind_of(key), LONGEST)


def _error(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": "refused"}
