"""``python -m tests.faults``: runs from seeds, or judges a history that was kept.

    python -m tests.faults --seed 7 --seconds 30 --nodes 2
    python -m tests.faults --judge /tmp/x/history.jsonl

``IMD_FAULTS_SEED`` and ``IMD_FAULTS_SECONDS`` are the defaults; the exit status is 1 when a
promise was broken. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.checks.everything import judge
from tests.faults.history import Event, load
from tests.faults.running import Run, run
from tests.redis_server import RedisServer
from tests.servers import PostgresServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or judge; the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.judge is not None:
        return _say(load(asked.judge))
    failed = 0
    for seed in range(asked.seed, asked.seed + asked.seeds):
        folder = Path(tempfile.mkdtemp(prefix=f"imd-faults-{seed}-"))
        what = Run(
            seed=seed, seconds=asked.seconds, nodes=asked.nodes, workers=asked.workers,
            faults=asked.faults.split(",") if asked.faults else None,
            pairs=asked.pairs, pace=asked.pace, peace=asked.peace,
        )  # fmt: skip
        _out(f"seed {seed}: {asked.database}, {asked.nodes} node(s), {asked.seconds:g} s; {folder}")
        with ExitStack() as servers:
            postgres = redis = None
            if asked.database == "postgres":
                postgres = servers.enter_context(PostgresServer(fsync=True))
            if asked.nodes > 1 or asked.workers:
                redis = servers.enter_context(RedisServer())
            events = asyncio.run(run(what, folder, postgres, redis))
        failed |= _say(events)
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    number = int(os.environ.get("IMD_FAULTS_SEED") or 1)
    seconds = float(os.environ.get("IMD_FAULTS_SECONDS") or 20)
    parser.add_argument("--seed", type=int, default=number)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="of each node; 0: one process")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="postgres")
    parser.add_argument("--faults", help="names joined by commas: " + " ".join(sorted(FAULTS)))
    parser.add_argument("--pairs", type=float, default=0.5, help="part of steps with two faults")
    parser.add_argument("--peace", type=float, default=0.0, help="seconds after all is well again")
    parser.add_argument("--pace", type=float, default=0.15, help="seconds between two acts")
    parser.add_argument("--judge", type=Path, help="judge this history instead")
    return parser


def _say(events: Sequence[Event]) -> int:
    violations = judge(events)
    for violation in violations[:50]:
        _out(f"  {violation}")
    acknowledged = sum(
        event["kind"] == "got" and event["ok"] is True and "message" in event for event in events
    )
    faults = [
        event["name"] for event in events if event["kind"] == "fault" and event["phase"] == "begin"
    ]
    _out(
        f"  {len(events)} events, {acknowledged} acknowledged, faults: {', '.join(faults)};"
        f" {len(violations)} violation(s)"
    )
    return int(bool(violations))


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
