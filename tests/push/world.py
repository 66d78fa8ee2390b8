"""A store, a postman and a fake WeChat on a real port, with the time in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.web.server import Site

from imd.domain.push import Channel, Claim, Outbound, Terms
from imd.domain.user import Device
from imd.push.fake_getui import FakeGetui
from imd.push.fake_wechat import FakeWechat
from imd.push.getui import Application, AppMessages
from imd.push.http import HttpPoster
from imd.push.ports import Carrier
from imd.push.postman import Postman
from imd.push.templates import Template
from imd.push.token import TokenKeeper
from imd.push.wechat import Account, TemplateMessages, keeper_of
from imd.storage.post_office import PostOffice
from imd.storage.transaction import Transaction
from tests.storage.ground import Ground, HandClock

APP_ID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
TEMPLATE = Template(
    "T1",
    "https://h5.example/chat?s={session_id}&m={message_id}&seq={seq}",
    (("thing1", "{session_name}"), ("time2", "{time}"), ("number3", "{unread}")),
)
TERMS = Terms()
GRACE = TERMS.grace
#: when what was just sent is due: a message may be a little ahead of the clock
LATER = GRACE + 10
ALL = frozenset(Channel)
MINUTE, HOUR = 60_000, 3_600_000


class Silent(Site):
    """The far side writes no log here, where imd's own is looked at."""

    def log(self, request: Any) -> None:
        return


class Online:
    """Presence by hand."""

    def __init__(self) -> None:
        self.users: set[str] = set()

    async def clients(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        return {user: ["doctor_system"] for user in user_ids if user in self.users}


class World:
    """Everything from the message to the provider; ``channels`` are those that are configured."""

    def __init__(self, url: str, channels: Collection[Channel] = ALL) -> None:
        self.clock = HandClock()
        self.ground = Ground(url, self.clock)
        self.channels = frozenset(channels)
        self.online = Online()
        self.fake = FakeWechat(lambda: self.clock.time / 1000)
        self.getui = FakeGetui(lambda: self.clock.time / 1000)
        self._names = count(1)
        self._ports: list[Any] = []
        self.poster = HttpPoster(reactor, seconds=2.0)
        self.base = ""

    async def open(self) -> World:
        await self.ground.open(outbound=Outbound(self.channels, GRACE))
        self.office = PostOffice(self.ground.store.database, self.clock)
        self.base = self.serve(self.fake)
        self.account = Account(APP_ID, SECRET, self.base)
        return self

    def serve(self, resource: Any) -> str:
        tcp: Any = reactor
        port = tcp.listenTCP(0, Silent(resource), interface="127.0.0.1")
        self._ports.append(port)
        return f"http://127.0.0.1:{port.getHost().port}"

    async def close(self) -> None:
        await self.poster.close()
        for port in self._ports:
            await port.stopListening()
        await self.ground.close()

    # ---- people

    async def patient(self, user_id: str, openid: str | None = None) -> None:
        fields = {"kind": "patient", "name": user_id, "openid": openid or f"o-{user_id}"}
        await self.write(lambda tx: tx.users.put(user_id, fields, self.clock.time))

    async def register(self, device: Device) -> None:
        await self.write(lambda tx: tx.users.register_device(device))

    async def write(self, work: Callable[[Transaction], Any]) -> Any:
        return await self.ground.store.database.write(work)

    async def send(self, session_id: str, sender: str, **more: Any) -> Any:
        return (await self.ground.send(session_id, sender, **more)).message

    # ---- pushes

    def new_name(self) -> str:
        return f"claim-{next(self._names)}"

    def keeper(self) -> TokenKeeper:
        return keeper_of(reactor, self.clock, self.office, self.account, self.poster)

    def wechat(self, include_text: bool = False) -> TemplateMessages:
        return TemplateMessages(
            self.account, self.poster, self.keeper(), TEMPLATE, {}, include_text
        )

    def app(self) -> AppMessages:
        application = Application("gt-app", "gt-key", "gt-master", self.serve(self.getui))
        return AppMessages(
            application, self.poster, self.clock, self.office, reactor,
            title="{session_kind}", body="{unread} 条未读消息", include_text=False,
        )  # fmt: skip

    def postman(self, carrier: Carrier, terms: Terms = TERMS, **more: Any) -> Postman:
        return Postman(
            more.pop("reactor", reactor), self.clock, self.office, carrier, terms,
            chance=lambda: 0.5, new_id=self.new_name, presence=self.online, **more,
        )  # fmt: skip

    async def round(self, postman: Postman) -> None:
        """One look at the outbox, and all that follows from it."""
        await postman.look()
        await postman.grounded()

    async def outbox(self) -> list[tuple[Any, ...]]:
        """Who waits for what: (session, user, channel, first_seq, upto_seq, due)."""
        return await self.ground.rows(
            "SELECT session_id, user_id, channel, first_seq, upto_seq, due FROM outbox"
            " ORDER BY session_id, user_id, channel"
        )

    async def ended(self) -> list[tuple[Any, ...]]:
        """What became of pushes: (session, user, channel, first_seq, upto_seq, state, code)."""
        return await self.ground.rows(
            "SELECT session_id, user_id, channel, first_seq, upto_seq, state, code FROM pushes"
            " ORDER BY end_time, first_seq, user_id"
        )

    async def claim(self, channel: str = "wechat", limit: int = 10) -> list[Claim]:
        return await self.office.claim(channel, limit, 30_000, self.new_name(), False)
