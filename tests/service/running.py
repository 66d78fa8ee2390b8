"""A real ``twistd imd`` beside the tests, and what one may ask of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_PORT = re.compile(r"running on port (\d+)")
_ENTRY = "from twisted.scripts.twistd import run; run()"


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of imd, and the checkout on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMD_", "IM_", "NOTIFY_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def command(*options: str) -> list[str]:
    return [sys.executable, "-c", _ENTRY, "-n", "--pidfile=", "imd", *options]


def run_once(*options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A run that is expected to end by itself."""
    return subprocess.run(
        command(*options), env=environment(**more), capture_output=True, text=True, timeout=60
    )


def imdctl(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    entry = "from imd.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", entry, *words],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def given_socket(
    listener: socket.socket, folder: Path, *options: str, **more: str
) -> subprocess.Popen[bytes]:
    """A server that systemd gives an open socket."""
    script = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3);"
        " os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])"
    )
    served = command("--state-dir", str(folder / "var"), *options)
    env = environment(LISTEN_FDS="1", LISTEN_FDNAMES="imd", **more)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", script, str(listener.fileno()), *served],
            env=env,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
        )


class Running:
    """One server with its state in ``folder``; stopped at the end of the block."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._options = ("--state-dir", str(folder / "var"), "--port", "0", *options)
        self._env = environment(**(env or {}))
        self.port = 0

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(*self._options), env=self._env, stdout=log, stderr=log
            )
        end = time.monotonic() + 30
        while not (found := _PORT.search(self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        self.port = int(found[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    @property
    def ws(self) -> str:
        """The address of the socket."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self, within: float) -> int:
        """The exit status; an error when it takes longer."""
        return self.process.wait(within)

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPResponse]:
        """The status and the JSON of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            encoded = None
            if body is not None:
                encoded = json.dumps(body)
                named["Content-Type"] = "application/json"
            connection.request(method, path, encoded, named)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer
        finally:
            connection.close()
