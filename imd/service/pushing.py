"""The push room as settings want it: channels, their postmen, what the store writes for them.

Wiring asks it what the store is to leave in the outbox, then starts it. Where nothing is
configured it makes nothing, so that a message costs nothing more.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from imd.actions.ports import Clock, Committed, Presence
from imd.config import Settings
from imd.config.settings import SubscribeSettings, TemplateTable, WechatSettings
from imd.delivery.courier import Courier
from imd.domain.events import ALL, EventType
from imd.domain.message import Message
from imd.domain.message_types import counts
from imd.domain.push import Channel, Outbound, Terms, quiet_hours
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.push.getui import Application, AppMessages
from imd.push.http import HttpPoster
from imd.push.ports import Carrier
from imd.push.postman import Postman
from imd.push.templates import Template
from imd.push.webhooks import Herald, Hook, name_of
from imd.push.wechat import Account, SubscribeMessages, TemplateMessages, keeper_of
from imd.storage.post_office import PostOffice
from imd.storage.store import Database

#: seconds that a stop waits for pushes under way; what is cut off is sent again after its lease
STOP_SECONDS: Final = 1.0
#: seconds between two rounds in which old results are forgotten
FORGET_SECONDS: Final = 3600.0
#: seconds between two counts of the outbox
COUNT_SECONDS: Final = 15.0


class WakingCourier(Courier):
    """A courier that also wakes the postmen when their outbox got something."""

    wake: Callable[[Sequence[Committed]], None] | None = None
    told: Callable[[], None] | None = None

    def committed(self, entries: Sequence[Committed]) -> None:
        """New messages are durable: the sockets first."""
        super().committed(entries)
        if self.wake is not None:
            self.wake(entries)

    def updated(self, message: Message, roster: int) -> None:
        """A message was changed or recalled."""
        super().updated(message, roster)
        self._wake_heralds()

    def session_changed(self, session: Session, roster: int) -> None:
        """A session's name, members or status changed."""
        super().session_changed(session, roster)
        self._wake_heralds()

    def topic_changed(self, topic: Topic, roster: int) -> None:
        """A topic was started, answered or ended."""
        super().topic_changed(topic, roster)
        self._wake_heralds()

    def _wake_heralds(self) -> None:
        if self.told is not None:
            self.told()


def outbound_of(settings: Settings, clock: Clock) -> Outbound:
    """What a message leaves in the outbox; channels without an ``app_id`` are off (page 4.4)."""
    configured = {
        Channel.WECHAT: settings.push_wechat.app_id,
        Channel.SUBSCRIBE: settings.push_subscribe.app_id,
        Channel.APP: settings.push_getui.app_id,
    }
    channels = frozenset(channel for channel, app_id in configured.items() if app_id)
    endpoints = tuple((name_of(hook.url), frozenset(hook.events)) for hook in settings.top.webhooks)
    return Outbound(channels, round(settings.push.grace * 1000), endpoints, clock.now)


def terms_of(settings: Settings) -> Terms:
    """The times of push in ms."""
    push = settings.push
    grace, base, most, ttl = (
        round(seconds * 1000) for seconds in (push.grace, push.retry_base, push.retry_max, push.ttl)
    )
    return Terms(grace, base, most, ttl, quiet_hours(push.quiet))


class Pushing:
    """The postmen of one process."""

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        clock: Clock,
        database: Database,
        presence: Presence,
        new_id: Callable[[], str],
    ) -> None:
        self._clock, self._grace = clock, round(settings.push.grace * 1000)
        office = self._office = PostOffice(database, clock)
        push = settings.push
        self._keep, self._ttl = (round(seconds * 1000) for seconds in (push.keep, push.ttl))
        self._poster = HttpPoster(reactor)
        chance = random.SystemRandom().random
        carriers = _carriers(settings, reactor, clock, office, self._poster)
        self.postmen: Mapping[str, Postman] = {
            str(carrier.channel): Postman(
                reactor,
                clock,
                office,
                carrier,
                terms_of(settings),
                chance=chance,
                new_id=new_id,
                presence=presence,
            )
            for carrier in carriers
        }

        self.heralds: Mapping[str, Herald] = {
            hook.name: Herald(
                reactor, clock, office, self._poster, hook, terms_of(settings),
                chance=chance, new_id=new_id,
            )
            for hook in (
                Hook(name_of(table.url), table.url, table.secret)
                for table in settings.top.webhooks
            )
        }  # fmt: skip
        wanted = {name for table in settings.top.webhooks for name in table.events}
        #: whether some endpoint wants to know who comes and goes
        self.watches = bool(wanted & {ALL, EventType.USER_ONLINE, EventType.USER_OFFLINE})
        #: how many wait or are dead, by channel and state, and the seconds since the oldest row
        #: came due; as of the last count
        self.outbox: Mapping[tuple[str, str], int] = {}
        self.age = 0.0

    async def count(self) -> None:
        """Look at the whole outbox, for the metrics."""
        self.outbox, oldest = await self._office.figures()
        self.age = 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)

    async def came(self, words: Mapping[str, bool]) -> None:
        """Tell endpoints of users who came (True) or are gone."""
        await self._office.note_presence(words)
        self.wake_heralds()

    async def forget(self) -> None:
        """Forget what ended longer than ``push.keep`` ago, a bounded number at a time."""
        now = self._clock.now()
        before, stale = now - self._keep, now - 2 * self._ttl
        while await self._office.purge(before, stale, self.heralds):
            pass

    def results(self) -> Mapping[tuple[str, str], int]:
        """How many attempts of this process ended in each code, by channel and code."""
        loops = [*self.postmen.items()] + [(f"webhook {n}", h) for n, h in self.heralds.items()]
        return {
            (channel, code): number
            for channel, loop in loops
            for code, number in loop.results.items()
        }

    def start(self) -> None:
        """Look at what waits, also from before this start."""
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """Claim no more; wait for what is under way."""
        for loop in self._loops:
            await loop.stop()
        await self._poster.close()

    @property
    def _loops(self) -> list[Postman | Herald]:
        return [*self.postmen.values(), *self.heralds.values()]

    def __bool__(self) -> bool:
        """Whether anything is configured."""
        return bool(self._loops)

    def wake_heralds(self) -> None:
        """Something happened that endpoints may want to know."""
        for herald in self.heralds.values():
            herald.expect(self._clock.now())

    def wake(self, entries: Sequence[Committed]) -> None:
        """New messages may be due after the grace time."""
        if any(counts(entry.message.type) for entry in entries):
            due = self._clock.now() + self._grace
            for postman in self.postmen.values():
                postman.expect(due)
        self.wake_heralds()


def _carriers(
    settings: Settings, reactor: Any, clock: Clock, office: PostOffice, poster: HttpPoster
) -> list[Carrier]:
    """One for each channel that has an ``app_id``."""
    text = settings.push.include_text
    carriers: list[Carrier] = []
    wechat, subscribe = settings.push_wechat, settings.push_subscribe
    if wechat.app_id:
        account = _account(wechat)
        keeper = keeper_of(reactor, clock, office, account, poster)
        general = Template(wechat.template_id or "", wechat.url, tuple(wechat.fields.items()))
        special = {int(t): _special(general, table) for t, table in wechat.by_session_type.items()}
        carriers.append(TemplateMessages(account, poster, keeper, general, special, text))
    if subscribe.app_id:
        account = _account(subscribe)
        keeper = keeper_of(reactor, clock, office, account, poster)
        fields = tuple(subscribe.fields.items())
        template = Template(subscribe.template_id or "", subscribe.page, fields)
        carriers.append(SubscribeMessages(account, poster, keeper, template, text))
    if settings.push_getui.app_id:
        carriers.append(_app_messages(settings, reactor, clock, office, poster))
    return carriers


def _app_messages(
    settings: Settings, reactor: Any, clock: Clock, office: PostOffice, poster: HttpPoster
) -> AppMessages:
    getui = settings.push_getui
    application = Application(
        getui.app_id or "",
        getui.app_key or "",
        getui.master_secret or "",
        getui.base_url.rstrip("/"),
    )
    return AppMessages(
        application,
        poster,
        clock,
        office,
        reactor,
        title=getui.title,
        body=getui.body,
        include_text=settings.push.include_text,
    )


def _account(section: WechatSettings | SubscribeSettings) -> Account:
    base = section.base_url.rstrip("/")
    return Account(section.app_id or "", section.app_secret or "", base)


def _special(general: Template, table: TemplateTable) -> Template:
    """One session type's template: what it does not say is as for all."""
    return Template(
        general.template_id if table.template_id is None else table.template_id,
        general.url if table.url is None else table.url,
        general.fields if table.fields is None else tuple(table.fields.items()),
    )
