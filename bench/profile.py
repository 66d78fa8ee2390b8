"""``python -m bench.profile rest|socket``: where the reactor's thread spends its time on a message.

py-spy looks at imd some hundred times a second while the load of the contest runs. Each look is
counted for the function of imd that was nearest, with what it had called of libraries; so the list
says what of imd's own is dear. The looks are scaled to the CPU time that the thread used, by the
kernel, in a round without py-spy. py-spy comes from PyPI, into ``build/py-spy``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench import requests
from bench.contest import PAIRS, pairs
from bench.entries import Side, spec_of
from bench.measured import main_thread_seconds
from bench.servers import POSTGRES, ROOT, Generator, Served, imd
from tests.servers import PostgresServer

_RATE, _SHOWN, _DEEPEST = 250, 40, 4
_ROOMS = (
    "rest",
    "websocket",
    "delivery",
    "actions",
    "storage",
    "wire",
    "domain",
    "push",
    "service",
)
_FRAME = re.compile(r"(?P<name>.+) \((?P<file>[^()]*?)(?::\d+)?\)$")
#: where the thread waits for something to do; not work
_IDLE = "doPoll"


class Place(NamedTuple):
    """A function of imd, or the libraries where none was on the stack."""

    name: str
    file: str


OUTSIDE = Place("(Twisted, outside of imd)", "")


def place_of(frame: str) -> Place:
    found = _FRAME.match(frame)
    return Place(found["name"], found["file"]) if found else Place(frame, "")


def attributed(lines: Iterable[str]) -> dict[Place, Counter[str]]:
    """Looks by the nearest function of imd, and by what was running; of the first thread alone."""
    found: dict[Place, Counter[str]] = {}
    for line in lines:
        stack, _, looks = line.rpartition(" ")
        frames = [place_of(frame) for frame in stack.split(";")]
        if "MainThread" not in frames[0].name or frames[-1].name.endswith(_IDLE):
            continue
        near = next((place for place in reversed(frames) if _room(place.file) in _ROOMS), OUTSIDE)
        found.setdefault(near, Counter())[frames[-1].name] += int(looks)
    return found


def _room(file: str) -> str:
    parts = file.split("/")
    return parts[-2] if len(parts) > 1 else ""


def table(found: dict[Place, Counter[str]], total_us: float) -> str:
    """The dearest first: microseconds of the reactor's thread a message, and the deepest frames."""
    every = sum(sum(looks.values()) for looks in found.values())
    lines = []
    dearest = sorted(found.items(), key=lambda one: -sum(one[1].values()))
    for place, looks in dearest[:_SHOWN]:
        deepest = ", ".join(
            f"{name.rpartition('.')[2]} {total_us * many / every:.1f}"
            for name, many in looks.most_common(_DEEPEST)
        )
        share = total_us * sum(looks.values()) / every
        lines.append(f"{share:7.1f} us  {place.name} {place.file}  ({deepest})")
    return "\n".join(lines)


def _spy() -> Path:
    folder = ROOT / "build" / "py-spy"
    program = folder / "bin" / "py-spy"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "py-spy"]
        subprocess.run(pip, check=True)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("kind", choices=("rest", "socket"))
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    spy = _spy()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imd-bench-")))
        postgres = stack.enter_context(PostgresServer(fsync=True, settings=POSTGRES))
        server = stack.enter_context(imd(folder / "state", postgres))
        names = [f"profiled{number}" for number in range(PAIRS)]
        requests.open_pairs(server.port, names)
        load = pairs(names, by_socket=asked.kind == "socket")
        generator = stack.enter_context(
            Generator(spec_of("closed", server.port, asked.seconds, **load))
        )
        side = Side(asked.kind, Served(server.port, server.pid, postgres.pid), generator)
        before = main_thread_seconds(server.pid)
        figures = side.round()
        used = main_thread_seconds(server.pid) - before
        us = 1e6 * used / (figures["per_second"] * asked.seconds)
        print(
            f"{asked.kind}: app {1000 * figures['app']:.0f} us, database"
            f" {1000 * figures['db']:.0f} us a message; the reactor's thread {us:.0f} us"
        )
        raw = folder / "raw"
        command = [
            spy, "record", "--pid", str(server.pid), "--duration", str(int(asked.seconds) - 1),
            "--rate", str(_RATE), "--nonblocking", "--format", "raw", "--threads", "--output", raw,
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
            side.round()
            assert one.wait(60) == 0, "py-spy may not look at the server"
        print(table(attributed(raw.read_text().splitlines()), us))


if __name__ == "__main__":
    main()
