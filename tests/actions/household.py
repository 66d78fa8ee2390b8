"""A House over a real store: courier, presence and doorkeeper write down what they are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet.defer import succeed

from imd.actions import messages, mutes, participants, sessions, topic_start, topics, users
from imd.actions.ports import Committed, House, Rates, Rules
from imd.domain.caller import SCOPES, Caller
from imd.domain.ids import UserId
from imd.domain.rates import Rate
from imd.wire import messages as m
from imd.wire import participants as p
from imd.wire import sessions as s
from imd.wire import topics as t
from imd.wire import users as u
from imd.wire.codec import convert
from tests.storage.ground import Ground

SERVICE = Caller(scopes=SCOPES["write"], name="his")
READER = Caller(scopes=SCOPES["read"], name="reports")
ADMIN = Caller(scopes=SCOPES["admin"], name="boss")


def doctor(user_id: str, sid: Collection[str] | None = None) -> Caller:
    limited = None if sid is None else frozenset(sid)
    return Caller(user_id=UserId(user_id), role="doctor", sid=limited, fingerprint=f"f-{user_id}",
                  expires_at=10**15)  # fmt: skip


def patient(user_id: str, sid: Collection[str] | None = None) -> Caller:
    limited = None if sid is None else frozenset(sid)
    return Caller(user_id=UserId(user_id), role="patient", sid=limited)


class Courier:
    """Writes down ``(what, about)`` in the order in which it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def names(self) -> list[str]:
        return [what for what, _ in self.told]

    def committed(self, entries: Sequence[Committed]) -> None:
        self.told.append(("committed", list(entries)))

    def expelled(self, session_id: str, user_ids: Collection[str]) -> None:
        self.told.append(("expelled", (session_id, list(user_ids))))

    def typing(self, session_id: str, user_id: str, origin: object) -> None:
        self.told.append(("typing", (session_id, user_id)))

    def updated(self, message: Any, roster: int) -> None:
        self.told.append(("updated", message))

    def session_changed(self, session: Any, roster: int) -> None:
        self.told.append(("session_changed", session))

    def topic_changed(self, topic: Any, roster: int) -> None:
        self.told.append(("topic_changed", topic))

    def marked(self, marked: Any) -> None:
        self.told.append(("marked", marked))

    def revoked(self, fingerprint: str) -> None:
        self.told.append(("revoked", fingerprint))


class Presence:
    def __init__(self) -> None:
        self.here: dict[str, list[str]] = {}

    def clients(self, user_ids: Collection[str]) -> Any:
        return succeed({user: self.here[user] for user in user_ids if user in self.here})


class Doorkeeper:
    """``issue`` makes a token that says what it is for."""

    trusted = False

    def __init__(self) -> None:
        self.revoked: list[str] = []

    def identify(self, credential: str) -> Caller:
        raise NotImplementedError

    def issue(
        self, user_id: str, role: str, now: int, sid: Collection[str] | None = None
    ) -> tuple[str, int]:
        limited = "" if sid is None else "|" + ",".join(sorted(sid))
        return f"{user_id}|{role}{limited}", now + 1000

    def revoke(self, fingerprint: str) -> None:
        self.revoked.append(fingerprint)


class Household:
    """The verbs by short names: ``await home.post(caller, session_id=…, type=1, content="x")``."""

    VERBS: dict[str, tuple[Any, Any]] = {
        "post": (messages.post_message, m.PostMessage),
        "list": (messages.list_messages, m.ListMessages),
        "list_topic": (messages.list_topic_messages, m.ListTopicMessages),
        "list_session_topic": (messages.list_session_topic_messages, m.ListSessionTopicMessages),
        "unread_list": (messages.list_unread, m.ListUnread),
        "get": (messages.get_message, m.GetMessage),
        "edit": (messages.edit_message, m.EditMessage),
        "recall": (messages.recall_message, m.RecallMessage),
        "read": (messages.mark_read, m.MarkRead),
        "unread": (messages.count_unread, m.CountUnread),
        "all_unread": (messages.count_all_unread, m.CountAllUnread),
        "open": (sessions.open_session, s.OpenSession),
        "session": (sessions.get_session, s.GetSession),
        "exists": (sessions.session_exists, s.SessionExists),
        "sessions": (sessions.list_sessions, s.ListSessions),
        "by_type": (sessions.list_sessions_by_type, s.ListSessionsByType),
        "count_by_type": (sessions.count_sessions_by_type, s.CountSessionsByType),
        "recent": (sessions.list_recent_sessions, s.ListRecentSessions),
        "pin": (sessions.pin_session, s.PinSession),
        "unpin": (sessions.unpin_session, s.PinSession),
        "mute": (mutes.mute_session, s.MuteSession),
        "unmute": (mutes.unmute_session, s.MuteSession),
        "rename": (sessions.rename_session, s.RenameSession),
        "status": (sessions.set_session_status, s.SetSessionStatus),
        "members": (participants.list_participants, p.ListParticipants),
        "avatars": (participants.list_avatars, p.ListParticipants),
        "some": (participants.get_participants, p.GetParticipants),
        "avatar": (participants.get_avatar, p.GetAvatar),
        "add": (participants.put_participants, p.PutParticipants),
        "remove": (participants.remove_participants, p.RemoveParticipants),
        "replace": (participants.replace_participants, p.ReplaceParticipants),
        "badge": (users.get_badge, u.GetBadge),
        "login": (users.login, u.Login),
        "logout": (users.logout, u.Logout),
        "user": (users.get_user, u.GetUser),
        "put_user": (users.put_user, u.PutUser),
        "put_users": (users.put_users, u.PutUsers),
        "user_status": (users.get_user_status, u.GetUserStatus),
        "set_status": (users.set_user_status, u.SetUserStatus),
        "consult_time": (users.get_consult_time, u.GetConsultTime),
        "start": (topic_start.start_topic, t.StartTopic),
        "end": (topics.end_topic, t.EndTopic),
    }

    def __init__(self, ground: Ground, **rules: Any) -> None:
        self.ground, self.clock = ground, ground.clock
        self.courier, self.presence, self.door = Courier(), Presence(), Doorkeeper()
        unlimited = Rate(0, 0)
        self.house = House(
            db=ground.store.database,
            writer=ground.store.writer,
            courier=self.courier,
            presence=self.presence,
            doorkeeper=self.door,
            clock=self.clock,
            new_id=ground.new_id,
            rules=Rules(**rules),
            rates=Rates(unlimited, unlimited, unlimited),
        )

    def __getattr__(self, verb: str) -> Any:
        act, model = self.VERBS[verb]

        def call(caller: Caller, **fields: Any) -> Any:
            return act(self.house, caller, convert(fields, model))

        return call

    async def consult(self, id_: str = "s", *members: str, type_: int = 1) -> None:
        """A session that a service opened, of D1, D2 and P1 unless others are named."""
        seats = list(members) or ["D1:doctor", "D2:doctor", "P1:patient"]
        await self.open(SERVICE, session_id=id_, session_name=id_, session_type=type_,
                        participants=seats)  # fmt: skip
        self.courier.told.clear()

    async def say(self, sender: str, content: Any = "x", session: str = "s", **more: Any) -> Any:
        fields = {"type": 1, **more}
        posted = await self.post(
            SERVICE, session_id=session, sender_id=sender, content=content, **fields
        )
        return posted.message

    async def marks(self, session: str = "s") -> dict[str, int]:
        found = await self.members(SERVICE, session_id=session)
        return {member.participant_id: member.read_seq for member in found.items}
