"""What it costs to have somebody there who says nothing: memory, and work of the reactor.

A fresh server, then thousands of logged-in sockets, then a minute in which nobody does anything but
answer pings. Memory is the tree's share (PSS); work is the CPU time of the reactor's thread.
"""

from __future__ import annotations

import time

from bench import requests
from bench.entries import Figures, Setting, spec_of
from bench.measured import cpu_seconds, main_thread_seconds, share_bytes
from bench.servers import Generator, Served, imd
from tests.e2e.rawsocket import raise_open_files


def measure(setting: Setting) -> Figures:
    """MiB of a server at its first and at a later start, KiB of a socket, percent of a core."""
    many, seconds = setting.scale.connections, setting.scale.idle_seconds
    # Of the server, which inherits it, too.
    assert raise_open_files(many + 1000) > many, "the machine allows too few open files"
    with imd(setting.folder / "idle", setting.postgres) as server:
        # The first start makes the schema, which takes libraries that a later start leaves alone.
        first = share_bytes(server.pid)
        server.stop()
        fresh = share_bytes(server.start().pid)
        names = [f"idle{number}" for number in range(many // 2)]
        requests.open_pairs(server.port, names)
        empty = _busy_percent(server.pid, min(seconds, 10.0))
        before, used = share_bytes(server.pid), cpu_seconds(server.pid)
        listeners = [
            {"kind": "socket", "login": requests.login(f"{who}-{name}", role, name)}
            for name in names
            for who, role in (("D", "doctor"), ("p", "patient"))
        ]
        setting.say(f"logging in {len(listeners)} sockets")
        spec = spec_of("idle", server.port, seconds, [], receivers=listeners)
        with Generator({**spec, "warm_up": 0.0}) as generator:
            after, used = share_bytes(server.pid), cpu_seconds(server.pid) - used
            setting.say(f"watching them for {seconds:g} s")
            work = main_thread_seconds(server.pid)
            # Fails when a socket is closed: a server that drops them has little to do.
            took = generator.measure(Served(server.port, server.pid))["seconds"]
            busy = 100 * (main_thread_seconds(server.pid) - work) / took
    return {
        "first_mib": first / (1 << 20),
        "fresh_mib": fresh / (1 << 20),
        "kib": (after - before) / len(listeners) / 1024,
        "login_cpu_ms": 1000 * used / len(listeners),
        "empty_percent": empty,
        "busy_percent": busy,
        "sockets": len(listeners),
    }


def _busy_percent(pid: int, seconds: float) -> float:
    before, started = main_thread_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    used, took = main_thread_seconds(pid) - before, time.perf_counter() - started
    return 100 * used / took
