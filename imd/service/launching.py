"""How a worker is started: the same program, options and environment, but as a worker.

The supervisor makes the command line here, once. Everything that could be read differently in a
child (relative paths, the module path, systemd's variables) is made plain. It refuses to know when
a worker is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imd.config import Settings
from imd.service.options import Options

_ENTRY: Final = "from twisted.scripts.twistd import run; run()"
#: systemd speaks to the supervisor alone; the command line says the last three again
_OURS: Final = (
    "NOTIFY_SOCKET",
    "LISTEN_",
    "WATCHDOG_",
    "IMD_CONFIG",
    "IMD_STATE_DIR",
    "IM_PROFILE",
)


@dataclass(frozen=True, slots=True)
class Launch:
    """The command line of a worker up to its number, and what it is run in."""

    words: tuple[str, ...]
    environ: Mapping[str, str]
    folder: str

    @classmethod
    def of(cls, options: Options, settings: Settings, environ: Mapping[str, str]) -> Launch:
        """How to start what these options say, from the folder where we stand now."""
        values: dict[str, Any] = options
        twistd: Any = options.parent or {}
        config = values["config"] or environ.get("IMD_CONFIG")
        given = {
            "profile": settings.profile,
            "config": str(Path(config).absolute()) if config else None,
            "interface": values["interface"],
            "port": values["port"],
            "state-dir": str(settings.state_dir),
        }
        own = [f"--{name}={value}" for name, value in given.items() if value is not None]
        kept = {name: value for name, value in environ.items() if not name.startswith(_OURS)}
        # As ours, so that what we run is what they run, wherever it was found.
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
        words = (sys.executable, "-P", "-c", _ENTRY, *_twistd_words(twistd), "imd", *own)
        return cls(words, kept, str(Path.cwd()))

    def command(self, worker: int) -> list[str]:
        """The command line of this worker."""
        return [*self.words, f"--worker={worker}"]


def _twistd_words(twistd: Any) -> list[str]:
    words = ["--nodaemon", "--pidfile="]
    if twistd.get("reactor"):
        words.append(f"--reactor={twistd['reactor']}")
    if twistd.get("syslog"):
        words += ["--syslog", f"--prefix={twistd.get('prefix') or 'twisted'}"]
    elif twistd.get("logger"):
        words.append(f"--logger={twistd['logger']}")
    return words
