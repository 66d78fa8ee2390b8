"""Page 3 over real connections: logins, requests in order, streams, errors and closes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from imd.domain.caller import Caller
from imd.domain.ids import UserId
from imd.domain.rates import Rate
from tests.websocket.client import Client
from tests.websocket.conftest import S, Server, T
from tests.websocket.fakes_live import NOW


@ensureDeferred
async def test_login_result(server: Server) -> None:
    server.world.store(S)
    client = await server.connect("Sec-WebSocket-Protocol: other, imd.v2\r\n")
    assert "Sec-WebSocket-Protocol: imd.v2" in client.head
    got = await client.result("login", token="p", client_type="patient", session_id=S)
    assert got["session"]["id"] == S
    assert [m["seq"] for m in got["messages"]] == [1]
    rest = {k: v for k, v in got.items() if k not in ("session", "messages")}
    assert rest == {
        "user_id": "p",
        "client_type": "patient",
        "epoch": "e1",
        "server_time": NOW,
        "heartbeat_ms": 25000,
        "recovered": False,
        "unread_total": 1,
    }


@ensureDeferred
async def test_outer_login(server: Server) -> None:
    server.world.store(S)
    client = await server.connect()
    got = await client.result("login", token="p", client_type="patient_system")
    assert (got["session"], got["messages"], got["recovered"]) == (None, [], False)
    assert got["unread_total"] == 1
    server.send()
    await client.until(lambda: client.told("notice"))
    assert client.told("message") == []


@ensureDeferred
async def test_what_happens_during_an_outer_login_comes_after_its_result(server: Server) -> None:
    client = await server.connect()
    server.db.patient = True
    id_ = client.ask("login", token="p", client_type="patient_system")
    await server_has(client, lambda: server.db.waiting)
    server.send()
    server.db.waiting.reverse()  # the audience first, then the total
    server.db.patient = False
    while server.db.waiting:
        server.db.go()
    await client.until(lambda: client.told("notice"))
    assert client.frames[0]["id"] == id_


@ensureDeferred
async def test_trusted_mode_names_its_user(server: Server) -> None:
    server.doorkeeper.trusted = True
    client = await server.connect()
    params = {"client_type": "doctor", "session_id": S}
    got = await client.result("login", user_id="d", **params)
    assert got["user_id"] == "d"
    other = await server.connect()
    frame = await other.call("login", **params)
    assert frame["error"]["code"] == -32602
    await other.ends(4401)


REFUSED: list[tuple[dict[str, Any], int, int, str]] = [
    ({"token": "rubbish"}, -32000, 4401, "unauthenticated"),
    ({"token": None}, -32000, 4401, "unauthenticated"),
    ({"token": "key"}, -32000, 4401, "unauthenticated"),
    ({"token": ""}, -32602, 4401, "invalid"),
    ({"token": 7}, -32602, 4401, "invalid"),
    ({"client_type": "fridge"}, -32602, 4401, "invalid"),
    ({"client_type": 7}, -32602, 4401, "invalid"),
    ({"session_id": None}, -32602, 4401, "invalid"),
    ({"session_id": "nowhere"}, -32000, 4403, "session_not_found"),
    ({"token": "x"}, -32000, 4403, "session_not_found"),
    ({"client_type": "doctor"}, -32000, 4403, "forbidden"),
    ({"user_id": "d"}, -32000, 4403, "forbidden_user"),
]


@pytest.mark.parametrize(("change", "code", "close", "word"), REFUSED)
@ensureDeferred
async def test_refused_logins(
    server: Server, change: dict[str, Any], code: int, close: int, word: str
) -> None:
    server.doorkeeper.tokens["key"] = Caller(scopes=frozenset({"admin"}), name="his")
    client = await server.connect()
    params = {"token": "p", "client_type": "patient", "session_id": S, **change}
    frame = await client.call("login", **params)
    assert (frame["error"]["code"], frame["error"]["data"]["code"]) == (code, word)
    await client.ends(close)
    assert len(server.courier.feeds) == 0


@pytest.mark.parametrize(
    "first", ['{"jsonrpc":"2.0","id":1,"method":"topic"}', "{oops", '{"jsonrpc":"2.0","id":1}']
)
@ensureDeferred
async def test_the_first_request_must_be_a_login(server: Server, first: str) -> None:
    client = await server.connect()
    client.frame(first.encode())
    await client.ends(4401)
    assert not any("result" in frame for frame in client.frames)


@ensureDeferred
async def test_login_too_late(server: Server) -> None:
    client = await server.connect()
    await server_has(client, lambda: len(server.sockets) == 1)
    server.seconds(9)
    assert client.closed is None
    server.seconds(1)
    await client.ends(4401)


@ensureDeferred
async def test_a_token_that_expires_ends_its_socket(server: Server) -> None:
    server.doorkeeper.tokens["short"] = Caller(UserId("p"), "patient", expires_at=NOW + 5000)
    client = await server.login(token="short")
    server.seconds(4)
    await client.result("topic")
    server.seconds(1)
    await client.ends(4401)


@ensureDeferred
async def test_a_second_login_is_refused(server: Server) -> None:
    client = await server.login()
    frame = await client.call("login", token="p", client_type="patient", session_id=S)
    assert frame["error"]["code"] == -32600
    await client.result("topic")


# ---- requests


@ensureDeferred
async def test_the_methods(server: Server) -> None:
    for _ in range(4):
        server.world.store(S)
    client = await server.login()
    peer = await server.login("d")
    assert await client.result("ack", seq=2, read=False) == {"delivered_seq": 2, "read_seq": 0}
    assert await client.result("ack", seq=3) == {"delivered_seq": 3, "read_seq": 3}
    assert await client.result("read") == {"read_seq": 4, "unread": 0}
    history = await client.result("history", before=4, size=2)
    assert [m["seq"] for m in history["items"]] == [3, 2]
    assert history["next"]
    assert await client.result("typing") == {}
    assert [s["id"] for s in (await client.result("sessions"))["items"]] == [S, T]
    assert await client.result("topic") is None
    await peer.until(lambda: peer.told("typing"))
    assert peer.told("read") == [
        {"session_id": S, "user_id": "p", "read_seq": 3},
        {"session_id": S, "user_id": "p", "read_seq": 4},
    ]
    assert client.told("typing") == []
    assert await client.result("logout") == {}
    await client.ends(1000)


@ensureDeferred
async def test_an_outer_socket_acts_in_a_session_that_it_names(server: Server) -> None:
    client = await server.login("p", None)
    server.world.store(S)
    frame = await client.call("topic")
    assert frame["error"]["data"]["errors"][0]["field"] == "session_id"
    assert await client.result("ack", session_id=S, seq=1) == {"delivered_seq": 1, "read_seq": 0}
    sent = await client.result("send", session_id=S, type=1, content="x", client_msg_id="k")
    assert sent["message"]["seq"] == 2
    assert (await client.call("enter", session_id=S))["error"]["data"]["code"] == "forbidden"
    stranger = await client.call("typing", session_id="nowhere")
    assert stranger["error"]["data"]["code"] == "session_not_found"


@ensureDeferred
async def test_pipelined_sends_are_grouped_and_in_order(server: Server) -> None:
    client, peer = await server.login(), await server.login("d")
    server.writer.patient = True
    for number in range(40):
        client.ask("send", type=1, content=str(number), client_msg_id=f"k{number}")
    topic = client.ask("topic")
    await server_has(client, lambda: len(server.writer.waiting) == 40)
    assert client.answers(topic) == []
    server.writer.commit()
    await client.until(lambda: client.answers(topic))
    await peer.until(lambda: len(peer.told("message")) == 40)
    results = [f["result"]["message"] for f in client.frames if f.get("id", 0) in range(2, 42)]
    assert [m["seq"] for m in results] == list(range(1, 41))
    assert [m["content"] for m in peer.told("message")] == [str(n) for n in range(40)]
    assert client.told("message") == []
    assert client.frames[-1]["id"] == topic
    assert server.writer.groups == [40]


@ensureDeferred
async def test_a_result_stands_in_its_place_in_the_stream(server: Server) -> None:
    client, peer = await server.login(), await server.login("d")
    server.writer.patient = True
    sent = client.ask("send", type=1, content="mine", client_msg_id="k")
    topic = client.ask("topic")
    await server_has(client, lambda: server.writer.waiting)
    early = server.world.store(S)  # committed first, told of later
    server.writer.commit()
    await peer.result("topic")
    assert client.answers(sent) == [] == client.answers(topic), "held until the hole is filled"
    server.courier.committed([server.world.committed(early)])
    late = server.send()
    await client.until(lambda: client.answers(topic))
    ids = [frame.get("id", frame.get("method")) for frame in client.frames[1:]]
    assert ids in (["message", sent, "message", topic], ["message", sent, topic, "message"])
    assert late == 3


@ensureDeferred
async def test_a_repeat_gets_the_same_answer(server: Server) -> None:
    client = await server.login()
    first = await client.result("send", type=1, content="x", client_msg_id="k")
    again = await client.result("send", type=1, content="x", client_msg_id="k")
    assert first == again
    assert client.told("message") == []


@ensureDeferred
async def test_refused_sends_stop_nothing(server: Server) -> None:
    client = await server.login()
    words = {
        "x" * 70_000: "too_large",
        None: "invalid",
    }
    for content, word in words.items():
        frame = await client.call("send", type=1, content=content, client_msg_id="k")
        assert frame["error"]["data"]["code"] == word
    frame = await client.call("send", type=6, content="x", client_msg_id="k")
    assert frame["error"]["data"]["code"] == "server_only_type"
    frame = await client.call("send", session_id="no", type=1, content="x", client_msg_id="k")
    assert frame["error"]["data"]["code"] == "session_not_found"
    sent = await client.result("send", type=1, content="x", client_msg_id="k")
    assert sent["message"]["seq"] == 1


@ensureDeferred
async def test_without_an_id_nothing_is_answered(server: Server) -> None:
    client = await server.login()
    for method, params in (
        ("send", {"type": 1, "content": "x", "client_msg_id": "k"}),
        ("topic", {}),
        ("fly", {}),
        ("ack", {"seq": "many"}),
    ):
        client.frame(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
    await client.result("topic")
    assert len(client.frames) == 2
    assert len(server.world.logs[S]) == 1


@ensureDeferred
async def test_enter_moves_and_the_former_session_is_silent(server: Server) -> None:
    server.world.store(T)
    client = await server.login()
    got = await client.result("enter", session_id=T)
    assert (got["session"]["id"], [m["seq"] for m in got["messages"]]) == (T, [1])
    server.send(S)
    server.send(T)
    await client.until(lambda: client.told("message"))
    assert [(m["session_id"], m["seq"]) for m in client.told("message")] == [(T, 2)]
    sent = await client.result("send", type=1, content="x", client_msg_id="k")
    assert sent["message"]["session_id"] == T
    frame = await client.call("enter", session_id="nowhere")
    assert frame["error"]["data"]["code"] == "session_not_found"
    server.send(T)
    await client.until(lambda: len(client.told("message")) == 2)


@ensureDeferred
async def test_a_slow_answer_holds_the_next_request(server: Server) -> None:
    client = await server.login()
    server.db.patient = True
    first, second = client.ask("topic"), client.ask("history")
    await server_has(client, lambda: server.db.waiting)
    assert len(server.db.waiting) == 1
    server.db.go()
    await client.until(lambda: client.answers(first))
    await server_has(client, lambda: server.db.waiting)
    server.db.go()
    await client.until(lambda: client.answers(second))


@ensureDeferred
async def test_too_many_waiting_requests_stop_the_reading(server: Server) -> None:
    client = await server.login()
    server.db.patient = True
    ids = [client.ask("topic") for _ in range(3000)]
    (link,) = server.sockets._links
    await server_has(client, lambda: link.reading is not None)
    assert len(link.turns or ()) < 2000
    server.seconds(100)
    assert link.reading is not None and client.closed is None, "not reading is not its silence"
    server.db.patient = False
    server.db.go()
    await client.until(lambda: client.answers(ids[-1]), 20)
    answered = [frame["id"] for frame in client.frames[1:]]
    assert answered == ids


# ---- errors and closes


@ensureDeferred
async def test_ten_bad_frames_in_a_row(server: Server) -> None:
    client = await server.login()
    bad = [b"{oops", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"fly"}']
    for number in range(9):
        client.frame(bad[number % 3])
    await client.result("topic")
    for number in range(9):
        client.frame(bad[number % 3])
    await client.until(lambda: len(client.frames) == 20)
    assert client.closed is None
    client.frame(b"7")
    await client.ends(4400)
    codes = [frame["error"]["code"] for frame in client.frames if "error" in frame]
    assert codes[:3] == [-32700, -32600, -32601]
    assert len(codes) == 19


@ensureDeferred
async def test_wrong_params_name_the_field(server: Server) -> None:
    client = await server.login()
    error = (await client.call("ack", seq="many"))["error"]
    assert error["code"] == -32602
    assert error["data"]["code"] == "invalid"
    assert error["data"]["errors"][0]["field"] == "seq"


@ensureDeferred
async def test_rate_limit(server: Server) -> None:
    server.rates(requests=Rate(1, 3))
    client = await server.login()
    frames = [await client.call("topic") for _ in range(12)]
    assert all("result" in frame for frame in frames[:3])
    assert frames[3]["error"]["data"] == {"code": "rate_limited", "retry_after": 1.0}
    client.ask("topic")
    await client.ends(4429)


@ensureDeferred
async def test_services_are_exempt_from_rates(server: Server) -> None:
    server.rates(requests=Rate(1, 1))
    server.doorkeeper.trusted = True
    client = await server.connect()
    await client.result("login", user_id="p", client_type="patient", session_id=S)
    for _ in range(30):
        await client.result("topic")


@ensureDeferred
async def test_refused_credentials_are_counted_by_address(server: Server) -> None:
    server.rates(failures=Rate(0.01, 1))
    for close in (4401, 4429):
        client = await server.connect()
        await client.call("login", token="bad", client_type="patient", session_id=S)
        await client.ends(close)
    await server.login()


@pytest.mark.parametrize(
    ("payload", "opcode", "code"),
    [(b"x", 2, 1003), (b"\xff\xfe", 1, 1007), (b"x" * 262_145, 1, 1009)],
)
@ensureDeferred
async def test_frames_that_end_a_socket(
    server: Server, payload: bytes, opcode: int, code: int
) -> None:
    client = await server.login()
    client.frame(payload, opcode)
    await client.ends(code)
    assert len(server.courier.feeds) == 0


@ensureDeferred
async def test_a_frame_of_exactly_256_kib_is_read(server: Server) -> None:
    client = await server.login()
    client.frame(b"x" * 262_144)
    await client.until(lambda: len(client.frames) == 2)
    assert client.frames[1]["error"]["code"] == -32700
    await client.result("topic")


@ensureDeferred
async def test_a_fault_of_the_program_is_an_error_and_the_socket_stays(server: Server) -> None:
    client = await server.login()
    server.sockets.room.house = replace(server.house, db=None)  # type: ignore[arg-type]
    frame = await client.call("topic")
    assert frame["error"]["data"] == {"code": "internal"}
    server.sockets.room.house = server.house
    await client.result("topic")


@ensureDeferred
async def test_a_fault_in_a_hook_closes_1011(server: Server) -> None:
    client = await server.login()
    server.sockets.room.methods = None  # type: ignore[assignment]
    client.ask("topic")
    await client.ends(1011)


@ensureDeferred
async def test_a_database_that_is_away_refuses_a_login_for_now(server: Server) -> None:
    client = await server.connect()
    server.db.away = True
    frame = await client.call("login", token="p", client_type="patient", session_id=S)
    assert frame["error"]["data"] == {"code": "unavailable", "retry_after": 1.0}
    await client.ends(1011)


@ensureDeferred
async def test_expelled_and_revoked(server: Server) -> None:
    inside, elsewhere, outer = (
        await server.login(),
        await server.login("p", T),
        await server.login("p", None),
    )
    server.courier.expelled(S, ["p"])
    server.send()
    await inside.ends(4403)
    assert inside.told("message") == []
    await elsewhere.result("topic")
    server.courier.revoked("f-p")
    await elsewhere.ends(4403)
    await outer.ends(4403)


@ensureDeferred
async def test_revoked_while_logging_in(server: Server) -> None:
    client = await server.connect()
    server.db.patient = True
    client.ask("login", token="p", client_type="patient", session_id=S)
    await server_has(client, lambda: server.db.waiting)
    server.courier.revoked("f-p")
    server.db.patient = False
    server.db.go()
    await client.ends(4403)
    assert client.frames == []
    assert len(server.courier.feeds) == 0


@ensureDeferred
async def test_a_client_that_hangs_up_leaves_nothing(server: Server) -> None:
    clients = [await server.login(), await server.login("p", None), await server.connect()]
    for client in clients:
        client.transport.loseConnection()  # type: ignore[union-attr]
    await server_has(clients[0], lambda: len(server.sockets) == 0)
    assert len(server.courier.feeds) == 0
    assert not server.courier.registry.users


async def server_has(client: Client, test: Any) -> None:
    """Turn the reactor until it is true of the server; the client only lends its patience."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    for _ in range(2000):
        if test():
            return
        await deferLater(reactor, 0.001)
    raise AssertionError("the server never came to it")
