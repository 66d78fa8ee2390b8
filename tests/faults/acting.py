"""Who lives in a run, and what each does there, from a seed.

Doctors, patients, a hospital's back end and a stranger, in four sessions: two consults with
topics, a chat of two doctors, and a group that one doctor is put out of and taken into again.
Each actor draws from a generator of its own, so that one actor's luck is not another's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed

from tests.asking import Answer
from tests.e2e.page import Refused
from tests.e2e.server import token
from tests.faults.callers import Caller
from tests.faults.history import History
from tests.faults.pages import WatchedPage

#: session -> type and members with their roles
SESSIONS: dict[str, tuple[int, dict[str, str]]] = {
    "s-consult": (1, {"D1": "doctor", "D2": "doctor", "D4": "doctor", "p1": "patient"}),
    "s-family": (1, {"D1": "doctor", "D4": "doctor", "p2": "patient"}),
    "s-pair": (2, {"D1": "doctor", "D2": "doctor"}),
    "s-group": (5, {"D1": "doctor", "D2": "doctor", "D3": "doctor", "p1": "patient"}),
}
GROUP, GUEST, STRANGER, SERVICE = "s-group", "D3", "p9", "hospital"
#: never reads, so that whoever moves this one's marks is found out
ABSENT = "D4"
#: pages that stay: actor, client type, session, whether somebody looks at them
PAGES = (
    ("p1/page", "patient", "s-consult", True),
    ("p2/page", "patient", "s-family", True),
    ("p2/pc", "pc_patient", "s-family", False),
    ("D2/app", "doctor", "s-pair", False),
    ("D1/pc", "pc_doctor", "s-consult", False),
    ("p1/outer", "patient_system", None, True),
    ("D1/outer", "doctor_system", None, True),
)
#: cards, whose content may be changed later
CARD = 25

Act = Callable[[], Awaitable[object]]


def role_of(user: str) -> str:
    return "doctor" if user.startswith("D") else "patient"


class Cast:
    """Everybody who acts in a run; ``ports`` are the nodes as clients see them."""

    def __init__(
        self, history: History, seed: object, ports: Sequence[int], key: str, pace: float = 0.15
    ) -> None:
        """``key`` is the service's; ``pace`` is the longest pause between two acts, in seconds."""
        self._history, self._seed, self._ports, self._pace = history, seed, ports, pace
        self.hospital = Caller(history, SERVICE, key, ports, self._random(SERVICE), service=True)
        self.callers = {user: self._caller(user) for user in ("D1", "D2", "p1", STRANGER)}
        self.pages: dict[str, WatchedPage] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.stopping = False
        #: messages that may be recalled or edited: session, id, sender, type
        self._own: list[tuple[str, str, str, int]] = []
        self._topics = 0

    def _random(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")

    def _caller(self, user: str) -> Caller:
        credential = token(user, role_of(user), exp=int(time.time()) + 86_400)
        return Caller(self._history, user, credential, self._ports, self._random(user))

    def page(
        self, name: str, client_type: str, session: str | None, reads: bool = True
    ) -> WatchedPage:
        """Open a page; a former one of the name has been closed."""
        user = name.partition("/")[0]
        credential = token(user, role_of(user), exp=int(time.time()) + 86_400)
        page = WatchedPage(
            self._history, name, self._ports, credential, client_type, session,
            self._random(f"{name} {len(self._tasks)}"), reads=reads,
        )  # fmt: skip
        self.pages[name] = page
        return page

    # ---- the run

    async def enter(self) -> None:
        """Make the sessions, and open the pages."""
        for session in SESSIONS:
            await self.open_session(session)
        for name, client_type, place, reads in PAGES:
            self.page(name, client_type, place, reads)
        for page in self.pages.values():
            await page.opened()

    async def open_session(self, session: str, *, but: str = "") -> None:
        """Make a session, or make sure that it is there."""
        type_, members = SESSIONS[session]
        named = {user: role for user, role in members.items() if user != but}
        body = {
            "session_id": session,
            "session_name": "咨询",
            "session_type": type_,
            "participants": [f"{user}:{role}" for user, role in named.items()],
        }
        await self.hospital.insist(
            "open", "POST", "/sessions", body, session=session, users=list(named)
        )

    def start(self) -> None:
        """Everybody begins."""
        for user in ("D1", "D2"):
            self._spawn(self._live(self._random(f"{user} acts"), self._doctor(self.callers[user])))
        self._spawn(self._live(self._random("p1 acts"), self._patient(self.callers["p1"])))
        self._spawn(self._live(self._random("hospital acts"), self._back_end()))
        self._spawn(self._live(self._random("stranger acts"), self._stranger()))
        self._spawn(self._membership(self._random("guest")))
        for name in ("p1/page", "p2/page", "D2/app"):
            self._spawn(self._on_page(self.pages[name], self._random(f"{name} acts")))

    async def probe(self, node: int) -> Answer | None:
        """One send through this node, to see whether it stores."""
        key = self.hospital.key()
        body = {"type": 1, "content": "在吗", "client_msg_id": key, "sender_id": "D1"}
        return await self.hospital.call(
            "send", "POST", "/sessions/s-pair/messages", body, node=node,
            session="s-pair", sender="D1", key=key, content="在吗", road="rest",
        )  # fmt: skip

    async def stop(self, seconds: float) -> None:
        """Nobody begins anything more; returns when all have done what they were doing.

        What is not done after ``seconds`` is broken off: its outcome stays unknown.
        """
        self.stopping = True
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for error in done:
            if isinstance(error, Exception):
                raise error

    async def leave(self) -> None:
        """Close everything."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for page in self.pages.values():
            await page.close()
        for caller in (self.hospital, *self.callers.values()):
            await caller.close()

    def _spawn(self, life: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.ensure_future(life))

    async def _live(self, random: Random, acts: Sequence[tuple[int, Act]]) -> None:
        """One act after another, by their weights."""
        weights = [weight for weight, _ in acts]
        while not self.stopping:
            (act,) = random.choices([act for _, act in acts], weights)
            await act()
            await asyncio.sleep(random.uniform(0.2, 1) * self._pace)

    # ---- what they do

    def _doctor(self, me: Caller) -> list[tuple[int, Act]]:
        random = self._random(f"{me.name} choices")
        mine = [name for name, (_, members) in SESSIONS.items() if me.user in members]

        def session() -> str:
            return random.choice(mine)

        async def send() -> None:
            where, type_ = session(), random.choice((1, 1, 1, 2, CARD))
            content: object = f"医嘱 {me.key()}"
            if type_ == CARD:
                content = {"text": content}
            message = await me.send(where, content, type_=type_)
            if message.status == 201:
                self._own.append((where, message.json["id"], me.user, type_))

        async def twins() -> None:
            """The same key in two sessions, and twice at once through any nodes."""
            key, one, other = me.key(), session(), session()
            second = "甲" if other == one else random.choice("甲乙")
            sends = [(one, "甲"), (one, "甲"), (other, second)]
            await asyncio.gather(*(me.send(where, text, key=key) for where, text in sends))

        async def conflict() -> None:
            key, where = me.key(), session()
            await me.send(where, "一", key=key)
            await me.send(where, "二", key=key)

        async def change() -> None:
            own = [message for message in self._own[-20:] if message[2] == me.user]
            if own:
                where, message_id, _, type_ = random.choice(own)
                path = f"/sessions/{quote(where)}/messages/{message_id}"
                args: dict[str, Any] = {"session": where, "message_id": message_id}
                if type_ == CARD and random.random() < 0.7:
                    body: dict[str, Any] = {"content": {"text": me.key()}}
                    await me.call("edit", "PUT", path, body, **args)
                else:
                    await me.call("recall", "DELETE", path, **args)

        return [
            (40, send),
            (6, twins),
            (3, conflict),
            (6, change),
            (8, lambda: self._topic(me, random, session())),
            *self._looks(me, random, session),
        ]

    def _patient(self, me: Caller) -> list[tuple[int, Act]]:
        random = self._random(f"{me.name} choices")
        mine = [name for name, (_, members) in SESSIONS.items() if me.user in members]
        return self._looks(me, random, lambda: random.choice(mine))

    def _looks(
        self, me: Caller, random: Random, session: Callable[[], str]
    ) -> list[tuple[int, Act]]:
        """Reading, counting and marking, for a user."""

        async def page() -> None:
            where = session()
            peek = random.random() < 0.5
            query = {"size": random.choice((1, 5, 20)), **({"peek": 1} if peek else {})}
            path = f"/sessions/{quote(where)}/messages"
            await me.look("list", path, session=where, peek=peek, query=query)

        async def unread() -> None:
            where = session()
            path = f"/sessions/{quote(where)}/messages/unread"
            await me.look("list_unread", path, session=where, query={"size": 5})

        async def read() -> None:
            where = session()
            page_ = self.pages.get(f"{me.user}/page")
            seq = page_.last_seq if page_ is not None and page_.session_id == where else 3
            await me.read(where, random.choice((None, max(0, seq - random.randint(0, 9)))))

        async def count() -> None:
            where = session()
            path = f"/sessions/{quote(where)}/unread_message_count"
            await me.look("unread", path, session=where)

        async def members() -> None:
            where = session()
            await me.look("members", f"/sessions/{quote(where)}/participants", session=where)

        async def badge() -> None:
            await me.look("badge", "/application/badge_no")

        return [(5, page), (4, unread), (4, read), (10, count), (4, members), (6, badge)]

    async def _topic(self, me: Caller, random: Random, session: str) -> None:
        """Start a topic, or end the one that lives."""
        base = f"/sessions/{quote(session)}/topics"
        if random.random() < 0.5:
            self._topics += 1
            topic = f"c{self._topics}"
            members = sorted(set(SESSIONS[session][1]) - {ABSENT})
            who = {"start_by": random.choice(members)} if me.service else {}
            await me.call(
                "start_topic", "POST", base, {"topic_id": topic, "name": "复诊", **who},
                session=session, topic=topic,
            )  # fmt: skip
        else:
            who = {"end_by": "D1"} if me.service else {}
            note = {"note": "已答复"} if random.random() < 0.5 else {}
            await me.call(
                "end_topic", "PUT", f"{base}/current/ended", {**who, **note},
                session=session, topic="current",
            )  # fmt: skip

    def _back_end(self) -> list[tuple[int, Act]]:
        me, random = self.hospital, self._random("hospital choices")

        async def send() -> None:
            where = random.choice([name for name in SESSIONS if name != GROUP])
            sender = random.choice(sorted(set(SESSIONS[where][1]) - {ABSENT}))
            await me.send(where, f"通知 {me.key()}", sender=sender)

        async def ensure() -> None:
            """Making a session that is there moves nobody's marks."""
            where = random.choice(sorted(SESSIONS))
            await self.open_session(where, but=GUEST)
            user = random.choice(sorted(set(SESSIONS[where][1]) - {GUEST}))
            path = f"/sessions/{quote(where)}/unread_message_count"
            await me.look("unread", path, user, session=where)

        async def badge() -> None:
            user = random.choice(("D1", "D2", ABSENT, "p1", "p2"))
            await me.look("badge", "/application/badge_no", user)

        async def topic() -> None:
            await self._topic(me, random, random.choice(("s-consult", "s-family", "s-pair")))

        return [(10, send), (6, ensure), (5, badge), (10, topic)]

    def _stranger(self) -> list[tuple[int, Act]]:
        """Somebody who is a member of nothing, and knows the ids."""
        me, random = self.callers[STRANGER], self._random("stranger choices")

        async def spy() -> None:
            where = random.choice(sorted(SESSIONS))
            base = f"/sessions/{quote(where)}"
            await random.choice((
                lambda: me.look("list", f"{base}/messages", session=where, peek=True),
                lambda: me.look("members", f"{base}/participants", session=where),
                lambda: me.look("unread", f"{base}/unread_message_count", session=where),
                lambda: me.send(where, "谁在", sender=STRANGER),
            ))()  # fmt: skip

        async def knock() -> None:
            name = f"{STRANGER}/page"
            page = self.page(name, "patient", random.choice(sorted(SESSIONS)))
            await asyncio.sleep(0.5)
            await page.close()
            del self.pages[name]

        async def wait() -> None:
            await asyncio.sleep(self._pace)

        return [(6, spy), (2, knock), (6, wait)]

    async def _membership(self, random: Random) -> None:
        """The guest is in the group with a page, is removed while others speak, and comes back."""
        hospital, base = self.hospital, f"/sessions/{GROUP}/participants/{GUEST}"
        name = f"{GUEST}/page"
        while True:
            page = self.page(name, "doctor", GROUP, reads=bool(random.getrandbits(1)))
            with suppress(TimeoutError):
                await asyncio.wait_for(page.opened(), 5)
                for _ in range(random.randint(1, 4)):
                    await asyncio.sleep(random.uniform(0.1, 0.5))
                    if page.open and not self.stopping:
                        send = page.send("会诊意见", f"{name}-{random.getrandbits(40)}")
                        with suppress(Refused, TimeoutError):
                            await asyncio.wait_for(send, 3)
            if self.stopping:
                return
            await hospital.insist("remove", "DELETE", base, session=GROUP, users=[GUEST])
            await asyncio.sleep(random.uniform(0.2, 1.0))
            await page.close()
            await hospital.insist(
                "add", "PUT", base, {"role": "doctor"}, session=GROUP, users=[GUEST]
            )

    async def _on_page(self, page: WatchedPage, random: Random) -> None:
        """Send, in bursts too, read, and go to other sessions and back."""
        user = page.name.partition("/")[0]
        mine = [name for name, (_, members) in SESSIONS.items() if user in members]
        number = 0
        while not self.stopping:
            dice = random.random()
            with suppress(Refused, OSError, ConnectionClosed, AssertionError, TimeoutError):
                if dice < 0.6:
                    burst = random.choice((1, 1, 1, 3, 6))
                    sends = []
                    for _ in range(burst):
                        number += 1
                        sends.append(page.send(f"您好 {number}", f"{page.name}-{number}"))
                    await asyncio.gather(*sends)
                elif dice < 0.7:
                    await asyncio.wait_for(page.call("read", session_id=page.session_id), 5)
                elif dice < 0.8:
                    await asyncio.wait_for(page.enter(random.choice(mine)), 5)
                elif dice < 0.85:
                    page.cut()
            await asyncio.sleep(random.uniform(0.2, 1) * self._pace)
