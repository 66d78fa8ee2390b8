"""Requests and frames that are nearly right, made from a seed (page 2.1, "never 500").

They start from the contract: every route with its fields, every socket method with its params, ids
that exist. Then some of them are bent, in a value, a name, the JSON, the headers or the framing.
The same seed makes the same sequence.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.e2e.contract import METHODS, ODD, RAW_JSON, ROUTES, SESSIONS, TOPICS, USERS
from tests.e2e.rawsocket import BINARY, CLOSE, PING, PONG, TEXT, masked


class Sent(NamedTuple):
    """A request as it goes out; ``head_only`` when the answer to it has no body."""

    wire: bytes
    head_only: bool = False


class Mutations:
    """Draws requests and frames."""

    def __init__(self, seed: int, tokens: dict[str, str], messages: list[str]) -> None:
        self.random = Random(seed)
        self._tokens, self._messages = list(tokens.items()), messages
        self._routes = [line.split(" ") for line in ROUTES if line]
        # What a messenger is asked most.
        self._routes += [route for route in self._routes if "/messages" in route[1]] * 2
        self._number = 0

    # ---- values

    def _id(self) -> str:
        self._number += 1
        return f"n{self._number}"

    def _right(self, name: str) -> Any:
        """A value that the contract takes, more or less."""
        pick, number = self.random.choice, self.random.randint
        if name in ("user_id", "sender_id", "start_by", "patient", "doctor", "gp", "specialist"):
            return pick((*USERS, "D1", "D1", "p1", "p1"))
        if name == "session_id":
            return pick((*SESSIONS, self._id()))
        if name == "topic_id":
            return pick((*TOPICS, self._id()))
        if name == "old_participant_id":
            # D1 and p1 stay everywhere, or soon nobody is a member of anything.
            return pick(("D2", "p2", "nobody"))
        if name == "new_participant_id":
            return pick(USERS)
        if name == "participants":
            return [f"{user}:doctor" for user in USERS[: number(1, 4)]]
        if name in ("before", "after", "seq", "after_seq", "since", "start", "end", "version"):
            return number(0, 40)
        if name == "size":
            return number(1, 200)
        if name in ("type", "session_type"):
            return pick((0, 1, 1, 1, 2, 3, 5, 9, 13, 15, 19, 29, 2101, "1,2", [1, 13]))
        if name == "content":
            return pick(("您好", {"a": [1, "二"]}, [1], "x" * 300, {"answer_status": 0}, 7, True))
        if name == "messages":
            return [{"type": 1, "content": "主诉"}]
        words: dict[str, Any] = {
            "status": (0, 1), "reply": (0, 1), "peek": ("1", True), "order": ("asc", "desc"),
            "state": ("unreplied", "ongoing", "replied", "expired"), "read": (True, False),
            "kind": ("doctor", "patient"), "app_state": ("foreground", "background"),
            "business_type": (1, 2), "platform": (0, 1), "client_type": ("doctor", "patient"),
            "start_msg_id": self._messages, "end_msg_id": self._messages,
        }  # fmt: skip
        return pick(words[name]) if name in words else pick(("家庭医生", "abc", self._id()))

    def _odd(self) -> Any:
        value = self.random.choice(ODD)
        return value[:] if isinstance(value, list) else value

    def fields(self, names: list[str] | tuple[str, ...], bent: int) -> dict[str, Any]:
        """Values for the named fields, ``bent`` of them wrong, some missing, some unknown."""
        keep = 0.8 if bent else 0.97
        made = {name: self._right(name) for name in names if self.random.random() < keep}
        if not bent:
            # Too many conditions at once are never met.
            if "content" in made and "type" in made:
                made["type"] = self.random.choice((1, 1, 1, 2, 8, 15, 2101))
            for name in ("cursor", "start_msg_id", "end_msg_id", "topic_id", "team_code"):
                if name in made and self.random.random() < 0.7:
                    del made[name]
        for _ in range(bent):
            name = self.random.choice((*names, "unknown", "sessionId", "userId")) if names else "x"
            made[name] = self._odd()
        return made

    # ---- requests

    def request(self) -> Sent:
        """One well-framed request, for a connection that is kept."""
        random = self.random
        verbs, path, *names = random.choice(self._routes)
        bent = random.choice((0, 0, 0, 1, 1, 2))
        verb = random.choice(verbs.split(","))
        if random.random() < 0.04:
            verb = random.choice(
                ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW")
            )
        target = "/api/v2" + self._path(path, bent)
        fields = self.fields(names, bent)
        body, headers = b"", self._headers()
        if not bent and any(line.startswith("Authorization") for line in headers):
            # A user is itself.
            for name in ("user_id", "sender_id", "start_by"):
                fields.pop(name, None)
        if verb in ("POST", "PUT", "DELETE", "PATCH") and random.random() < 0.95:
            body, kind = self._body(fields)
            headers.append(f"Content-Type: {kind}")
        elif fields:
            pairs = (f"{quote(name)}={_query(value)}" for name, value in fields.items())
            target += "?" + "&".join(pairs)
        head = [f"{verb} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
        if body or verb != "GET":
            head.append(f"Content-Length: {len(body)}")
        wire = "\r\n".join([*head, "", ""]).encode("utf-8", "replace") + body
        return Sent(wire, verb == "HEAD")

    def _path(self, path: str, bent: int) -> str:
        pick = self.random.choice
        for word, pool in (
            ("{user}", USERS), ("{users}", ("D2", "p2", "D2,p2", "nobody")), ("{session}",
            SESSIONS),
            ("{topic}", (*TOPICS, "current")), ("{message}", (*self._messages, "absent")),
        ):  # fmt: skip
            value = pick(pool)
            while not bent and value in ("absent", "gone", "nobody") and self.random.random() < 0.8:
                value = pick(pool)
            if bent and self.random.random() < 0.15:
                odd = self._odd()
                value = (
                    odd
                    if isinstance(odd, str)
                    else json.dumps(odd)
                    if odd != 10**400
                    else "9" * 400
                )
            path = path.replace(word, quote(value, safe=pick((",", ",/", ""))))
        if bent and self.random.random() < 0.06:
            path += pick(("/", "//", "/%ff", "/..", "?", "#x", "/%", "/%zz", ";x=1", "/%e4%bd"))
        return path

    def _body(self, fields: dict[str, Any]) -> tuple[bytes, str]:
        random = self.random
        roll = random.random()
        if roll < 0.06:
            return random.choice(RAW_JSON), "application/json"
        if roll < 0.20:
            pairs = (f"{quote(name)}={_query(value)}" for name, value in fields.items())
            return "&".join(pairs).encode(), "application/x-www-form-urlencoded"
        data = json.dumps(fields, ensure_ascii=random.random() < 0.3, default=str)
        encoded = data.encode("utf-8", "surrogatepass")
        if roll < 0.26 and encoded:
            bent = bytearray(encoded)
            bent[random.randrange(len(bent))] = random.randrange(256)
            encoded = bytes(bent)
        kind = "application/json"
        if random.random() < 0.03:
            kind = random.choice(
                ("", "text/plain", "application/json; charset=latin1", "a/b/c", "*")
            )
        return encoded, kind

    def _headers(self) -> list[str]:
        random = self.random
        headers = []
        roll = random.random()
        if roll < 0.3:
            headers.append(f"Authorization: Bearer {random.choice(self._tokens)[1]}")
        elif roll < 0.34:
            bad = ("Basic eDp5", "Bearer", "Bearer a.b.c", "bearer imd_x", "Bearer " + "x" * 3000)
            headers.append(f"Authorization: {random.choice(bad)}")
        if random.random() < 0.1:
            odd = (
                "X-Request-Id: a b", "X-Request-Id: " + "r" * 300, "Idempotency-Key: k1",
                "Idempotency-Key: ", "Idempotency-Key: " + "k" * 200, "X-Api-Key: imd_zzz",
                "Accept: text/html", "Accept-Encoding: gzip", "Origin: null", "Origin: http://a.b",
                "X-Forwarded-For: 1.2.3.4", "Cookie: a=b", "If-None-Match: *", "Range: bytes=0-1",
                "Expect: 100-continue",
            )  # fmt: skip
            headers.append(random.choice(odd[:-1]))
        return headers

    def wild_request(self) -> bytes:
        """A request whose framing or head is bent; for a connection of its own."""
        random = self.random
        good = self.request().wire
        head, _, body = good.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        bends = (
            b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -1",
            b"Content-Length: 9e9",
            b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x", b"Host: a\r\nHost: b",
            b"X: " + b"y" * 20_000, b" folded: x", b"No colon", b"X\x00: y", b": empty",
            b"X: \xff\xfe",
            b"Expect: 100-continue", b"Expect: 200-maybe",
            b"Upgrade: websocket\r\nConnection: Upgrade",
            b"Connection: close, keep-alive",
            b"Content-Type: application/json\r\nContent-Type: a/b",
            b"\r\n".join(b"H%d: x" % n for n in range(300)),
        )  # fmt: skip
        roll = random.random()
        if roll < 0.6:
            lines.insert(random.randint(1, len(lines)), random.choice(bends))
        elif roll < 0.8:
            verb, target, _ = lines[0].split(b" ", 2)
            firsts = (
                verb + b" " + target, verb + b" " + target + b" HTTP/1.0", b"GET", b"",
                b"\x16\x03\x01",
                verb + b" " + target + b" HTTP/3.0", verb + b" " + target + b" HTTP/1.1 x",
                verb + b"  " + target + b" HTTP/1.1", verb + b" http://a.b" + target + b" HTTP/1.1",
                verb.lower() + b" " + target + b" HTTP/1.1", verb + b" * HTTP/1.1",
                verb + b" /" + b"a" * 70_000 + b" HTTP/1.1",
                verb + b" " + target + b"\x00 HTTP/1.1",
                b"CONNECT a:1 HTTP/1.1", b"TRACE / HTTP/1.1", b"PRI * HTTP/2.0",
            )  # fmt: skip
            lines[0] = random.choice(firsts)
        else:
            whole = bytearray(good)
            for _ in range(random.randint(1, 4)):
                whole[random.randrange(len(whole))] = random.randrange(256)
            return bytes(whole)
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    # ---- frames

    def frame(self) -> bytes:
        """One frame, or what passes for one."""
        random = self.random
        roll = random.random()
        if roll < 0.03:
            return self._wild_frame()
        if roll < 0.09:
            return masked(random.choice(RAW_JSON))
        method = random.choice(list(METHODS))
        if method in ("enter", "login") and random.random() < 0.7:
            method = "history"
        params: Any = self.fields(METHODS[method], random.choice((0, 0, 1, 1, 2)))
        if random.random() < 0.8 and method != "login":
            # The login's own session.
            params.pop("session_id", None)
        call: dict[str, Any] = {"jsonrpc": "2.0", "id": self._id(), "method": method}
        if random.random() < 0.95:
            call["params"] = params
        if random.random() < 0.12:
            call[random.choice(("jsonrpc", "id", "method", "params"))] = self._odd()
        data = json.dumps(call, ensure_ascii=random.random() < 0.3, default=str)
        encoded = data.encode("utf-8", "surrogatepass")
        if roll > 0.96:
            bent = bytearray(encoded)
            bent[random.randrange(len(bent))] = random.randrange(256)
            encoded = bytes(bent)
        return masked(encoded)

    def _wild_frame(self) -> bytes:
        noise = self.random.randbytes(self.random.randint(0, 60))
        return self.random.choice(
            (
                masked(noise, BINARY),
                masked(noise, PING),
                masked(noise[:125], PONG),
                masked(b"\x0f", CLOSE),
                masked(b"\x00\x01bad", CLOSE),
                masked(b"", CLOSE),
                masked(noise, TEXT),
                masked(noise, 0),
                masked(b'{"a"', TEXT, final=False),
                masked(noise, 3),
                b"\x81\x05hello",
                b"\xf1\x80\0\0\0\0",
                masked(b"x" * 200, PING),
                b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0",
                masked(b"x" * 300_000),
            )
        )


def _query(value: Any) -> str:
    text = value if isinstance(value, str) else "9" * 400 if value == 10**400 else json.dumps(value)
    return quote(text.encode("utf-8", "surrogatepass"))
