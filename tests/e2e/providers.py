"""WeChat and Getui as ``imdctl fake-wechat`` serves them, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.server import clean_environment, die_with_parent


class Providers:
    """The running fakes; ``settings`` is what imd has to know of them."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        program = str(Path(sys.executable).with_name("imdctl"))
        self._log = (state / "providers.err").open("ab")
        self._process = subprocess.Popen(
            [program, "fake-wechat", "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=self._log, cwd=state, env=clean_environment(),
            preexec_fn=die_with_parent,
        )  # fmt: skip
        assert self._process.stdout is not None
        lines: list[bytes] = []
        while not lines or lines[-1] != b"}\n":
            line = self._process.stdout.readline()
            assert line, "the fakes did not start"
            lines.append(line)
        self.settings: dict[str, str] = json.loads(b"".join(lines))
        self._base = self.settings["IMD_PUSH_WECHAT_BASE_URL"]
        self.settings["IMD_PUSH_WECHAT_URL"] = "https://h5.example/?s={session_id}&seq={seq}"

    def told(self) -> dict[str, Any]:
        """What they were sent."""
        with urllib.request.urlopen(f"{self._base}/_sent", timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def providers(state: Path) -> Iterator[Providers]:
    """Fakes that are gone after the block."""
    running = Providers(state)
    try:
        yield running
    finally:
        running.close()
