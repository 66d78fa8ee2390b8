"""WeChat: template messages of an official account, subscribe messages of a mini-program.

The postman hands jobs to the two carriers here. What each of WeChat's codes means for a push
stands in one table; the token is the keeper's business, words are the templates'.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from imd.domain.push import Channel, Failure
from imd.push.http import Answer, Poster, Unreachable, encode
from imd.push.notice import fields_of
from imd.push.ports import Clock, Failed, Job, Outcome, Refused, Sent, TokenShelf
from imd.push.templates import Template, data, link
from imd.push.token import Fresh, NoToken, TokenKeeper


class Meaning(Enum):
    """What a code of WeChat means for the push."""

    TOKEN = "token"  # get another token, try again at once
    USER = "user"  # this user cannot be reached until the directory entry changes
    QUOTA = "quota"  # nobody is reached until the quota is filled again
    MESSAGE = "message"  # this message will never be taken
    SYSTEM = "system"  # WeChat or the account's settings are at fault: the channel is down


#: https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/Global_Return_Code.html
CODES: Final[Mapping[int, Meaning]] = {
    -1: Meaning.SYSTEM,
    40001: Meaning.TOKEN, 40014: Meaning.TOKEN, 41001: Meaning.TOKEN, 42001: Meaning.TOKEN,
    40003: Meaning.USER, 43004: Meaning.USER, 43101: Meaning.USER,
    45009: Meaning.QUOTA, 45011: Meaning.QUOTA,
    40013: Meaning.SYSTEM, 40125: Meaning.SYSTEM, 40164: Meaning.SYSTEM, 43107: Meaning.SYSTEM,
    48001: Meaning.SYSTEM, 50001: Meaning.SYSTEM, 50002: Meaning.SYSTEM, 61024: Meaning.SYSTEM,
    40037: Meaning.MESSAGE, 41028: Meaning.MESSAGE, 41029: Meaning.MESSAGE,
    41030: Meaning.MESSAGE, 43116: Meaning.MESSAGE, 45168: Meaning.MESSAGE,
    47001: Meaning.MESSAGE, 47003: Meaning.MESSAGE,
}  # fmt: skip

_TOO_OFTEN: Final = 45011
_MINUTE: Final = 60.0
#: 43101 of the template API is the user's refusal; of the subscribe API it says: no credit left
_NO_CREDIT: Final = 43101


class Account(NamedTuple):
    """One account at WeChat; ``base_url`` without a slash at its end."""

    app_id: str
    app_secret: str
    base_url: str


class WechatTokens:
    """How an account's token is fetched: the stable endpoint, which other users do not disturb."""

    def __init__(self, account: Account, poster: Poster) -> None:
        self._account, self._poster = account, poster

    async def fetch(self, force: bool) -> Fresh:
        """A token; NoToken when WeChat refuses, Unreachable when it does not answer."""
        asked = {
            "grant_type": "client_credential",
            "appid": self._account.app_id,
            "secret": self._account.app_secret,
            "force_refresh": force,
        }
        url = f"{self._account.base_url}/cgi-bin/stable_token"
        answer = await self._poster.post(url, encode(asked), {})
        said = answer.json()
        value, seconds = said.get("access_token"), said.get("expires_in")
        if answer.status != 200 or not isinstance(value, str) or not value:
            raise NoToken(_code(answer))
        life = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _MINUTE
        return Fresh(value, life)


def keeper_of(
    reactor: Any, clock: Clock, shelf: TokenShelf, account: Account, poster: Poster
) -> TokenKeeper:
    """The keeper of an account's token, shared with all processes of this database."""
    fetch = WechatTokens(account, poster).fetch
    return TokenKeeper(reactor, clock, shelf, f"wechat:{account.app_id}", fetch)


class _Calls:
    """One kind of call to WeChat, with the token's renewal in it."""

    def __init__(self, url: str, poster: Poster, tokens: TokenKeeper) -> None:
        self._url, self._poster, self._tokens = url, poster, tokens

    async def make(self, body: bytes) -> tuple[Answer, int | None]:
        """The answer and its errcode, None where it is no answer of WeChat's.

        A refused token is renewed and the call repeated once. Raises NoToken or Unreachable.
        """
        token = await self._tokens.get()
        answer, code = await self._once(token, body)
        if code is not None and CODES.get(code) is Meaning.TOKEN:
            token = await self._tokens.get(stale=token)
            answer, code = await self._once(token, body)
        return answer, code

    async def _once(self, token: str, body: bytes) -> tuple[Answer, int | None]:
        answer = await self._poster.post(f"{self._url}?access_token={token}", body, {})
        code = answer.json().get("errcode")
        known = answer.status == 200 and isinstance(code, int) and not isinstance(code, bool)
        return answer, code if known else None


class TemplateMessages:
    """Template messages to patients who follow the account."""

    channel = Channel.WECHAT

    def __init__(
        self,
        account: Account,
        poster: Poster,
        tokens: TokenKeeper,
        template: Template,
        by_type: Mapping[int, Template],
        include_text: bool,
    ) -> None:
        url = f"{account.base_url}/cgi-bin/message/template/send"
        self._calls = _Calls(url, poster, tokens)
        self._template, self._by_type, self._text = template, by_type, include_text

    async def send(self, job: Job) -> Outcome:
        """Tell the patient; the same ``client_msg_id`` each time, so WeChat drops a repeat."""
        template = self._by_type.get(job.facts.session_type, self._template)
        words = fields_of(job, self._text)
        message = {
            "touser": job.facts.address,
            "template_id": template.template_id,
            "url": link(template.url, words),
            "data": data(template, words),
            "client_msg_id": job.id,
        }
        return await attempt(self._calls, encode(message))


class SubscribeMessages:
    """Subscribe messages of a mini-program: each uses up one that the user agreed to."""

    channel = Channel.SUBSCRIBE

    def __init__(
        self,
        account: Account,
        poster: Poster,
        tokens: TokenKeeper,
        template: Template,
        include_text: bool,
    ) -> None:
        url = f"{account.base_url}/cgi-bin/message/subscribe/send"
        self._calls = _Calls(url, poster, tokens)
        self._template, self._text = template, include_text

    async def send(self, job: Job) -> Outcome:
        """Tell the user; ``url`` is the page of the mini-program."""
        words = fields_of(job, self._text)
        message = {
            "touser": job.facts.address,
            "template_id": self._template.template_id,
            "page": link(self._template.url, words),
            "data": data(self._template, words),
            "miniprogram_state": "formal",
            "lang": "zh_CN",
        }
        return await attempt(self._calls, encode(message))


async def attempt(calls: _Calls, body: bytes) -> Outcome:
    """One call, and what it means for the push."""
    try:
        answer, code = await calls.make(body)
    except (NoToken, Unreachable) as error:
        return _without_token(error.code)
    return outcome(answer, code)


def _without_token(code: str) -> Outcome:
    number = int(code) if code.lstrip("-").isdigit() else None
    if number is not None and CODES.get(number) is Meaning.QUOTA:
        return Failed(Failure.QUOTA, code)
    return Failed(Failure.OUTAGE, code)


def outcome(answer: Answer, code: int | None) -> Outcome:
    """What an answer of WeChat means for a push (page 4.4)."""
    if code is None:
        failure = Failure.BUSY if answer.status == 429 else Failure.OUTAGE
        return Failed(failure, _code(answer), answer.retry_after)
    if code == 0:
        return Sent()
    meaning = CODES.get(code)
    if meaning is Meaning.USER:
        return Refused(str(code), user=True)
    if meaning is Meaning.MESSAGE:
        return Refused(str(code))
    if meaning is Meaning.QUOTA:
        return Failed(Failure.QUOTA, str(code), _MINUTE if code == _TOO_OFTEN else None)
    if meaning is Meaning.SYSTEM or meaning is Meaning.TOKEN:
        return Failed(Failure.OUTAGE, str(code), answer.retry_after)
    return Failed(Failure.BUSY, str(code), answer.retry_after)


def _code(answer: Answer) -> str:
    """The errcode where there is one, else what is odd about the answer."""
    code = answer.json().get("errcode")
    if isinstance(code, int) and not isinstance(code, bool) and code != 0:
        return str(code)
    return "bad_answer" if answer.status == 200 else f"http_{answer.status}"
