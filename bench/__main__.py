"""``python -m bench``: imd beside the floors of its own technology, in one run on one machine.

Every figure is the median of interleaved rounds; CPU per 1000 messages is the one to trust. The
result is a table, and JSON in ``bench/results/``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import entries, lists, live, million, report, storm
from bench.servers import POSTGRES
from tests.e2e.rawsocket import raise_open_files
from tests.servers import PostgresServer

SECTIONS = ("load", "memory", "storm", "live", "million", "lists")
RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (4)")
    parser.add_argument("--connections", type=int, default=5000, help="idle sockets (5000)")
    parser.add_argument(
        "--only",
        choices=SECTIONS,
        action="append",
        help="leave the others out; may be repeated",
    )
    return parser.parse_args()


def _loads(setting: entries.Setting, rounds: int) -> dict[str, list[entries.Figures]]:
    with ExitStack() as stack:
        every: list[Any] = [*entries.sides(setting, stack), entries.Kernel(setting, stack)]
        found: dict[str, list[entries.Figures]] = {one.name: [] for one in every}
        for number in range(rounds):
            for one in every:
                figures = one.round()
                figures["total"] = figures["app"] + figures["db"]
                found[one.name].append(figures)
                setting.say(
                    f"round {number + 1}/{rounds} {one.name:16} {figures['per_second']:8.0f}/s"
                    f"  app {figures['app']:.4f}  db {figures['db']:.4f} s/1000"
                )
        return found


def main() -> None:
    arguments = _arguments()
    wanted = arguments.only or SECTIONS
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", flush=True)

    raise_open_files(20_000)
    rounds: dict[str, list[entries.Figures]] = {}
    pages: dict[str, entries.Figures] = {}
    listed: dict[str, dict[str, entries.Figures]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imd-bench-")))
        say("starting PostgreSQL, fsync on")
        postgres = PostgresServer(fsync=True, settings=POSTGRES)
        stack.enter_context(postgres)
        setting = entries.Setting(folder, postgres, arguments.seconds, say)
        if "load" in wanted:
            rounds = _loads(setting, arguments.rounds)
            # The rest takes a while; what there is, is shown.
            print(f"\n{report.rates(report.medians(rounds))}\n", flush=True)
        if "memory" in wanted:
            say(f"logging in {arguments.connections} idle sockets")
            rounds["memory"] = [entries.memory(setting, arguments.connections)]
        if "storm" in wanted:
            rounds["storm"] = storm.measure(setting)
        if "live" in wanted:
            rounds |= live.measure(setting)
        if "million" in wanted:
            pages = million.measure(setting)
        if "lists" in wanted:
            listed = lists.measure(setting)
    found = report.medians(rounds)
    made = [*report.rows(found, pages), *report.flat(listed)]
    print(f"\n{report.rates(found)}\n\n{report.table(made)}\n")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    every = {
        "rounds": rounds,
        "medians": found,
        "pages": pages,
        "lists": listed,
        "rows": [r._asdict() for r in made],
    }
    path.write_text(json.dumps(every, indent=1))
    print(f"written to bench/results/{path.name}")


if __name__ == "__main__":
    main()
