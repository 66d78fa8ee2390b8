"""Runs twistd for a fault run: with a clock that can be set, and points at which it dies.

``FAULTS_SOURCE`` is a folder that holds another imd (a mutant); ``FAULTS_CLOCK`` a file
with the milliseconds by which this process's clock is wrong; ``CRASH_AT`` a point of
:mod:`tests.e2e.crashing`, armed by SIGUSR2. Nothing in imd knows of any of them.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _wrong_clock(file: Path) -> None:
    """The server's own clock, not the reactor's: what an administrator's ``date -s`` changes."""
    from imd.service.clock import SystemClock

    right = SystemClock.now

    def now(self: SystemClock) -> int:
        try:
            return right(self) + int(file.read_text() or 0)
        except OSError:
            return right(self)

    SystemClock.now = now  # type: ignore[method-assign]


def main() -> None:
    source = os.environ.get("FAULTS_SOURCE")
    sys.path[:0] = [source, str(ROOT)] if source else [str(ROOT)]
    import imd

    wanted = Path(source or ROOT).resolve()
    if wanted not in Path(imd.__file__).resolve().parents:
        sys.exit(f"{imd.__file__} was loaded, not the imd of {wanted}")
    if clock := os.environ.get("FAULTS_CLOCK"):
        _wrong_clock(Path(clock))
    if os.environ.get("CRASH_AT"):
        runpy.run_module("tests.e2e.crashing", run_name="__main__")
        return
    sys.argv = ["twistd", "-n", "--pidfile=", "imd", *sys.argv[1:]]
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
