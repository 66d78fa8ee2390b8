"""Other servers that do the same work, to be measured beside imd. No part of imd and no test needs
them; what they are made of is fetched when the bench runs, into ``build/peers``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "peers"
_SECONDS = 600.0


class NotHere(Exception):
    """A peer cannot be had on this machine; the message says which and why."""


def made(
    what: str,
    folder: Path,
    wanted: str,
    commands: Sequence[Sequence[str | Path]],
    seconds: float = _SECONDS,
) -> None:
    """Run the commands in the folder, once for what is wanted there; NotHere when one fails."""
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands:
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotHere(f"{what}: {error}") from error
        if done.returncode:
            name = " ".join(map(str, command[:4]))
            raise NotHere(f"{what}: {name} failed: {done.stderr.strip()[-300:]}")
    stamp.write_text(wanted)
