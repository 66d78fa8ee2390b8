"""From the command to the first answer: imd on an empty and on a full store, and the bare stack.

The bare one is twistd with everything imported that imd imports, and a resource that says yes. The
target allows imd 0.3 s more than that.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.entries import Figures, Setting
from bench.servers import IMD, environment
from tests.e2e.server import Imd, die_with_parent
from tests.servers import free_port

ALLOWED = 0.3
_BARE = Path(__file__).parent / "floors" / "bare.tac"


def measure(setting: Setting, full: str) -> dict[str, list[Figures]]:
    """Seconds of each start, in turns; ``full`` is the URL of a large store."""
    empty = setting.postgres.create_database()
    servers = {
        "start empty": Imd(setting.folder / "start-empty", empty, **IMD),
        "start full": Imd(setting.folder / "start-full", full, **IMD),
    }
    for server in servers.values():  # the first one makes the schema and the state
        _seconds_of(server)
    starts: dict[str, Callable[[], float]] = {
        name: lambda server=server: _seconds_of(server)  # type: ignore[misc]
        for name, server in servers.items()
    }
    starts["start bare"] = lambda: _bare_seconds() + ALLOWED
    found: dict[str, list[Figures]] = {name: [] for name in starts}
    for _ in range(2 * setting.scale.rounds + 1):
        for name, start in starts.items():
            found[name].append({"seconds": start()})
    for name, figures in found.items():
        setting.say(f"{name}: {', '.join(format(one['seconds'], '.2f') for one in figures)} s")
    return found


def _seconds_of(server: Imd) -> float:
    started = time.perf_counter()
    server.launch()
    try:
        _until_answered(server.port, "/readyz", lambda: server.alive)
        return time.perf_counter() - started
    finally:
        server.kill()


def _bare_seconds() -> float:
    port, started = free_port(), time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("twistd"), "-n", "--pidfile=", "-y", _BARE],
        env={**environment(), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        cwd=os.sep + "tmp",
        preexec_fn=die_with_parent,
    )
    try:
        _until_answered(port, "/", lambda: process.poll() is None)
        return time.perf_counter() - started
    finally:
        process.kill()
        process.wait()


def _until_answered(port: int, path: str, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while True:
        assert alive() and time.monotonic() < end, "a server did not start"
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
        try:
            link.request("GET", path)
            if link.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            link.close()
        time.sleep(0.005)
