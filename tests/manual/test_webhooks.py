"""The receivers of the webhooks guide keep what imd sends: each event once, in order, no other."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rest import Rest
from tests.e2e.server import die_with_parent, running, until
from tests.manual.blocks import blocks
from tests.manual.programs import environment, run
from tests.servers import free_port

SECRET = "the webhooks guide signs with this"
GUIDE = "guides/webhooks.md"


def _python(folder: Path) -> list[str]:
    (folder / "hook.py").write_text(blocks(GUIDE, "python")[0], "utf-8")
    return [sys.executable, "hook.py"]


def _javascript(folder: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("NOT TESTED: the JavaScript of the webhooks guide needs node")
    (folder / "hook.mjs").write_text(blocks(GUIDE, "js")[0], "utf-8")
    return [node, "hook.mjs"]


def _java(folder: Path) -> list[str]:
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("NOT TESTED: the Java of the webhooks guide needs a JDK")
    (folder / "Hook.java").write_text(blocks(GUIDE, "java")[0], "utf-8")
    run(["javac", "-encoding", "UTF-8", "Hook.java"], folder)
    return ["java", "-cp", str(folder), "Hook"]


class Receiver:
    """A program of the guide, and the file in which it keeps events."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._folder, self._command, self.port = folder, command, free_port()
        self.kept = folder / "events.jsonl"

    @contextmanager
    def serving(self) -> Iterator[None]:
        variables = environment(IM_HOOK_PORT=str(self.port), IM_HOOK_SECRET=SECRET)
        process = subprocess.Popen(
            self._command, cwd=self._folder, env=variables, preexec_fn=die_with_parent
        )
        try:
            until(lambda: self.post(b"{}", "nonsense") == 401, 30, "the receiver to answer")
            yield
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()

    def post(self, body: bytes, signature: str) -> int:
        """The status; 0 while nobody listens."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request("POST", "/imd", body, {"X-Imd-Signature": signature})
            return link.getresponse().status
        except ConnectionRefusedError:
            return 0
        finally:
            link.close()

    def events(self) -> list[dict[str, Any]]:
        if not self.kept.exists():
            return []
        return [json.loads(line) for line in self.kept.read_bytes().splitlines()]

    def messages(self) -> list[dict[str, Any]]:
        kept = self.events()
        return [event["data"] for event in kept if event["type"] == "message.created"]


def signed(body: bytes, secret: str = SECRET, age: int = 0) -> str:
    now = int(time.time() * 1000) - age
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"


@pytest.mark.parametrize("program", [_python, _javascript, _java])
def test_a_receiver_of_the_guide(tmp_path: Path, program: Callable[[Path], list[str]]):
    receiver = Receiver(tmp_path, program(tmp_path))
    hook = {"url": f"http://127.0.0.1:{receiver.port}/imd", "secret": SECRET, "events": ["*"]}
    settings = {"IMD_WEBHOOKS": json.dumps([hook]), "IMD_PUSH_RETRY_BASE": "0.2"}
    with receiver.serving(), running(tmp_path / "state", None, IM_PROFILE="dev", **settings) as imd:
        asyncio.run(_talk(imd.port))
        until(lambda: len(receiver.messages()) >= 4, 30, "the events to come")
        events = receiver.events()
        assert [message["seq"] for message in receiver.messages()] == [1, 2, 3, 4]
        _judge(receiver)
    with receiver.serving():
        # One that starts anew knows what it has kept.
        _judge(receiver)
        assert receiver.events()[: len(events)] == events


async def _talk(port: int) -> None:
    async with Rest(port) as rest:
        await rest.open_session("p1_t1_2", "d1:doctor", "p1:patient")
        for number in range(4):
            body = {"sender_id": "d1", "type": 1, "content": f"第{number}条"}
            (await rest.ask("POST", "/sessions/p1_t1_2/messages", body)).must(201)


def _judge(receiver: Receiver) -> None:
    """What is forged, old or known already leaves nothing behind."""
    known = receiver.kept.read_bytes().splitlines()[0]
    new = b'{"id":"forged","type":"message.created","time":1,"data":{}}'
    before = receiver.events()
    assert receiver.post(known, signed(known)) == 204
    assert receiver.post(new, signed(new, secret="another secret, not imd's")) == 401
    assert receiver.post(new, signed(new, age=400_000)) == 401
    assert receiver.post(new, signed(known)) == 401
    assert receiver.post(new, "") == 401
    assert receiver.events() == before
