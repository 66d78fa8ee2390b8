"""The whole server as an operator meets it: start, keys and tokens, refusals, farewell."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import NoPostgres, PostgresServer
from tests.service.running import Running, given_socket, imdctl, run_once

FORM = "application/x-www-form-urlencoded"
SECRET = "q8Zr2Wv5Yk0Lm7Nx4Pb9Tc1Hd6Jf3Gs-Ua"
TOKEN_MODE = {
    "IMD_AUTH_MODE": "token",
    "IMD_AUTH_SECRET": SECRET,
    "IMD_LIMITS_FAILED_LOGINS_PER_MINUTE": "0",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path) as running:
        yield running


def test_it_says_where_it_runs_and_ends_with_0_at_once(server):
    status, answer, _ = server.ask("GET", "/healthz")
    assert status == 200 and answer["status"] == "ok"
    assert server.ask("GET", "/readyz")[0] == 200
    lines = server.log.read_text().splitlines()
    starting = [line for line in lines if "Starting IM server, version " in line]
    assert len(starting) == 1 and f"running on port {server.port}, " in starting[0]
    assert any(line.endswith("Configuration profile: dev") for line in lines)
    assert any(" warn " in line and "trusted" in line for line in lines)
    begun = time.monotonic()
    server.signal()
    assert server.ended(10) == 0
    assert time.monotonic() - begun < 2
    assert "rror" not in server.log.read_text()


def test_sighup_is_ignored_and_sigint_ends_with_0(server):
    server.signal(signal.SIGHUP)
    assert _within(5, lambda: "SIGHUP is ignored" in server.log.read_text())
    assert server.ask("GET", "/healthz")[0] == 200
    server.signal(signal.SIGINT)
    assert server.ended(5) == 0


def test_a_first_message_needs_no_setup(server):
    members = {"participants": ["D1:0", "D2:0"], "session_type": 5, "session_name": "x"}
    status, session, _ = server.ask(
        "POST", "/api/v2/sessions", {"session_id": "s1", "user_id": "D1", **members}
    )
    assert status == 201, session
    path = "/api/v2/sessions/s1/messages"
    status, message, _ = server.ask("POST", path, {"sender_id": "D1", "type": 1, "content": "您好"})
    assert status == 201, message
    assert (message["seq"], message["content"]) == (1, "您好")
    assert "您好" not in server.log.read_text() and "seq" not in server.log.read_text()


def test_the_port_is_free_again_and_the_state_is_kept(tmp_path):
    with Running(tmp_path) as running:
        port = running.port
        running.ask("PUT", "/api/v2/users/D1", {"kind": "doctor", "name": "李"})
        running.signal()
        assert running.ended(5) == 0
    with Running(tmp_path, "--port", str(port)) as running:
        assert running.port == port
        assert running.ask("GET", "/api/v2/users/D1")[1]["name"] == "李"


# ---- refusals


@pytest.mark.parametrize(
    "options, env, words",
    [
        (("--profile", "nope"), {}, ["profile", "nope", "dev, test, prod"]),
        ((), {"IM_PROFILE": "nope"}, ["profile", "nope", "dev, test, prod"]),
        (("--profile", "prod"), {}, ["auth.secret"]),
        (("--profile", "prod"), {"IMD_AUTH_SECRET": "short"}, ["auth.secret"]),
        (("--interface", "0.0.0.0"), {}, ["auth.mode", "loopback"]),
        (("--port", "x"), {}, ["http.port", "x"]),
        (("--port", "65536"), {}, ["http.port", "65536"]),
        (("--config", "/nowhere.toml"), {}, ["/nowhere.toml"]),
        (("--bogus",), {}, ["--bogus"]),
        (("--port",), {}, ["--port"]),
        (("extra",), {}, ["extra"]),
        ((), {"IMD_HTTP_PROT": "1"}, ["IMD_HTTP_PROT"]),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_1(tmp_path, options, env, words):
    outcome = run_once("--state-dir", str(tmp_path / "var"), *options, **env)
    assert outcome.returncode == 1 and outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert all(word in line for word in words) and SECRET not in line
    assert not (tmp_path / "var").exists()


def test_several_problems_are_several_lines():
    outcome = run_once("--port", "x", IMD_LOG_LEVEL="loud")
    assert outcome.returncode == 1
    assert len(outcome.stderr.splitlines()) == 2


def test_a_taken_port_ends_the_process(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        port = str(holder.getsockname()[1])
        outcome = run_once("--state-dir", str(tmp_path), "--port", port)
    assert outcome.returncode == 1
    assert (
        outcome.stderr == f"imd: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )
    assert "Starting IM server" not in outcome.stdout


def test_an_unreachable_database_ends_the_process(tmp_path):
    url = "postgresql://imd@127.0.0.1:1/im"
    outcome = run_once("--state-dir", str(tmp_path), "--port", "0", IMD_DATABASE_URL=url)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("imd: ") and "Traceback" not in outcome.stderr


def test_a_state_directory_that_cannot_be_used_ends_the_process(tmp_path):
    (tmp_path / "file").write_text("")
    outcome = run_once("--state-dir", str(tmp_path / "file" / "var"), "--port", "0")
    assert outcome.returncode == 1 and "Traceback" not in outcome.stderr
    assert outcome.stderr.startswith("imd: ")


# ---- callers


def test_keys_and_tokens_made_beside_a_running_server_are_good_within_5_s(tmp_path):
    line = ("--state-dir", str(tmp_path / "var"))
    with Running(tmp_path, env=TOKEN_MODE) as running:
        assert running.ask("GET", "/api/v2/users/D1")[0] == 401
        made = json.loads(imdctl("key", "add", "his", "--scope", "read,write,admin", *line).stdout)
        key = {"X_Api_Key": made["key"]}
        assert _within(5, lambda: running.ask("GET", "/api/v2/users/D1", **key)[0] == 404)
        body = {"kind": "doctor", "name": "李"}
        assert running.ask("PUT", "/api/v2/users/D1", body, **key)[0] == 201
        token = imdctl("token", "D1", "--role", "doctor", *line, **TOKEN_MODE).stdout.strip()
        own = {"Authorization": f"Bearer {token}"}
        assert running.ask("GET", "/api/v2/users/D1", **own)[1]["name"] == "李"
        assert running.ask("POST", "/api/v2/users/logout", {}, **own)[0] == 204
        assert running.ask("GET", "/api/v2/users/D1", **own)[0] == 401
        assert imdctl("key", "revoke", "his", *line).returncode == 0
        assert _within(5, lambda: running.ask("GET", "/api/v2/users/D1", **key)[0] == 401)
        text = running.log.read_text()
        assert made["key"] not in text and token not in text and "李" not in text


def test_a_logout_in_one_process_counts_in_another_within_5_s(tmp_path):
    env = {**TOKEN_MODE, "IMD_DATABASE_URL": f"sqlite:///{tmp_path / 'imd.db'}"}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Running(tmp_path / "a", env=env) as one, Running(tmp_path / "b", env=env) as other:
        token = imdctl("token", "D1", "--role", "doctor", **env).stdout.strip()
        own = {"Authorization": f"Bearer {token}"}
        path = "/api/v2/application/badge_no"
        assert other.ask("GET", path, **own)[0] == 200
        with connect(other.ws) as ws:
            params = {"token": token, "client_type": "doctor_system"}
            ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}))
            assert "result" in json.loads(ws.recv(5))
            assert one.ask("POST", "/api/v2/users/logout", {}, **own)[0] == 204
            assert _within(5, lambda: other.ask("GET", path, **own)[0] == 401)
            assert _close_code(ws) == 4403


def test_a_developers_token_works_without_any_secret(server):
    token = imdctl("token", "D9", "--role", "doctor", "--state-dir", str(server.folder / "var"))
    answer = server.ask(
        "GET", "/api/v2/application/badge_no", Authorization=f"Bearer {token.stdout.strip()}"
    )
    assert answer[:2] == (200, {"user_id": "D9", "badge_no": 0})
    assert server.ask("GET", "/api/v2/users/D9", Authorization="Bearer a.b.c")[0] == 401


def _within(seconds: float, good) -> bool:
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _asks_the_database(server: Running) -> bool:
    """Whether something is under way there."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as asking:
        asking.request("GET", "/metrics")
        figures = asking.getresponse().read().decode()
    return re.search(r"^imd_database_queue [1-9]", figures, re.MULTILINE) is not None


# ---- farewell


def _close_code(ws) -> Any:
    with pytest.raises(ConnectionClosed):
        while True:
            ws.recv(10)
    return ws.protocol.close_code


def test_a_drain_closes_sockets_with_4503_and_takes_nobody_new(tmp_path):
    with Running(tmp_path, env={"IMD_HTTP_DRAIN": "1"}) as running, ExitStack() as stack:
        sockets = [stack.enter_context(connect(running.ws)) for _ in range(5)]
        login = {"user_id": "D1", "client_type": "doctor_system"}
        for ws in sockets[:4]:
            ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "login", "params": login}))
            assert "result" in json.loads(ws.recv(5))
        begun = time.monotonic()
        running.signal()
        assert _within(1, lambda: _refuses(running.port))
        assert {_close_code(ws) for ws in sockets} == {4503}
        assert sockets[0].protocol.close_reason.startswith("reconnect_in=")
        assert running.ended(6) == 0
        assert time.monotonic() - begun < 1 + 5


def test_an_idle_connection_does_not_hold_it(server):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        begun = time.monotonic()
        server.signal()
        assert server.ended(5) == 0
        assert time.monotonic() - begun < 2


def test_what_is_in_flight_is_answered_before_it_ends(server):
    server.ask("PUT", "/api/v2/users/D1", {"kind": "doctor", "name": "x"})
    with (
        closing(sqlite3.connect(server.folder / "var" / "imd.db", isolation_level=None)) as other,
        closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection,
    ):
        other.execute("BEGIN IMMEDIATE")
        connection.request("PUT", "/api/v2/users/D1", b"name=y", {"Content-Type": FORM})
        assert _within(5, lambda: _asks_the_database(server))
        server.signal()
        assert _within(5, lambda: _refuses(server.port))
        with pytest.raises(subprocess.TimeoutExpired):
            server.ended(0.5)
        other.execute("COMMIT")
        assert connection.getresponse().status == 200
        assert server.ended(5) == 0


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_socket_of_systemd_is_taken_over(tmp_path, family, host):
    with closing(socket.create_server((host, 0), family=family)) as listener:
        number = listener.getsockname()[1]
        process = given_socket(listener, tmp_path)
        try:
            with closing(http.client.HTTPConnection(host, number, timeout=20)) as asked:
                asked.request("GET", "/healthz")  # it waits in the backlog until we are up
                assert asked.getresponse().status == 200
            assert f"running on port {number}," in (tmp_path / "log").read_text()
            process.terminate()
            assert process.wait(5) == 0
        finally:
            process.kill()
            process.wait(5)


def test_a_trusted_server_takes_no_open_socket_that_others_can_reach(tmp_path):
    with closing(socket.create_server(("0.0.0.0", 0))) as listener:
        process = given_socket(listener, tmp_path)
        assert process.wait(20) == 1
        assert "imd: auth.mode is trusted" in (tmp_path / "log").read_text()


def test_a_database_that_hangs_does_not_hold_it(tmp_path):
    database = PostgresServer()
    try:
        database.start()
    except NoPostgres as error:
        pytest.skip(str(error))
    url = database.create_database()
    env = {"IMD_DATABASE_URL": url, "IMD_HTTP_DRAIN": "1"}
    try:
        with Running(tmp_path, env=env) as running:
            database.pause()
            with closing(socket.create_connection(("127.0.0.1", running.port))) as asking:
                asking.sendall(b"GET /api/v2/users/D1 HTTP/1.1\r\nHost: x\r\n\r\n")
                assert _within(5, lambda: _asks_the_database(running))
                begun = time.monotonic()
                running.signal()
                status = running.ended(10)
                assert time.monotonic() - begun < 1 + 5
                assert status == 0, running.log.read_text()
    finally:
        database.resume()
        database.stop()


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_a_socket_that_never_answers_does_not_hold_it(tmp_path):
    with Running(tmp_path, env={"IMD_HTTP_DRAIN": "0.5"}) as running:
        raw = socket.create_connection(("127.0.0.1", running.port))
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        handshake = (
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        silent = socket.create_connection(("127.0.0.1", running.port))
        silent.sendall(handshake.encode())
        assert silent.recv(100).startswith(b"HTTP/1.1 101 ")
        begun = time.monotonic()
        running.signal()
        assert running.ended(6) == 0
        assert time.monotonic() - begun < 5.5
        raw.close()
        silent.close()


def test_prod_logs_json_and_names_no_one(tmp_path):
    env = {"IMD_AUTH_SECRET": SECRET, "IMD_HTTP_INTERFACE": "127.0.0.1"}
    with Running(tmp_path, "--profile", "prod", env=env) as running:
        assert running.ask("GET", "/api/v2/users/D-secret")[0] == 401
        running.signal()
        assert running.ended(5) == 0
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert {"time", "level", "source", "message"} <= set(lines[0])
        assert any(line.get("request_id") for line in lines)
        assert "D-secret" not in running.log.read_text()


def test_tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    env = {"IMD_HTTP_TLS_CERT": str(cert), "IMD_HTTP_TLS_KEY": str(key)}
    with Running(tmp_path, env=env) as running:
        context = ssl.create_default_context(cafile=str(cert))
        uri = f"wss://localhost:{running.port}/ws"
        with connect(uri, ssl=context, server_hostname="localhost") as ws:
            ws.send('{"jsonrpc":"2.0","id":1,"method":"send","params":{}}')
            assert _close_code(ws) == 4401
    env["IMD_HTTP_TLS_KEY"] = str(cert)
    outcome = run_once("--state-dir", str(tmp_path), "--port", "0", **env)
    assert outcome.returncode == 1 and "http.tls_key" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(10)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        with Running(tmp_path, env=env) as running:
            assert receiver.recv(100) == b"READY=1"
            assert receiver.recv(100) == b"WATCHDOG=1"
            running.signal()
            assert running.ended(5) == 0
            states = set()
            receiver.setblocking(False)
            try:
                while True:
                    states.add(receiver.recv(100))
            except BlockingIOError:
                pass
            assert b"STOPPING=1" in states
            # http.drain is 10 s: systemd gives the stop more than that.
            asked = [state for state in states if state.startswith(b"EXTEND_TIMEOUT_USEC=")]
            assert len(asked) == 1 and int(asked[0].partition(b"=")[2]) > 15_000_000
