"""The first lines that a newcomer types are typed here, as the two READMEs have them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import clean_environment, die_with_parent, running

ROOT = Path(__file__).parents[2]
#: a block of shell lines belongs to the first screen when it begins with one of these comments
MARKS = ("# first message", "# the patient answers")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"\b(127\.0\.0\.1|localhost):3000\b")


def _blocks(name: str) -> list[str]:
    readme = ROOT / name
    text = readme.read_text("utf-8") if readme.exists() else ""
    found = [block for block in _BLOCK.findall(text) if block.startswith(MARKS)]
    if not found:
        pytest.skip(f"NOT TESTED: {name} has no ```sh block that begins with {MARKS[0]!r}")
    return found


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_first_screen_works_as_printed(tmp_path: Path, name: str) -> None:
    blocks = _blocks(name)
    missing = [word for word in ("curl",) if shutil.which(word) is None]
    if missing:
        pytest.skip(f"NOT TESTED: the lines of {name} need {missing}")
    with running(tmp_path / "state", None, IM_PROFILE="dev") as imd:
        there = f"127.0.0.1:{imd.port}"
        script = _ADDRESS.sub(there, "\n".join(blocks))
        script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
        done = subprocess.run(
            ["/bin/sh", "-eu"],
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env={**clean_environment(), "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8")}
            | {"IMD_HTTP_PORT": str(imd.port), "IMD_STATE_DIR": str(imd.state)},
            preexec_fn=die_with_parent,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        # Whatever the lines send, they show it again, and nothing was refused.
        assert '"code"' not in done.stdout, done.stdout
        said = re.findall(r'"content": ?"([^"]+)"', script)
        assert said
        for content in said:
            assert content in done.stdout
