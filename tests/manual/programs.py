"""Programs of the manual, run as a reader runs them: in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.server import clean_environment, die_with_parent

#: where twistd and imdctl are
BIN: Final = Path(sys.executable).parent


def environment(**variables: str) -> dict[str, str]:
    """The caller's, without settings of imd, and ``variables``."""
    return {**clean_environment(), "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"), **variables}


def run(command: list[str], cwd: Path, text: str | None = None, **variables: str) -> str:
    """What it printed; fails with all of it when the status is not 0."""
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=cwd,
        env=environment(**variables),
        preexec_fn=die_with_parent,
        check=False,
    )
    assert done.returncode == 0, f"{text or command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
