"""``imdctl doctor-check``: each thing that can be wrong is found, and what to do is said (5.3)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imd.cli import check_machine, check_network, check_storage
from imd.cli.main import run
from imd.storage.store import sync_transaction

SECRET = "Vq7-unlikely-f00d-Zx9"


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.setenv("IMD_STATE_DIR", str(tmp_path))
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def stored(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)
    assert run(["key", "add", "his", "--scope", "read"]) == 0
    return database_url


@pytest.fixture
def well(monkeypatch, sqlite_url, tmp_path):
    """All is well."""
    monkeypatch.setenv("IMD_DATABASE_URL", sqlite_url)
    assert run(["backup", str(tmp_path / "b")]) == 1
    assert run(["key", "add", "his", "--scope", "read"]) == 0
    assert run(["backup", str(tmp_path / "b")]) == 0
    return sqlite_url


def report(capsys, status: int | None = None, *words: str) -> dict[str, dict[str, Any]]:
    """The findings by name, the worst of a name last."""
    capsys.readouterr()
    got = run(["doctor-check", *words, "--json"])
    out, err = capsys.readouterr()
    assert err == "" and (status is None or got == status), out
    value = json.loads(out)
    assert ["ok", "warn", "fail"].index(value["verdict"]) == got
    order = sorted(value["checks"], key=lambda f: ["ok", "warn", "fail"].index(f["verdict"]))
    for finding in order:
        assert bool(finding["todo"]) == (finding["verdict"] != "ok"), finding
    return {finding["name"]: finding for finding in order}


def test_all_is_well_is_status_0(capsys, well):
    found = report(capsys, 0)
    assert {f["verdict"] for f in found.values()} == {"ok"}
    assert {"database", "durability", "schema", "backup", "redis", "push", "platform", "limits",
            "secrets", "imd", "python", "openssl", "libraries"} <= set(found)  # fmt: skip
    capsys.readouterr()
    assert run(["doctor-check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok    ") for line in lines)


def test_what_it_says_of_each_database(capsys, stored):
    found = report(capsys)
    kind = "SQLite" if stored.startswith("sqlite") else "PostgreSQL"
    assert kind in found["database"]["seen"]
    assert found["schema"]["verdict"] == "ok"
    assert found["backup"]["verdict"] == "warn" and "imdctl backup" in found["backup"]["todo"]
    if kind == "PostgreSQL":
        assert found["clock and database"]["verdict"] == "ok"
        # The tests' server is quick and forgetful.
        assert found["durability"]["verdict"] == "fail" and "fsync" in found["durability"]["seen"]


def test_an_old_backup_is_a_warning(capsys, monkeypatch, well):
    with sync_transaction(well) as tx:
        long_ago = str(int((time.time() - 3 * 86400) * 1000))
        tx.connection.run("UPDATE store SET value = %s WHERE name = 'backup_done'", (long_ago,))
    assert "3.0 days" in report(capsys, 1)["backup"]["seen"]


def test_no_database_and_no_schema_are_told_and_not_made(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("IMD_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    assert report(capsys, 1)["database"]["verdict"] == "warn"
    assert not (tmp_path / "none.db").exists()
    monkeypatch.setenv("IMD_DATABASE_URL", "postgresql://imd@127.0.0.1:1/none")
    assert report(capsys, 2)["database"]["verdict"] == "fail"


def test_an_older_and_a_newer_schema(capsys, monkeypatch, tmp_path, well):
    from imd.storage.migrate import upgrade

    old = f"sqlite:///{tmp_path / 'old.db'}"
    upgrade(old, "0001")
    monkeypatch.setenv("IMD_DATABASE_URL", old)
    found = report(capsys, 1)
    assert "migrate" in found["schema"]["todo"] and found["backup"]["verdict"] == "warn"
    monkeypatch.setenv("IMD_DATABASE_URL", well)
    with sync_transaction(well) as tx:
        tx.connection.run("UPDATE schema_version SET version_num = '9999'")
    assert "newer" in report(capsys, 2)["schema"]["seen"]


def test_a_clock_that_is_off(capsys, monkeypatch, postgres_url):
    monkeypatch.setenv("IMD_DATABASE_URL", postgres_url)
    assert run(["key", "add", "his", "--scope", "read"]) == 0
    for seconds, verdict in ((-10, "warn"), (10, "warn"), (60, "fail")):
        off = int(seconds * 1000)
        monkeypatch.setattr(
            "imd.service.clock.SystemClock.now",
            lambda self, off=off: int(time.time() * 1000) + off,
        )
        found = report(capsys)["clock and database"]
        assert found["verdict"] == verdict, found
        assert ("before" if seconds < 0 else "after") in found["seen"]


@pytest.mark.parametrize(
    ("free", "verdict"), [(100 << 20, "fail"), (1 << 30, "warn"), (10 << 30, "ok")]
)
def test_room(monkeypatch, capsys, well, free, verdict):
    usage = type("Usage", (), {"free": free, "total": 20 << 30})
    monkeypatch.setattr(check_storage.shutil, "disk_usage", lambda folder: usage)
    assert report(capsys)["disk of the state directory"]["verdict"] == verdict


# ---- the network


@contextlib.contextmanager
def serving(answer: Any) -> Iterator[int]:
    """A listener whose connections ``answer`` is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line:
                        answer(line)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_redis(capsys, monkeypatch, well, redis_server):
    monkeypatch.setenv("IMD_BUS_URL", redis_server.url)
    assert report(capsys, 0)["redis"]["seen"] == "answers"
    monkeypatch.setenv("IMD_BUS_PASSWORD", SECRET)
    capsys.readouterr()
    found = report(capsys, 2)["redis"]
    assert found["verdict"] == "fail" and SECRET not in json.dumps(found)
    monkeypatch.delenv("IMD_BUS_PASSWORD")
    monkeypatch.setenv("IMD_BUS_URL", "redis://127.0.0.1:1")
    assert report(capsys, 2)["redis"]["verdict"] == "fail"


def test_redis_gets_the_password_and_has_a_deadline(capsys, monkeypatch, well):
    heard: list[bytes] = []

    def answer(line: socket.socket) -> None:
        heard.append(line.recv(4096))
        line.sendall(b"+OK\r\n")
        heard.append(line.recv(4096))
        line.sendall(b"+PONG\r\n")

    with serving(answer) as port:
        monkeypatch.setenv("IMD_BUS_URL", f"redis://me:p%40ss@127.0.0.1:{port}")
        assert report(capsys, 0)["redis"]["verdict"] == "ok"
    assert heard[0] == b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np@ss\r\n"
    monkeypatch.setattr(check_network, "_DEADLINE", 0.1)
    release = threading.Event()
    with serving(lambda line: release.wait(10)) as port:
        monkeypatch.setenv("IMD_BUS_URL", f"redis://127.0.0.1:{port}")
        assert "no answer" in report(capsys, 2)["redis"]["seen"]
        release.set()


@contextlib.contextmanager
def provider(skew: float) -> Iterator[tuple[str, list[str]]]:
    """A provider whose clock is off, and what it was asked."""
    asked: list[str] = []

    class Pages(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response_only(404)
            moment = datetime.now(UTC) + timedelta(seconds=skew)
            self.send_header("Date", format_datetime(moment, usegmt=True))
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join(5)


def test_providers_are_reached_without_spending_a_token(capsys, monkeypatch, well):
    for key, value in (("APP_ID", "wx1"), ("APP_SECRET", SECRET), ("TEMPLATE_ID", "t")):
        monkeypatch.setenv(f"IMD_PUSH_WECHAT_{key}", value)
    with provider(0) as (url, asked):
        monkeypatch.setenv("IMD_PUSH_WECHAT_BASE_URL", url)
        found = report(capsys, 0)
        assert found["wechat"]["verdict"] == found["clock and wechat"]["verdict"] == "ok"
        assert asked == ["HEAD /"]
    with provider(-90) as (url, _):
        monkeypatch.setenv("IMD_PUSH_WECHAT_BASE_URL", url)
        found = report(capsys, 2)["clock and wechat"]
        assert found["verdict"] == "fail" and "after" in found["seen"]
    assert report(capsys, 2)["wechat"]["verdict"] == "fail"


def test_a_provider_with_a_wrong_certificate_or_without_an_answer(capsys, monkeypatch, well):
    monkeypatch.setattr(check_network, "_DEADLINE", 0.2)
    for key in ("APP_ID", "APP_KEY", "MASTER_SECRET"):
        monkeypatch.setenv(f"IMD_PUSH_GETUI_{key}", SECRET)
    release = threading.Event()
    with serving(lambda line: release.wait(10)) as port:
        monkeypatch.setenv("IMD_PUSH_GETUI_BASE_URL", f"https://127.0.0.1:{port}")
        found = report(capsys, 2)["getui"]
        release.set()
    assert found["verdict"] == "fail" and SECRET not in json.dumps(found)


def test_the_platform(capsys, monkeypatch, well, tmp_path):
    monkeypatch.setenv("IMD_PLATFORM_URL", f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert report(capsys, 2)["platform"]["verdict"] == "fail"
    (tmp_path / "there.db").touch()
    monkeypatch.setenv("IMD_PLATFORM_URL", f"sqlite:///{tmp_path / 'there.db'}")
    assert report(capsys, 0)["platform"]["verdict"] == "ok"


# ---- the machine


def test_limits(capsys, monkeypatch, well):
    monkeypatch.setattr(check_machine.resource, "getrlimit", lambda which: (1024, 4096))
    found = report(capsys, 1)["limits"]
    assert "1024" in found["seen"] and "LimitNOFILE" in found["todo"]
    assert report(capsys, 0, "--sockets", "500")["limits"]["verdict"] == "ok"


def test_secrets_that_everybody_may_read(capsys, monkeypatch, well, tmp_path):
    monkeypatch.setattr(check_machine, "_reachable", lambda folder: True)
    secret, config = tmp_path / "bus.secret", tmp_path / "imd.toml"
    secret.write_text(SECRET)
    config.write_text(f'[auth]\nsecret = "{SECRET * 2}"\n')
    monkeypatch.setenv("IMD_CONFIG", str(config))
    monkeypatch.setenv("IMD_PUSH_GETUI_MASTER_SECRET_FILE", str(secret))
    for path in (secret, config):
        path.chmod(0o640)
    assert report(capsys, 0)["secrets"]["verdict"] == "ok"
    for path in (secret, config, Path(well.removeprefix("sqlite:///"))):
        path.chmod(0o644)
        found = report(capsys, 1)["secrets"]
        assert str(path) in found["seen"] and "chmod" in found["todo"]
        path.chmod(0o660)
        assert "g-w" in report(capsys, 1)["secrets"]["todo"]
        path.chmod(0o640)


def test_who_cannot_come_near_cannot_read(tmp_path):
    (tmp_path / "a").mkdir(mode=0o750)
    assert not check_machine._reachable(tmp_path / "a")


def test_refused_settings_are_status_2(capsys, monkeypatch):
    monkeypatch.setenv("IMD_HTTP_PORT", "x")
    assert run(["doctor-check"]) == 2
    assert "http.port" in capsys.readouterr().err
