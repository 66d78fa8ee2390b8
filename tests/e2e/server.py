"""The server as operators run it: a ``twistd -n imd`` process, to stop, to kill and to restart.

End-to-end tests start it here and know it only by its port, its two outputs and its exit status;
nothing of the code under test is imported. Every process dies with the test run, however that ends.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import jwt

from tests.servers import free_port

#: signs the tokens of the tests; known to the server through IMD_AUTH_SECRET
SECRET: Final = "end-to-end-tests-sign-with-this-0123456789abcdef"
#: no limit may stand between a test and the load that it wants
NO_LIMITS: Final = {
    "IMD_LIMITS_SENDS_PER_SECOND": "0",
    "IMD_LIMITS_REQUESTS_PER_SECOND": "0",
    "IMD_LIMITS_SOCKETS_PER_USER": "0",
}
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
#: gives an open socket to a program as systemd does: as descriptor 3
_GIVING: Final = (
    "import os, sys; given = int(sys.argv[1]); os.dup2(given, 3); given == 3 or os.close(given);"
    " os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='imd.socket');"
    " os.execv(sys.argv[2], sys.argv[2:])"
)
_LIBC = ctypes.CDLL(None, use_errno=True)
_TROUBLE = re.compile(
    r"unhandled error|traceback \(most recent|\bcritical\b|\n +\| \w*(Error|Exception)\b",
    re.IGNORECASE,
)


class NoStart(Exception):
    """The server ended, or said nothing, before it answered; the message has its last words."""


def token(user_id: str, role: str, **more: object) -> str:
    """An access token of the tests' own making."""
    claims = {"sub": user_id, "role": role, "exp": int(time.time()) + 7200, **more}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Ask until it holds; fails after ``seconds`` and says what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def twistd() -> list[str]:
    """The program of the environment that runs the tests."""
    return [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "imd"]


def die_with_parent() -> None:
    """Runs in the child: its parent's end is its own, whatever the parent dies of."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would configure the server."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("IMD_", "IM_"))
    }


class Imd:
    """One server with a port and a state directory of its own, which outlive its process."""

    def __init__(self, state: Path, url: str | None = None, **settings: str) -> None:
        """``url`` is the database, SQLite without one; ``settings`` are environment variables."""
        self.state, self.port = state, free_port()
        self._listener: socket.socket | None = None
        state.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "IM_PROFILE": "test",
            "IMD_AUTH_SECRET": SECRET,
            "IMD_HTTP_INTERFACE": "127.0.0.1",
            **settings,
        }
        if url is not None:
            self.settings["IMD_DATABASE_URL"] = url
        self.process: subprocess.Popen[bytes] | None = None
        self._out, self._err = state / "server.out", state / "server.err"

    # ---- life

    def given(self, listener: socket.socket) -> Imd:
        """From now on its port is one that somebody else holds, as imd.socket does."""
        self._listener, self.port = listener, listener.getsockname()[1]
        return self

    def launch(self, program: Sequence[str] = (), **more: str) -> None:
        """Start the process and do not wait; ``program`` stands in for twistd's command line."""
        assert not self.alive, "it runs already"
        command = [*(program or twistd()), "--port", str(self.port), "--state-dir", str(self.state)]
        kept: tuple[int, ...] = ()
        if self._listener is not None:
            kept = (self._listener.fileno(),)
            command = [sys.executable, "-c", _GIVING, str(kept[0]), *command]
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.state,
                env={**clean_environment(), **self.settings, **more},
                start_new_session=True,
                preexec_fn=die_with_parent,
                pass_fds=kept,
            )

    def start(self, program: Sequence[str] = (), **more: str) -> Imd:
        """Start it and wait until it answers; NoStart with its last words.

        Call it in the main thread: the process dies with the thread that started it.
        """
        self.launch(program, **more)
        return self.ready()

    def ready(self) -> Imd:
        """Wait until it answers; NoStart with its last words. Any thread may."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if not self.alive:
                raise NoStart(f"exit status {self.status}: {self.log[-2000:]}")
            if self.answers("/healthz"):
                return self
            time.sleep(0.02)
        self.kill()
        raise NoStart(f"no answer within {START_SECONDS:g} s: {self.log[-2000:]}")

    def answers(self, path: str) -> bool:
        """Whether a GET of the path is a 200 right now."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        try:
            link.request("GET", path)
            return link.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """The exit status, negative for a signal; AssertionError when it does not end."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s: {self.log[-1000:]}") from None

    def stop(self) -> int:
        """SIGTERM and wait."""
        self.signal(signal.SIGTERM)
        return self.wait(STOP_SECONDS)

    def kill(self) -> None:
        """kill -9; harmless when it does not run."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # ---- what can be seen of it

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def status(self) -> int | None:
        return None if self.process is None else self.process.poll()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8", "replace") if self._out.exists() else ""

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8", "replace") if self._err.exists() else ""

    @property
    def log(self) -> str:
        return f"{self.out}\n{self.err}"

    @property
    def rss(self) -> int:
        """Resident bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def trouble(self) -> str:
        """The part of the log around the first unhandled error or traceback, else nothing."""
        text = self.log
        found = _TROUBLE.search(text)
        if found is None:
            return ""
        return text[max(0, found.start() - 300) : found.start() + 3000]


@contextmanager
def running(state: Path, url: str | None = None, **settings: str) -> Iterator[Imd]:
    """A started server that is gone after the block; a traceback in its log fails the block."""
    imd = Imd(state, url, **settings)
    try:
        imd.start()
        yield imd
        trouble = imd.trouble()
        assert not trouble, f"the server's log has trouble:\n{trouble}"
    finally:
        imd.kill()
