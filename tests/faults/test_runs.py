"""Short runs with fixed seeds: the promises of page 4.1 hold while everything is being hurt.

``IMD_FAULTS_SEEDS`` and ``IMD_FAULTS_SECONDS`` make them many and long (``make faults``). A run
that fails says where its history is, and how it is run again.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checks.everything import judge
from tests.faults.running import Run, run
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

SEEDS = int(os.environ.get("IMD_FAULTS_SEEDS") or 0)
FIRST = int(os.environ.get("IMD_FAULTS_SEED") or 1)
SECONDS = float(os.environ.get("IMD_FAULTS_SECONDS") or 30)
LONG = pytest.mark.skipif(not SEEDS, reason="the long set: make faults")


def _hold(what: Run, folder: Path, *servers: Any) -> None:
    """Run it; every promise must hold."""
    events = asyncio.run(run(what, folder, *servers))
    broken = judge(events)
    acknowledged = sum(1 for event in events if event["kind"] == "got" and "message" in event)
    assert not broken, (
        f"seed {what.seed}, {what.nodes} node(s): {len(broken)} broken, the first:\n"
        + "\n".join(map(str, broken[:5]))
        + f"\nhistory: {folder / 'history.jsonl'} (tests/faults/README.md says how to read it)"
    )
    assert acknowledged > 10, "too little was done to say anything"


@pytest.mark.timeout(240)
def test_one_process_on_sqlite(tmp_path: Path) -> None:
    _hold(Run(seed=FIRST, seconds=3, faults=("kill", "net-cut", "disk-full")), tmp_path)


@pytest.mark.timeout(240)
def test_two_processes_on_one_database_and_one_redis(
    tmp_path: Path, breakable_postgres: PostgresServer, breakable_redis: RedisServer
) -> None:
    faults = ("db-crash", "kill", "net-cut-answers", "db-silent", "clock-back")
    what = Run(seed=FIRST, seconds=6, nodes=2, faults=faults)
    _hold(what, tmp_path, breakable_postgres, breakable_redis)


@LONG
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_one_process_through_everything_on_sqlite(tmp_path: Path, seed: int) -> None:
    _hold(Run(seed=seed, seconds=SECONDS), tmp_path)


@LONG
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("nodes", "workers"), [(1, 0), (2, 0), (3, 0), (1, 3)])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_processes_through_everything(
    tmp_path: Path,
    seed: int,
    nodes: int,
    workers: int,
    breakable_postgres: PostgresServer,
    breakable_redis: RedisServer,
) -> None:
    redis = breakable_redis if nodes > 1 or workers else None
    # Peace at the end shows whether the bus is whole again.
    what = Run(seed=seed, seconds=SECONDS, nodes=nodes, workers=workers, peace=8)
    _hold(what, tmp_path, breakable_postgres, redis)
