"""What stands beside the API: the console's files, figures and demo door, and the metrics."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from imd.service.demo import story
from imd.web.console import read_console
from tests.service.running import Running, imdctl

SECRET = "Zk3v9-2hQx7LmT0aWcR8yBnE5uJfGd4sPo6iKq1Xe"
CONSOLE = Path(__file__).parents[2] / "imd" / "web" / "console"


def fetch(
    server: Running, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    """A server of profile prod with the console on, and a key for each purpose."""
    folder = tmp_path_factory.mktemp("guarded")
    env = {"IMD_AUTH_SECRET": SECRET, "IMD_CONSOLE_ENABLED": "true", "IM_PROFILE": "prod"}
    keys = {}
    for scope in ("read", "admin", "metrics"):
        words = ("--state-dir", str(folder / "var"), "--json")
        made = imdctl("key", "add", scope, "--scope", scope, *words, **env)
        assert made.returncode == 0, made.stderr
        found = re.search(r"imd_[\w-]{43}", made.stdout)
        assert found
        keys[scope] = found[0]
    with Running(folder, "--interface", "127.0.0.1", env=env) as running:
        yield running, keys


def test_the_page_may_do_nothing_but_what_its_policy_says(server: Running) -> None:
    answer, body = fetch(server, "/")
    assert answer.status == 200 and answer.getheader("Content-Type") == "text/html; charset=utf-8"
    policy = answer.getheader("Content-Security-Policy") or ""
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
    )
    assert "unsafe" not in policy and "*" not in policy
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert b"<style" not in body and b"style=" not in body
    assert not re.search(rb"<script(?![^>]*\bsrc=)", body) and not re.search(rb"\son\w+=", body)
    assert not re.search(rb"(src|href)=\"(?!/)", body)


def test_files_are_asked_for_again_with_their_etag(server: Running) -> None:
    for name in read_console():
        path = "/" if name == "index.html" else f"/console/{name}"
        answer, body = fetch(server, path)
        assert answer.status == 200 and body, path
        etag = answer.getheader("ETag") or ""
        again, nothing = fetch(server, path, If_None_Match=etag)
        assert (again.status, nothing) == (304, b"")
        head, nothing = fetch(server, path, "HEAD")
        assert head.status == 200 and not nothing
        assert head.getheader("Content-Length") == str(len(body))
        refused, _ = fetch(server, path, "DELETE")
        assert refused.status == 405 and "GET" in (refused.getheader("Allow") or "")


def test_the_scripts_have_no_way_to_put_markup_in_and_name_no_other_host() -> None:
    for path in CONSOLE.iterdir():
        if path.suffix not in (".js", ".css", ".html"):
            continue
        text = path.read_text("utf-8")
        assert len(text.splitlines()) < 400, path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text
        ), path.name
        hosts = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org", "example.org"}
        assert not hosts, path.name


def test_what_is_not_there_is_an_api_404(server: Running) -> None:
    for path in ("/console", "/console/", "/console/nothing.js", "/console/../x", "/console/a/b"):
        answer, _ = fetch(server, path)
        assert answer.status == 404, path
        assert answer.getheader("Content-Type") == "application/problem+json"


def test_figures_and_metrics_are_of_one_registry(server: Running) -> None:
    assert server.ask("GET", "/healthz")[0] == 200
    _, figures, _ = server.ask("GET", "/console/figures")
    assert set(figures) >= {"sockets", "messages", "requests", "commits", "database", "push"}
    assert figures["push"] is None
    answer, body = fetch(server, "/metrics")
    assert answer.status == 200 and (answer.getheader("Content-Type") or "").startswith(
        "text/plain"
    )
    text = body.decode()
    for name in (
        "imd_request_seconds_bucket", "imd_messages_stored_total", "imd_batch_wishes_count",
        "imd_commit_seconds_sum", "imd_deliveries_total", "imd_database_queue", "imd_writer_queue",
        "imd_database_wait_seconds_count", "imd_reactor_lag_seconds", "process_cpu_seconds_total",
    ):  # fmt: skip
        assert re.search(rf"^{name}[ {{]", text, re.MULTILINE), name
    assert re.search(r'imd_request_seconds_count\{route="[a-z_]+",status="\d+"\}', text)


def test_a_message_is_counted_once(server: Running) -> None:
    def counted() -> float:
        _, body = fetch(server, "/metrics")
        found = re.search(rb"^imd_messages_stored_total (\S+)", body, re.MULTILINE)
        assert found
        return float(found[1])

    before = counted()
    fields = {"sender_id": story()["doctor"], "type": 1, "content": "x", "client_msg_id": "once"}
    for _ in range(3):
        path = f"/api/v2/sessions/{story()['session']}/messages"
        assert server.ask("POST", path, fields)[0] == 201
    assert counted() == before + 1


def test_a_scrape_from_elsewhere_needs_a_key(guarded: tuple[Running, dict[str, str]]) -> None:
    server, keys = guarded
    assert fetch(server, "/metrics")[0].status == 200
    far = {"X_Forwarded_For": "203.0.113.9"}
    assert fetch(server, "/metrics", **far)[0].status == 401
    assert fetch(server, "/metrics", X_Api_Key=keys["read"])[0].status == 403
    assert fetch(server, "/metrics", X_Api_Key=keys["metrics"], **far)[0].status == 200


def test_with_tokens_the_page_is_open_and_its_figures_are_not(
    guarded: tuple[Running, dict[str, str]],
) -> None:
    server, keys = guarded
    assert fetch(server, "/")[0].getheader("Content-Type") == "text/html; charset=utf-8"
    assert fetch(server, "/console/figures")[0].status == 401
    assert fetch(server, "/console/figures", X_Api_Key=keys["read"])[0].status == 200
    token = imdctl("token", "D1", "--role", "doctor", IMD_AUTH_SECRET=SECRET, IM_PROFILE="prod")
    bearer = {"Authorization": f"Bearer {token.stdout.split()[-1]}"}
    assert fetch(server, "/console/figures", **bearer)[0].status in (401, 403)
    assert fetch(server, "/console/demo", "POST", X_Api_Key=keys["admin"])[0].status == 404


def test_switched_off_the_index_answers(tmp_path: Path) -> None:
    with Running(tmp_path, env={"IMD_CONSOLE_ENABLED": "false"}) as server:
        status, index, _ = server.ask("GET", "/")
        assert status == 200 and index["name"] == "imd"
        assert server.ask("GET", "/console/main.js")[0] == 404
        assert fetch(server, "/metrics")[0].status == 200
