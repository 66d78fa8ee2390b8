"""``python -m bench``: imd beside the floors of its own technology and its peers, in one run.

Every figure is the median of interleaved rounds; CPU per 1000 messages is the one to trust. The
result is a table of ratios, and JSON and a picture in ``bench/results/``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import (
    contest,
    entries,
    idle,
    lists,
    live,
    million,
    pushing,
    report,
    soak,
    starting,
    stores,
    storm,
    targets,
)
from bench.plot import plot
from bench.servers import POSTGRES
from tests.e2e.rawsocket import raise_open_files
from tests.servers import PostgresServer

#: what is measured without being asked for, in this order; ``soak`` takes its half hour
SECTIONS = ("load", "workers", "idle", "storm", "push", "live", "million", "lists", "start")
QUICK_SECTIONS = ("load", "workers", "idle", "lists", "start")
EVERY = (*SECTIONS, "soak")
RESULTS = Path(__file__).parent / "results"

Rounds = dict[str, list[entries.Figures]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    usual = entries.Scale()
    parser.add_argument("--quick", action="store_true", help="only to see that it works")
    for name, kind, what in (
        ("rounds", int, "interleaved rounds"),
        ("seconds", float, "seconds of each measurement"),
        ("connections", int, "idle sockets"),
        ("sessions", int, "sessions of the large store, which has a hundred messages for each"),
        ("soak_seconds", float, "seconds of the section soak"),
    ):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, help=f"{what} ({getattr(usual, name):g})")
    parser.add_argument(
        "--only", choices=EVERY, action="append", help="leave the others out; may be repeated"
    )
    return parser.parse_args()


def scale_of(arguments: argparse.Namespace) -> entries.Scale:
    """The usual scale or the quick one, with what was said otherwise."""
    scale = entries.QUICK if arguments.quick else entries.Scale()
    said = {
        name: value
        for name in entries.Scale._fields
        if (value := getattr(arguments, name, None)) is not None
    }
    return scale._replace(**said)


def _measured(
    setting: entries.Setting, wanted: Sequence[str], quick: bool
) -> tuple[Rounds, dict[str, Any]]:
    """The rounds of all sections, and the tables of ``million`` and ``lists``."""
    rounds: Rounds = {}
    tables: dict[str, Any] = {"pages": {}, "lists": {}}
    if "load" in wanted:
        with ExitStack() as stack:
            rounds |= entries.in_turns(setting, contest.contest(setting, stack, quick))
        # The rest takes a while; what there is, is shown.
        print(f"\n{report.rates(report.medians(rounds))}\n", flush=True)
    if "workers" in wanted:
        with ExitStack() as stack:
            rounds |= entries.in_turns(setting, contest.workers(setting, stack))
    if "idle" in wanted:
        rounds["idle"] = [idle.measure(setting)]
    if "storm" in wanted:
        rounds["storm"] = storm.measure(setting)
    if "push" in wanted:
        with ExitStack() as stack:
            rounds |= entries.in_turns(setting, pushing.entries(setting, stack))
    if "live" in wanted:
        rounds |= live.measure(setting)
    if "million" in wanted:
        tables["pages"] = million.measure(setting)
    if "lists" in wanted or "start" in wanted:
        urls = stores.filled(setting)
        if "start" in wanted:
            rounds |= starting.measure(setting, urls["spread"])
        if "lists" in wanted:
            tables["lists"] = lists.measure(setting, urls)
    if "soak" in wanted:
        rounds |= soak.measure(setting)
    return rounds, tables


def conditions(scale: entries.Scale) -> dict[str, Any]:
    """What the figures were measured under."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "scale": scale._asdict(),
    }


def _written(told: Mapping[str, Any], made: Sequence[report.Row], postgres: str) -> str:
    """JSON and the picture; the name of the JSON."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    path.write_text(json.dumps({**told, "postgres": postgres}, indent=1))
    path.with_suffix(".svg").write_text(plot(made, "imd, as a share of its targets"))
    return path.name


def main() -> None:
    arguments = _arguments()
    scale = scale_of(arguments)
    wanted = arguments.only or (QUICK_SECTIONS if arguments.quick else SECTIONS)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", flush=True)

    raise_open_files(20_000)
    before = conditions(scale)
    left_out: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imd-bench-")))
        say("starting PostgreSQL, fsync on")
        postgres = stack.enter_context(PostgresServer(fsync=True, settings=POSTGRES))
        version = str(postgres.execute("SHOW server_version")[0][0])
        setting = entries.Setting(folder, postgres, scale, say, left_out)
        rounds, tables = _measured(setting, wanted, arguments.quick)
    first, others = targets.every({"rounds": rounds, **tables})
    told = {
        "sections": list(wanted),
        "conditions": {**before, "load after": os.getloadavg()},
        "left_out": left_out,
        "rounds": rounds,
        "medians": report.medians(rounds),
        **tables,
        "targets": [row.told() for row in first],
        "rows": [row.told() for row in others],
    }
    print(f"\n{report.rates(told['medians'])}\n")
    for rows in (first, others):
        print(f"{report.table(rows)}\n")
    for line in left_out:
        print(f"left out: {line}")
    print(f"written to bench/results/{_written(told, first, version)}, and a picture beside it")


if __name__ == "__main__":
    main()
