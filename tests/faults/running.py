"""One run from its beginning to its last look: world, cast, faults, healing, truth.

What comes out is a history; :func:`tests.faults.checks.everything.judge` says what it is worth.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import truth
from tests.faults.acting import SERVICE, Cast
from tests.faults.catalogue import possible
from tests.faults.history import Event, History
from tests.faults.schedule import LONGEST, Step, perform, plan
from tests.faults.world import SWEEP, Node, World
from tests.servers import PostgresServer


@dataclass(frozen=True, kw_only=True)
class Run:
    """What to run. ``faults`` are names of the catalogue, None for all that are possible."""

    seed: object = 1
    seconds: float = 20.0
    nodes: int = 1
    #: under the supervisor of each node; 0: a node is one process
    workers: int = 0
    faults: Sequence[str] | None = None
    pairs: float = 0.5
    #: seconds of the longest fault
    longest: float = LONGEST
    pace: float = 0.15
    #: seconds that everybody goes on for after all is well again
    peace: float = 0.0
    #: seconds that the nodes are given to answer again, and the pages to catch up
    healing: float = 45.0
    catching_up: float = 20.0
    source: Path | None = None
    #: what happens instead of what the seed draws
    steps: Sequence[Step] | None = None


async def run(
    what: Run, folder: Path, postgres: PostgresServer | None = None, redis: Any = None
) -> list[Event]:
    """Carry a run out; its history is left in ``folder`` as ``history.jsonl`` too."""
    folder.mkdir(parents=True, exist_ok=True)
    history = History(folder / "history.jsonl")
    world = World(folder, what.nodes, postgres, redis, workers=what.workers, source=what.source)
    try:
        await world.start()
        names = possible(world) if what.faults is None else what.faults
        steps = what.steps
        if steps is None:
            steps = plan(what.seed, what.seconds, names, what.pairs, what.longest)
        history.add(
            "meta", seed=what.seed, nodes=what.nodes, workers=what.workers,
            database=world.url.partition(":")[0], faults=list(names), services=[SERVICE],
            sweep=SWEEP,
        )  # fmt: skip
        await _play(what, world, history, steps)
    finally:
        await world.stop()
        history.close()
    return history.events


async def _play(what: Run, world: World, history: History, steps: Sequence[Step]) -> None:
    cast = Cast(history, what.seed, world.ports, world.key, what.pace)
    try:
        await cast.enter()
        cast.start()
        if steps:
            await perform(world, history, what.seed, steps)
        else:
            await asyncio.sleep(what.seconds)
        await asyncio.sleep(0.5)
        healthy = await asyncio.gather(
            *(_heal(cast, history, node, what.healing) for node in world.nodes)
        )
        if all(healthy):
            await asyncio.sleep(what.peace)
            await cast.stop(what.healing)
            await _catch_up(world, cast, history, what.catching_up)
            stored = await asyncio.to_thread(truth.tables, world.url)
            history.add("truth", **stored, api=await truth.told(cast.hospital, stored))
    finally:
        await cast.leave()
        for node in world.nodes:
            for text in [*node.trouble, node.imd.trouble()]:
                if text:
                    history.add("trouble", node=node.number, text=text)


async def _heal(cast: Cast, history: History, node: Node, seconds: float) -> bool:
    """Wait until the node says that it is ready, and stores."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if node.imd.alive and await asyncio.to_thread(node.imd.answers, "/readyz"):
            answer = await cast.probe(node.number)
            if answer is not None and answer.status == 201:
                history.add("healthy", node=node.number)
                return True
        await asyncio.sleep(0.1)
    return False


async def _catch_up(world: World, cast: Cast, history: History, seconds: float) -> None:
    """Give every page the time to show what there is; who does not is judged by its frames."""
    stored = await asyncio.to_thread(truth.tables, world.url)
    last = {row["id"]: row["last_seq"] for row in stored["sessions"]}
    end = time.monotonic() + seconds

    def behind() -> list[str]:
        return [
            page.name
            for page in cast.pages.values()
            if not page.open
            or (page.session_id is not None and page.last_seq < last[page.session_id])
        ]

    while behind() and time.monotonic() < end:
        await asyncio.sleep(0.05)
    for name in behind():
        page = cast.pages[name]
        if not page.open:
            text = f"was not let in again; last closes {page.closes[-3:]}"
            history.add("note", who=name, session=page.session_id or "", text=text)
