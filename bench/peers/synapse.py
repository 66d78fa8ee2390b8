"""Matrix Synapse, from PyPI into an environment of its own, on the bench's PostgreSQL.

It does far more for an event than imd for a message (state, signatures, a graph), so a ratio says
what that costs, not who programs better. Limits of rate are off, presence too, passwords are cheap
to check. Nothing of imd needs it; where it cannot be had the bench leaves its row out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bench.load import PLACE
from bench.peers import BUILD, made
from bench.servers import Served
from tests.e2e.server import die_with_parent
from tests.servers import free_port

_WANTED = ("matrix-synapse==1.163.2", "psycopg2-binary>=2.9.10,<3")
_SECRET = "bench-registers-with-this"
_CLIENT = "/_matrix/client/v3"
_START_SECONDS = 120.0
_NO_LIMIT = {"per_second": 1_000_000, "burst_count": 1_000_000}
_LIMITS = ("rc_message", "rc_registration", "rc_joins_per_room", "rc_admin_redaction")
_LIMITS_OF = {
    "rc_login": ("address", "account", "failed_attempts"),
    "rc_joins": ("local", "remote"),
    "rc_invites": ("per_room", "per_user", "per_issuer"),
}
_FILTER = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "account_data": {"types": []},
        "ephemeral": {"types": []},
        "timeline": {"limit": 50, "types": ["m.room.message"]},
    },
}


def _installed() -> Path:
    """The Python that has Synapse, made now or before; NotHere."""
    folder = BUILD / "synapse"
    python = folder / "bin" / "python"
    fetch = [python, "-m", "pip", "install", "--quiet", "--retries", "1", *_WANTED]
    make = [sys.executable, "-m", "venv", folder]
    made("Synapse", folder, "\n".join(_WANTED), [make, fetch])
    return python


def _settings(folder: Path, port: int, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    limits: dict[str, Any] = dict.fromkeys(_LIMITS, _NO_LIMIT)
    for name, kinds in _LIMITS_OF.items():
        limits[name] = dict.fromkeys(kinds, _NO_LIMIT)
    return {
        "server_name": "bench.example",
        "pid_file": str(folder / "pid"),
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {
            "name": "psycopg2",
            "args": {
                "user": parts.username, "host": parts.hostname, "port": parts.port,
                "dbname": parts.path.lstrip("/"), "cp_min": 5, "cp_max": 10,
            },
        },
        "log_config": str(folder / "log.yaml"),
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "trusted_key_servers": [],
        "registration_shared_secret": _SECRET,
        "macaroon_secret_key": _SECRET,
        "form_secret": _SECRET,
        "report_stats": False,
        "presence": {"enabled": False},
        "bcrypt_rounds": 4,
        **limits,
    }  # fmt: skip


_LOG = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "root": {"level": "WARNING", "handlers": ["file"]},
    "disable_existing_loggers": False,
}


@contextmanager
def synapse(folder: Path, url: str, database: int) -> Iterator[Served]:
    """The server on an empty database with the locale C; NotHere."""
    python = _installed()
    folder.mkdir(parents=True)
    port, config = free_port(), folder / "homeserver.yaml"
    # JSON is YAML, too.
    config.write_text(json.dumps(_settings(folder, port, url)))
    log = {"class": "logging.FileHandler", "filename": str(folder / "log"), "formatter": "plain"}
    (folder / "log.yaml").write_text(json.dumps({**_LOG, "handlers": {"file": log}}))
    program = [python, "-m", "synapse.app.homeserver", "-c", config]
    with (folder / "said").open("wb") as said:
        keys = subprocess.run(
            [*program, "--generate-keys"], stdout=said, stderr=said, check=False, cwd=folder
        )
        assert keys.returncode == 0, (folder / "said").read_text()[-2000:]
        process = subprocess.Popen(
            program, stdout=said, stderr=said, cwd=folder, preexec_fn=die_with_parent
        )
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < end, (folder / "said").read_text()[
                -2000:
            ]
            time.sleep(0.1)
        yield Served(port, process.pid, database)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        _ask(port, "GET", "/_matrix/client/versions")
    except OSError:
        return False
    return True


def _ask(port: int, method: str, path: str, body: Any = None, credential: str = "") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
    if credential:
        request.add_header("Authorization", f"Bearer {credential}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _registered(port: int, name: str) -> tuple[str, str]:
    """A new user's id and token."""
    path = "/_synapse/admin/v1/register"
    nonce = _ask(port, "GET", path)["nonce"]
    words = "\0".join((nonce, name, "password", "notadmin")).encode()
    mac = hmac.new(_SECRET.encode(), words, hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "password", "admin": False, "mac": mac}
    user = _ask(port, "POST", path, body)
    return user["user_id"], user["access_token"]


def pairs(port: int, many: int, content: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Senders and receivers of the load generator, each pair alone in a room."""
    senders, receivers = [], []
    for number in range(many):
        _, doctor = _registered(port, f"d{number}")
        patient_id, patient = _registered(port, f"p{number}")
        wish = {"preset": "private_chat", "invite": [patient_id]}
        room = quote(_ask(port, "POST", f"{_CLIENT}/createRoom", wish, doctor)["room_id"])
        _ask(port, "POST", f"{_CLIENT}/join/{room}", {}, patient)
        senders.append({"kind": "http", "request": _send(room, doctor, content)})
        wanted = quote(json.dumps(_FILTER, separators=(",", ":")))
        since = _ask(port, "GET", f"{_CLIENT}/sync?filter={wanted}", credential=patient)
        poll = f"{_CLIENT}/sync?filter={wanted}&timeout=30000&since={PLACE.decode()}"
        request = (
            f"GET {poll} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {patient}\r\n\r\n"
        )
        receivers.append({"kind": "poll", "request": request, "since": since["next_batch"]})
    return senders, receivers


def _send(room: str, credential: str, content: str) -> str:
    body = json.dumps({"msgtype": "m.text", "body": content, "client_msg_id": PLACE.decode()})
    return (
        f"PUT {_CLIENT}/rooms/{room}/send/m.room.message/{PLACE.decode()} HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nAuthorization: Bearer {credential}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
