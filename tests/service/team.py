"""A supervisor with its workers beside the tests: who lives, who serves, what is asked of all."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.service.running import Running

_SERVES = re.compile(r"worker (\d+) serves, pid (\d+)")
_LEFT = re.compile(r"worker \d+ has left, pid (\d+)|worker \d+ \(pid (\d+)\) ended")
#: no test of the supervisor needs a bus that works; workers only refuse to be without one
NO_BUS = "redis://127.0.0.1:1/0"


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """What the condition gives once it holds; AssertionError when it does not within that time."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Whether the process runs (one that ended and is not waited for yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Team(Running):
    """``twistd imd --workers N``; all of it is gone after the block."""

    def __init__(
        self, folder: Path, count: int, *options: str, env: Mapping[str, str] | None = None
    ) -> None:
        more = {"IMD_BUS_URL": NO_BUS, "IMD_HTTP_DRAIN": "1", **(env or {})}
        super().__init__(folder, "--workers", str(count), *options, env=more)
        self.count = count

    @property
    def started(self) -> list[tuple[int, int]]:
        """(number, pid) of each worker that ever served."""
        return [(int(number), int(pid)) for number, pid in _SERVES.findall(self.text)]

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def pids(self) -> dict[int, int]:
        """Who serves now, by number."""
        left = {int(a or b) for a, b in _LEFT.findall(self.text)}
        return {number: pid for number, pid in self.started if pid not in left}

    @property
    def family(self) -> list[int]:
        """Every process that the supervisor started and that lives, serving or not."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(status.parent.name))
        return found

    def whole(self) -> bool:
        """Whether all workers serve."""
        return sum(map(is_alive, self.pids.values())) == self.count

    def metrics(self) -> str:
        """What all workers tell Prometheus."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.request("GET", "/metrics")
        text = link.getresponse().read().decode()
        link.close()
        return text

    def asked(self, number: int) -> str:
        """All lines of the log that name this worker."""
        return "\n".join(line for line in self.text.splitlines() if f" w{number} [" in line)

    def __exit__(self, *told: Any) -> None:
        family = [*self.family, *self.pids.values()] if self.process.poll() is None else []
        super().__exit__(*told)
        for pid in family:
            if is_alive(pid):
                os.kill(pid, 9)


def lines_of(text: str) -> list[dict[str, Any]]:
    """A log in JSON."""
    return [json.loads(line) for line in text.splitlines()]
