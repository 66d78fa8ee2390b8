"""twistd whose timers and coroutines can be counted from outside, by a signal.

``python -m bench.watched ARGUMENTS`` is twistd with them; at SIGUSR2 it writes what there is of
each into the file that ``BENCH_WATCHED`` names. Counting looks at every object, so it is done
between two stretches of load and never within one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import CoroutineType
from typing import Any

_VARIABLE = "BENCH_WATCHED"
_SECONDS = 10.0


class Watched:
    """The side of who asks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def environment(self) -> dict[str, str]:
        return {_VARIABLE: str(self._path)}

    def look(self, pid: int) -> dict[str, float]:
        """How many timers and coroutines the process has right now."""
        self._path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR2)
        end = time.monotonic() + _SECONDS
        while not self._path.exists():
            assert time.monotonic() < end, "the server does not say what it has"
            time.sleep(0.02)
        found: dict[str, float] = json.loads(self._path.read_text())
        return found


def _tell(*_: Any) -> None:
    from twisted.internet import reactor

    found = {
        "timers": len(reactor.getDelayedCalls()),  # type: ignore[attr-defined]
        "coroutines": sum(type(one) is CoroutineType for one in gc.get_objects()),
    }
    path = Path(os.environ[_VARIABLE])
    made = path.with_suffix(".new")
    made.write_text(json.dumps(found))
    made.rename(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _tell)
    from twisted.scripts.twistd import run

    sys.argv[0] = "twistd"
    run()
