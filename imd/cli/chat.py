"""``imdctl chat``: a socket on the terminal, for a first look and for finding faults.

It logs in as a page would (page 3.2), prints what arrives, and sends each line typed. One
connection, no recovery: whoever writes a client for people takes the SDK. It knows no more of the
server than a stranger's client does.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import click
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    connectWS,
)
from twisted.internet import reactor as _reactor
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from imd.cli.line import CommandFailed, Line
from imd.config import Settings
from imd.domain.client_types import ClientType

reactor: Any = _reactor
#: seconds in which what was sent last may still leave
_LAST_WORDS = 0.05


class Chat(WebSocketClientProtocol):
    """The terminal's side of one connection."""

    factory: ChatFactory

    def onOpen(self) -> None:
        self._waiting = {0: "login"}
        self.call(0, "login", self.factory.login)

    def call(self, number: int, method: str, params: dict[str, Any]) -> None:
        """Send one request."""
        frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        payload = json.dumps(frame, ensure_ascii=False).encode()
        self.sendMessage(payload)  # type: ignore[no-untyped-call]

    def say(self, text: str) -> None:
        """Send a text message to the session of the login."""
        number = max(self._waiting, default=0) + 1
        self._waiting[number] = "send"
        params = {"type": 1, "content": text, "client_msg_id": uuid4().hex}
        self.call(number, "send", params)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        frame = json.loads(payload)
        if self.factory.raw:
            click.echo(payload.decode())
        if "method" in frame:
            self._notified(frame["method"], frame["params"])
            return
        asked = self._waiting.get(frame.get("id"))
        if "error" in frame:
            said = frame["error"].get("message", "refused")
            self.factory.end(CommandFailed(f"{asked}: {said}"))
        elif asked == "login":
            self._entered(frame["result"])
        elif asked == "send":
            self._show(frame["result"]["message"])
            self._seen(0)

    def _entered(self, result: dict[str, Any]) -> None:
        session = result["session"]
        where = f"in {session['id']}" if session else "outside"
        self._say(f"{result['user_id']} is {where}, {result['unread_total']} unread")
        for message in result["messages"]:
            self._show(message)
        if self.factory.text is not None:
            self.say(self.factory.text)
        elif not self.factory.listen_only:
            StandardIO(Keyboard(self))

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        if method == "message":
            self._show(params)
            self._seen(1)
        else:
            self._say(f"{method} {json.dumps(params, ensure_ascii=False)}")

    def _show(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if not isinstance(content, str):
            content = json.dumps(content, ensure_ascii=False)
        self._say(f"#{message['seq']} {message['sender_id']}: {content}")

    def _say(self, text: str) -> None:
        if not self.factory.raw:
            click.echo(text)
            sys.stdout.flush()

    def _seen(self, arrived: int) -> None:
        """End after a text that was to be sent, or after as many messages as were asked for."""
        factory = self.factory
        factory.left -= arrived
        if (factory.text is not None and not arrived) or (factory.count and factory.left <= 0):
            factory.end(None)
            self.sendClose()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        said = f"closed by the server: {code or 'no answer'} {reason or ''}".strip()
        self.factory.end(CommandFailed(said))


class Keyboard(LineOnlyReceiver):
    """Lines typed become messages; the end of input ends the chat."""

    delimiter = b"\n"

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def lineReceived(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if text:
            self._chat.say(text)

    def connectionLost(self, reason: Any = None) -> None:
        self._chat.factory.end(None)


class ChatFactory(WebSocketClientFactory):
    """What one run of the command wants."""

    protocol: Any = Chat
    noisy = False

    def __init__(
        self,
        url: str,
        login: dict[str, Any],
        *,
        text: str | None,
        count: int,
        listen_only: bool,
        raw: bool,
    ) -> None:
        super().__init__(url, protocols=["imd.v2"])  # type: ignore[no-untyped-call]
        self.login, self.text, self.raw = login, text, raw
        self.count, self.left, self.listen_only = count, count, listen_only or count > 0
        #: why it ended; empty while it goes on
        self.ended: list[CommandFailed | None] = []

    def end(self, error: CommandFailed | None) -> None:
        """Let the command end; only the first reason counts."""
        if not self.ended:
            self.ended.append(error)
            reactor.callLater(_LAST_WORDS, reactor.stop)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.end(CommandFailed(f"no server answers at {self.url}"))


def _base(settings: Settings, url: str | None) -> str:
    """The socket's address: the given server, or the one that the settings describe."""
    if url is None:
        host = settings.http.interface
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        url = f"http://{host}:{settings.http.port}"
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise CommandFailed(f"{url!r} is no address like http://127.0.0.1:3000")
    return f"{scheme}://{parts.netloc}/ws"


@click.command("chat")
@click.argument("user")
@click.option(
    "--as",
    "client_type",
    type=click.Choice([kind.value for kind in ClientType]),
    default="patient",
    show_default=True,
    help="The client type to log in as.",
)
@click.option("--session", metavar="ID", help="The session; types ending in _system need none.")
@click.option("--token", metavar="JWT", help="An access token; not needed in trusted mode.")
@click.option("--url", metavar="URL", help="The server; else the one the settings describe.")
@click.option("--send", "text", metavar="TEXT", help="Send this and end.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--listen", is_flag=True, help="Do not read messages from the keyboard.")
@click.pass_obj
def chat(
    line: Line,
    user: str,
    client_type: str,
    session: str | None,
    token: str | None,
    url: str | None,
    text: str | None,
    count: int | None,
    listen: bool,
) -> None:
    """Log in on the socket as USER, show what arrives, send what is typed."""
    login: dict[str, Any] = {"client_type": client_type}
    login |= {"token": token} if token else {"user_id": user}
    if session is not None:
        login["session_id"] = session
    factory = ChatFactory(
        _base(line.settings(), url),
        login,
        text=text,
        count=count or 0,
        listen_only=listen,
        raw=line.as_json,
    )
    connectWS(factory, timeout=5)
    reactor.run()
    if factory.ended and factory.ended[0] is not None:
        raise factory.ended[0]
