"""A message into a session with a live topic beside one into a session without, through REST.

One server, the same senders, in turns. In ``answered`` a doctor writes under a topic that a doctor
has answered; in ``waiting`` a patient writes under one that still waits for its answer, which the
server has to look for with each message; in ``none`` a doctor writes where there is no topic.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from bench import requests
from bench.entries import Figures, Setting, Side, spec_of
from bench.servers import Generator, Served, imd
from tests.e2e.rest import Rest
from tests.e2e.server import token

PAIRS, ROUNDS = 32, 6
KINDS = ("none", "answered", "waiting")


def measure(setting: Setting) -> dict[str, list[Figures]]:
    """Rounds by kind; ``total`` is the CPU of the server and its database in s per 1000."""
    found: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        server = stack.enter_context(imd(setting.folder / "live", setting.postgres))
        served = Served(server.port, server.pid, setting.postgres.pid)
        sides = []
        for kind in KINDS:
            names = [f"{kind}{number}" for number in range(PAIRS)]
            requests.open_pairs(server.port, names)
            if kind != "none":
                asyncio.run(_start_topics(server.port, names, answered=kind == "answered"))
            senders = requests.rest_senders(names, "p" if kind == "waiting" else "D")
            spec = spec_of("closed", server.port, setting.seconds, senders)
            sides.append(Side(kind, served, stack.enter_context(Generator(spec))))
        for number in range(ROUNDS):
            for side in sides:
                found[side.name].append(side.round())
            shown = "  ".join(f"{kind} {found[kind][-1]['total']:.3f}" for kind in KINDS)
            setting.say(f"live {number + 1}/{ROUNDS}  {shown} s/1000")
    return found


async def _start_topics(port: int, names: list[str], *, answered: bool) -> None:
    for name in names:
        async with Rest(port, token(f"p-{name}", "patient")) as rest:
            topic = {"topic_id": name, "start_by": f"p-{name}", "name": "咨询"}
            (await rest.ask("POST", f"/sessions/{name}/topics", topic)).must(200, 201)
        if answered:
            async with Rest(port, token(f"D-{name}", "doctor")) as rest:
                (await rest.post(name, "您好")).must(201)
