"""Getui (REST v2): app push to the devices that a doctor's app has registered.

The postman hands jobs to the carrier here. One job goes to each of the user's devices; a device
that Getui knows no more is forgotten. https://docs.getui.com/getui/server/rest_v2/push/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from imd.domain.push import Channel, Device, Failure, State
from imd.push.http import Answer, Poster, Unreachable, encode
from imd.push.notice import fields_of
from imd.push.ports import Clock, Failed, Job, Outcome, Refused, Sent, TokenShelf
from imd.push.token import Fresh, NoToken, TokenKeeper

#: how long Getui keeps a push for a device that is off, in ms (its longest is three days)
_TTL: Final = 86_400_000
_IOS: Final = 0
#: seconds after which it is tried again when Getui says "too often" or "no more today"
_MINUTE: Final = 60.0
_BAD_TOKEN: Final = 10001
_BAD_TARGET: Final = 20001
_TOO_OFTEN: Final = frozenset({10009, 10011})
_NO_MORE: Final = frozenset({10010, 10012})
#: what is said of a target that is no device of the application (any more)
_GONE: Final = ("target user is invalid", "cid is invalid", "appid not match cid", "cid not found")
_TAKEN: Final = frozenset({"successed_online", "successed_offline", "successed_ignore"})


class Application(NamedTuple):
    """One application at Getui; ``base_url`` without a slash at its end."""

    app_id: str
    app_key: str
    master_secret: str
    base_url: str

    @property
    def url(self) -> str:
        """Where its calls go; the version belongs to the path."""
        base = self.base_url.removesuffix(f"/{self.app_id}").removesuffix("/v2")
        return f"{base}/v2/{self.app_id}"


def signature(app_key: str, timestamp: str, master_secret: str) -> str:
    """What proves the application at ``/auth``."""
    return hashlib.sha256(f"{app_key}{timestamp}{master_secret}".encode()).hexdigest()


class _Reached(Enum):
    """What became of one device."""

    TAKEN = "taken"
    GONE = "gone"
    REFUSED = "refused"


class AppMessages:
    """Notifications to the devices of a user. ``title`` and ``body`` are format strings."""

    channel = Channel.APP

    def __init__(
        self,
        application: Application,
        poster: Poster,
        clock: Clock,
        shelf: TokenShelf,
        reactor: Any,
        *,
        title: str,
        body: str,
        include_text: bool,
    ) -> None:
        self._application, self._poster, self._clock = application, poster, clock
        self._title, self._body, self._text = title, body, include_text
        name = f"getui:{application.app_id}"
        self._tokens = TokenKeeper(reactor, clock, shelf, name, self._fetch)

    async def send(self, job: Job) -> Outcome:
        """Tell all devices; the job is over when each has been taken or is gone."""
        gone: list[Device] = []
        refused = ""
        taken = 0
        for device in job.facts.devices:
            try:
                answer = await self._push(job, device)
            except (NoToken, Unreachable) as error:
                return Failed(Failure.OUTAGE, error.code)
            verdict = judge(answer, device)
            if isinstance(verdict, Failed):
                return verdict
            if verdict is _Reached.TAKEN:
                taken += 1
            elif verdict is _Reached.GONE:
                gone.append(device)
            else:
                refused = str(answer.json().get("code"))
        if taken:
            return Sent(forget=tuple(gone))
        if refused:
            return Refused(refused, forget=tuple(gone))
        return Refused(str(_BAD_TARGET), forget=tuple(gone), state=State.UNREACHABLE)

    async def _push(self, job: Job, device: Device) -> Answer:
        body = encode(self._message(job, device))
        url = f"{self._application.url}/push/single/cid"
        token = await self._tokens.get()
        answer = await self._poster.post(url, body, {"token": token})
        if answer.status == 401 or answer.json().get("code") == _BAD_TOKEN:
            token = await self._tokens.get(stale=token)
            answer = await self._poster.post(url, body, {"token": token})
        return answer

    def _message(self, job: Job, device: Device) -> dict[str, Any]:
        words = fields_of(job, self._text)
        title = self._title.format_map(words)[:50]
        body = self._body.format_map(words)[:256]
        payload = encode({"session_id": words["session_id"], "seq": job.facts.newest_seq}).decode()
        notification = {
            "title": title, "body": body, "click_type": "payload", "payload": payload,
            "badge_num": job.facts.badge,
        }  # fmt: skip
        ios = {
            "type": "notify",
            "payload": payload,
            "aps": {
                "alert": {"title": title, "body": body},
                "content-available": 0,
                "sound": "default",
                "thread-id": words["session_id"],
            },
            "auto_badge": str(job.facts.badge),
        }
        plain = {key: notification[key] for key in ("title", "body", "click_type", "payload")}
        channel = (
            {"ios": ios}
            if device.platform == _IOS
            else {"android": {"ups": {"notification": plain}}}
        )
        return {
            "request_id": request_id(job.id, device.client_id),
            "settings": {"ttl": _TTL},
            "audience": {"cid": [device.client_id]},
            "push_message": {"notification": notification},
            "push_channel": channel,
        }

    async def _fetch(self, force: bool) -> Fresh:
        timestamp = str(self._clock.now())
        application = self._application
        asked = {
            "sign": signature(application.app_key, timestamp, application.master_secret),
            "timestamp": timestamp,
            "appkey": application.app_key,
        }
        answer = await self._poster.post(f"{application.url}/auth", encode(asked), {})
        said = answer.json()
        data = said.get("data")
        data = data if isinstance(data, dict) else {}
        token = data.get("token")
        if answer.status != 200 or said.get("code") != 0 or not isinstance(token, str):
            raise NoToken(_code(answer))
        return Fresh(token, self._life(data))

    def _life(self, data: dict[str, Any]) -> float:
        """Seconds until the token ends; Getui says it as a time in ms, in a text."""
        try:
            ends = int(data.get("expire_time", 0))
        except (TypeError, ValueError):
            ends = 0
        return max(_MINUTE, (ends - self._clock.now()) / 1000)


def request_id(job_id: str, client_id: str) -> str:
    """Names the push to one device in 32 characters; Getui drops a second one of the same name."""
    return hashlib.sha256(f"{job_id}:{client_id}".encode()).hexdigest()[:32]


def judge(answer: Answer, device: Device) -> _Reached | Failed:
    """What an answer of Getui means for one device."""
    said = answer.json()
    code = said.get("code")
    if answer.status == 429:
        return Failed(Failure.BUSY, "http_429", answer.retry_after)
    if not isinstance(code, int) or isinstance(code, bool) or answer.status >= 500:
        return Failed(Failure.OUTAGE, _code(answer), answer.retry_after)
    if code == 0:
        return _taken(said.get("data"), device)
    if code in _NO_MORE:
        return Failed(Failure.QUOTA, str(code))
    if code in _TOO_OFTEN:
        return Failed(Failure.QUOTA, str(code), _MINUTE)
    if code == _BAD_TARGET and _is_gone(str(said.get("msg", ""))):
        return _Reached.GONE
    if code == _BAD_TARGET or 20000 < code < 30000:
        return _Reached.REFUSED
    return Failed(Failure.OUTAGE, str(code), answer.retry_after)


def _taken(data: object, device: Device) -> _Reached | Failed:
    """``{task: {cid: status}}``; an odd one is not believed to have been taken."""
    statuses: Iterable[object] = data.values() if isinstance(data, dict) else ()
    for of_task in statuses:
        if isinstance(of_task, dict) and of_task.get(device.client_id) in _TAKEN:
            return _Reached.TAKEN
    return Failed(Failure.OUTAGE, "bad_answer")


def _is_gone(message: str) -> bool:
    return any(words in message.lower() for words in _GONE)


def _code(answer: Answer) -> str:
    code = answer.json().get("code")
    if isinstance(code, int) and not isinstance(code, bool) and code != 0:
        return str(code)
    return "bad_answer" if answer.status == 200 else f"http_{answer.status}"
