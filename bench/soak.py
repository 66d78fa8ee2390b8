"""Half an hour at half of what the server can do: nothing may grow.

The load is open, in stretches; between two of them the server is looked at: its memory, files and
threads from outside, its timers and coroutines by a signal that only :mod:`bench.watched` heeds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from bench import requests
from bench.contest import FEW
from bench.entries import FAULTS, Figures, Setting, Side, spec_of
from bench.measured import open_files, share_bytes, slope, threads
from bench.servers import IMD, Generator, Served
from bench.watched import Watched
from tests.e2e.server import Imd

STRETCHES = 30
#: what must not grow at all
COUNTED = ("files", "threads", "timers", "coroutines")


def measure(setting: Setting) -> dict[str, list[Figures]]:
    """``soak``, what grew how fast; and ``soak looks``, what was seen between the stretches."""
    seconds = setting.scale.soak_seconds / STRETCHES
    names = [f"soak{number}" for number in range(FEW)]
    state = setting.folder / "soak"
    server = Imd(state, setting.postgres.create_database(), **IMD)
    program = [sys.executable, "-m", "bench.watched", "-n", "--pidfile=", "imd"]
    watched = Watched(state / "watched.json")
    try:
        server.start(program, **watched.environment)
        served = Served(server.port, server.pid, setting.postgres.pid)
        requests.open_pairs(server.port, names)
        pairs = {
            "senders": requests.rest_senders(names), "receivers": requests.patients(names),
        }  # fmt: skip
        spec = spec_of("closed", server.port, setting.seconds, **pairs)
        with Generator(spec) as generator:
            rate = round(Side("soak", served, generator).round()["per_second"] / 2)
        setting.say(f"{STRETCHES} stretches of {seconds:g} s at {rate} msg/s")
        looks: list[Figures] = []
        spec = spec_of("open", server.port, seconds, **pairs, rate=rate)
        with Generator(spec) as generator:
            side = Side("soak", served, generator)
            for number in range(STRETCHES):
                figures = side.round()
                figures |= {
                    "minute": (number + 1) * seconds / 60,
                    "mib": share_bytes(server.pid) / (1 << 20),
                    "files": open_files(server.pid),
                    "threads": threads(server.pid),
                    **watched.look(server.pid),
                }
                looks.append(figures)
                setting.say(f"soak {number + 1}/{STRETCHES} {_shown(figures)}")
        assert not server.trouble(), server.trouble()
    finally:
        server.kill()
    return {"soak": [growth(looks)], "soak looks": looks}


def growth(looks: Sequence[Figures]) -> Figures:
    """MiB in 10 minutes over the last two thirds, and what grew of what is counted.

    Of the counted things the medians of the first and the last third are compared: a request that
    is under way while one looks is no growth.
    """
    third = max(1, len(looks) // 3)
    settled = looks[third:] if len(looks) > 2 else looks
    grown = {
        name: statistics.median(one[name] for one in looks[-third:])
        - statistics.median(one[name] for one in looks[:third])
        for name in COUNTED
    }
    faults = {fault: sum(one[fault] for one in looks) for fault in FAULTS}
    return {
        "mib_per_10_min": 10 * slope([(one["minute"], one["mib"]) for one in settled]),
        "grown": sum(max(0.0, more) for more in grown.values()),
        **{f"{name}_grown": more for name, more in grown.items()},
        **faults,
    }


def _shown(figures: Figures) -> str:
    counted = "  ".join(f"{name} {figures[name]:.0f}" for name in COUNTED)
    return f"{figures['mib']:.1f} MiB  {counted}  p99 {figures['delivery_ms_p99']:.1f} ms"
