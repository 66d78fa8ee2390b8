"""Who is measured in turns: the floors of the stack, the peers, and imd in its settings.

Each is started with its load and stays up, idle, until its turn comes. The load is the same for
all: pairs of users, each pair alone in its session, one message in flight; the other one has to
get it live. :mod:`bench.targets` says what is compared with what.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench import requests
from bench.entries import Entry, Inserts, Kernel, Setting, Side, spec_of
from bench.measured import until_quiet
from bench.peers import NotHere
from bench.peers import synapse as matrix
from bench.peers.nodejs import node
from bench.servers import Generator, Served, floor, imd, seeded
from tests.redis_server import NoRedis, RedisServer

PAIRS, FEW = 64, 16
LIGHT_RATE = 100
WORKERS = (1, 2, 4)

Add = Callable[[str, Served, dict[str, Any]], None]


def contest(setting: Setting, stack: ExitStack, quick: bool) -> list[Entry]:
    """Start every server and its load; ``stack`` ends them. ``quick`` does without Synapse."""
    entries: list[Entry] = []

    def add(name: str, served: Served, spec: dict[str, Any]) -> None:
        entries.append(Side(name, served, stack.enter_context(Generator(spec))))

    setting.say("starting the floors")
    _floors(setting, stack, add)
    entries += [Inserts(setting, stack, 50), Inserts(setting, stack, 200), Kernel(setting, stack)]
    # Synapse comes last: what it still does after its turn would weigh on the next one's.
    starts = [_node, _imd] if quick else [_node, _imd, _synapse]
    joined([partial(one, setting, stack, add) for one in starts], setting.say, setting.left_out)
    return entries


def joined(
    peers: Sequence[Callable[[], object]], say: Callable[[str], None], left_out: list[str]
) -> None:
    """Start each peer that can be had here; of the others the reason is told and kept."""
    for peer in peers:
        try:
            peer()
        except NotHere as missing:
            left_out.append(str(missing))
            say(f"left out: {missing}")


def _floors(setting: Setting, stack: ExitStack, add: Add) -> None:
    seconds, database = setting.seconds, setting.postgres.pid
    names = [f"s{number}" for number in range(PAIRS)]
    for name, program in (("twisted", "twisted_json"), ("klein", "klein_json")):
        served = stack.enter_context(floor(program))
        add(name, served, spec_of("closed", served.port, seconds, requests.plain_senders(names)))
    echo = stack.enter_context(floor("autobahn_echo"))
    said = requests.socket_senders(["echo"])[0]["request"]
    speaker = {"kind": "socket", "login": None, "request": said}
    add("echo", echo, spec_of("closed", echo.port, seconds, [speaker] * PAIRS))
    crowd = stack.enter_context(floor("autobahn_broadcast"))
    listeners = [{"kind": "socket", "login": None}] * setting.scale.crowd
    spec = spec_of("fan_out", crowd.port, seconds, [speaker], receivers=listeners)
    add("fan-out prepared", crowd, spec)
    naive = stack.enter_context(floor("naive", seeded(setting.postgres), database=database))
    _first_day(setting, "naive", naive, add)


def _first_day(setting: Setting, name: str, served: Served, add: Add) -> None:
    """The load for a server on ``seed.sql``: 64 pairs, and few at a fixed rate."""
    for kind, mode, numbers in (
        ("", "closed", range(PAIRS)),
        (" light", "open", range(PAIRS, PAIRS + FEW)),
    ):
        names = [f"s{number}" for number in numbers]
        more = {"rate": LIGHT_RATE, "receivers": requests.plain_receivers(names)}
        senders = requests.plain_senders(names)
        spec = spec_of(mode, served.port, setting.seconds, senders, **more)
        add(f"{name}{kind}", served, spec)


def _node(setting: Setting, stack: ExitStack, add: Add) -> None:
    setting.say("starting the peer in Node.js")
    served = stack.enter_context(node(seeded(setting.postgres), setting.postgres.pid))
    _first_day(setting, "node", served, add)
    senders = requests.plain_senders(["s199"])
    listeners = requests.plain_receivers(["s199"]) * setting.scale.crowd
    spec = spec_of("fan_out", served.port, setting.seconds, senders, receivers=listeners)
    add("fan-out node", served, spec)


def _synapse(setting: Setting, stack: ExitStack, add: Add) -> None:
    setting.say("starting Synapse")
    url = setting.postgres.create_database()
    folder = setting.folder / "synapse"
    served = stack.enter_context(matrix.synapse(folder, url, setting.postgres.pid))
    senders, receivers = matrix.pairs(served.port, FEW, requests.CONTENT)
    spec = spec_of("closed", served.port, setting.seconds, senders, receivers=receivers)
    add("synapse", served, spec)


def pairs(names: list[str], by_socket: bool = False) -> dict[str, Any]:
    """Doctors who send, on REST or on their sockets, and patients who listen."""
    senders = requests.socket_senders(names) if by_socket else requests.rest_senders(names)
    return {"senders": senders, "receivers": requests.patients(names)}


def _imd(setting: Setting, stack: ExitStack, add: Add) -> None:
    setting.say("starting imd")
    seconds = setting.seconds
    server = stack.enter_context(imd(setting.folder / "load", setting.postgres))
    served = Served(server.port, server.pid, setting.postgres.pid)
    groups = {
        kind: [f"{kind}{number}" for number in range(many)]
        for kind, many in (("rest", PAIRS), ("socket", PAIRS), ("few", FEW), ("light", FEW))
    }
    requests.open_pairs(served.port, [*itertools.chain(*groups.values()), "crowd"])
    for name, kind, mode in (
        ("imd rest", "rest", "closed"),
        ("imd socket", "socket", "closed"),
        ("imd rest 16", "few", "closed"),
        ("imd light", "light", "open"),
    ):
        load = pairs(groups[kind], by_socket=kind == "socket")
        add(name, served, spec_of(mode, served.port, seconds, **load, rate=LIGHT_RATE))
    senders = requests.rest_senders(["crowd"])
    listeners = requests.patients(["crowd"]) * setting.scale.crowd
    spec = spec_of("fan_out", served.port, seconds, senders, receivers=listeners)
    add("fan-out imd", served, spec)

    terse = stack.enter_context(
        imd(setting.folder / "terse", setting.postgres, IMD_LOG_LEVEL="warn")
    )
    requests.open_pairs(terse.port, groups["rest"])
    spec = spec_of("closed", terse.port, seconds, **pairs(groups["rest"]))
    add("imd rest terse", Served(terse.port, terse.pid, setting.postgres.pid), spec)

    file = stack.enter_context(imd(setting.folder / "sqlite", None))
    requests.open_pairs(file.port, groups["rest"])
    spec = spec_of("closed", file.port, seconds, **pairs(groups["rest"]))
    add("imd sqlite", Served(file.port, file.pid), spec)


def workers(setting: Setting, stack: ExitStack) -> list[Entry]:
    """imd with a Redis, as 1, 2 and 4 workers under a supervisor; each with a store of its own."""
    entries: list[Entry] = []
    names = [f"w{number}" for number in range(PAIRS)]
    for count in WORKERS:
        setting.say(f"starting {count} workers")
        try:
            redis = stack.enter_context(RedisServer())
        except NoRedis as missing:
            setting.left_out.append(f"workers: {missing}")
            setting.say(f"left out: {missing}")
            return []
        bus = {"IMD_BUS_URL": redis.url}
        folder = setting.folder / f"workers{count}"
        server = stack.enter_context(imd(folder, setting.postgres, count, **bus))
        until_quiet(server.pid)
        requests.open_pairs(server.port, names)
        spec = spec_of("closed", server.port, setting.seconds, **pairs(names))
        served = Served(server.port, server.pid, setting.postgres.pid)
        entries.append(Side(f"workers {count}", served, stack.enter_context(Generator(spec))))
    return entries
